"""Settings of the tabular control agents that look several steps ahead. Standard library only.

S & B is Sutton & Barto, "Reinforcement Learning: An Introduction", 2nd edition, 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tengen.agents.tabular.config import ControlConfig
from tengen.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from tengen.contracts import Agent
    from tengen.types import EnvSpec

_MOST_STEPS = 10_000


@dataclass(frozen=True)
class NStepSarsaConfig(ControlConfig):
    """n-step Sarsa (S & B section 7.2): n rewards, then the value of the action taken next, or of the policy."""

    n_step: int = 4
    """Rewards summed in each return (n)."""
    expected: bool = False
    """Bootstrap from the policy's expectation over all actions: n-step Expected Sarsa (S & B eq. 7.7)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_n_step(self.n_step)

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        from tengen.agents.tabular import _n_step_kernels as kernels
        from tengen.agents.tabular.build import Parts

        parts = Parts("n_step_sarsa", self, spec)
        learner = kernels.NStepSarsa(
            q=parts.table(),
            step_size=parts.step_size(),
            epsilon=parts.epsilon(),
            gamma=float(self.gamma),
            expected=self.expected,
            next_action=parts.no_actions(),
            window=kernels.empty_window(spec.num_envs, self.n_step),
        )
        return parts.control_agent(learner, rng)


@dataclass(frozen=True)
class TreeBackupConfig(ControlConfig):
    """n-step tree backup (Precup et al. 2000; S & B section 7.5): off-policy, without importance ratios."""

    n_step: int = 4
    """Rewards that a return reaches ahead (n)."""
    target_epsilon: float | None = 0.0
    """The policy learnt about is epsilon-greedy with this, 0 greedy; none: with the epsilon that it acts with."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_n_step(self.n_step)
        _check_unit("target_epsilon", self.target_epsilon)

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        return _q_sigma("tree_backup", self, 0.0, spec, rng)


@dataclass(frozen=True)
class QSigmaConfig(ControlConfig):
    """n-step Q(sigma) (De Asis et al. 2018; S & B section 7.6): between sampling and expecting each action."""

    n_step: int = 4
    """Rewards that a return reaches ahead (n)."""
    target_epsilon: float | None = None
    """The policy learnt about is epsilon-greedy with this, 0 greedy; none: with the epsilon that it acts with."""
    sigma: float = 0.5
    """How much each action is sampled: 1 as in Sarsa, 0 not at all as in tree backup."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_n_step(self.n_step)
        _check_unit("target_epsilon", self.target_epsilon)
        _check_unit("sigma", self.sigma)

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        return _q_sigma("q_sigma", self, self.sigma, spec, rng)


@dataclass(frozen=True)
class SarsaLambdaConfig(ControlConfig):
    """Sarsa(lambda) (Rummery & Niranjan 1994; S & B section 12.7): every error teaches the pairs that led to it."""

    trace_decay: float = 0.9
    """lambda: 0 gives Sarsa, 1 Monte Carlo."""
    traces: Literal["accumulating", "replacing", "dutch"] = "dutch"
    """What a visit does to its trace: adds to it, sets it to 1, or dutch, which is true online Sarsa(lambda)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_unit("trace_decay", self.trace_decay)

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        import numpy as np

        from tengen.agents.tabular import _trace_kernels as kernels
        from tengen.agents.tabular.build import Parts

        parts = Parts("sarsa_lambda", self, spec)
        table = parts.table()
        learner = kernels.SarsaLambda(
            q=table,
            step_size=parts.step_size(),
            epsilon=parts.epsilon(),
            gamma=float(self.gamma),
            trace_decay=float(self.trace_decay),
            traces=_traces(self, table.size, spec.num_envs),
            next_action=parts.no_actions(),
            next_value=np.zeros(spec.num_envs),
        )
        return parts.control_agent(learner, rng)


@dataclass(frozen=True)
class QLambdaConfig(ControlConfig):
    """Watkins's Q(lambda) (Watkins 1989; S & B section 12.10): traces that an exploratory action cuts."""

    trace_decay: float = 0.9
    """lambda: 0 gives Q-learning."""
    traces: Literal["accumulating", "replacing"] = "replacing"
    """What a visit does to its trace: adds to it, or sets it to 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_unit("trace_decay", self.trace_decay)

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        from tengen.agents.tabular import _trace_kernels as kernels
        from tengen.agents.tabular.build import Parts

        parts = Parts("q_lambda", self, spec)
        table = parts.table()
        learner = kernels.QLambda(
            q=table,
            step_size=parts.step_size(),
            epsilon=parts.epsilon(),
            gamma=float(self.gamma),
            trace_decay=float(self.trace_decay),
            traces=_traces(self, table.size, spec.num_envs),
        )
        return parts.control_agent(learner, rng)


def _check_n_step(n_step: int) -> None:
    if not 1 <= n_step <= _MOST_STEPS:
        raise UserError(
            f"agent.n_step must be from 1 to {_MOST_STEPS}, got {n_step}: for whole episodes take monte_carlo"
        )


def _check_unit(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise UserError(f"agent.{name} must be between 0 and 1, got {value}")


def _q_sigma(
    agent: str, config: TreeBackupConfig | QSigmaConfig, sigma: float, spec: EnvSpec, rng: np.random.Generator
) -> Agent:
    import numpy as np

    from tengen.agents.tabular import _n_step_kernels as kernels
    from tengen.agents.tabular.build import Parts

    parts = Parts(agent, config, spec)
    shape = (spec.num_envs, config.n_step)
    learner = kernels.QSigma(
        q=parts.table(),
        step_size=parts.step_size(),
        epsilon=parts.epsilon(),
        gamma=float(config.gamma),
        sigma=float(sigma),
        target_epsilon=-1.0 if config.target_epsilon is None else float(config.target_epsilon),
        window=kernels.empty_window(*shape),
        next_legal=np.ones((*shape, parts.num_actions), np.bool_),
        ratio=np.zeros(shape),
        ratio_now=np.zeros(spec.num_envs),
    )
    return parts.control_agent(learner, rng)


def _traces(config: SarsaLambdaConfig | QLambdaConfig, num_pairs: int, num_envs: int) -> Any:
    from tengen.agents.tabular import _trace_kernels as kernels

    kind = {"accumulating": kernels.ACCUMULATING, "replacing": kernels.REPLACING, "dutch": kernels.DUTCH}[config.traces]
    largest = max(config.step_size, config.step_size if config.step_size_end is None else config.step_size_end)
    most = kernels.most_traces(num_pairs, config.gamma * config.trace_decay, largest)
    return kernels.no_traces(kind, num_envs, most)
