"""Settings of stable-baselines3's agents, under its own names, so that its documentation holds for them here too.

Defaults are stable-baselines3's. Standard library only, so that the command line needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tengen.agents._checks import check_widths
from tengen.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from tengen.agents.sb3.agent import SB3Agent
    from tengen.types import EnvSpec

Algorithm = Literal["dqn", "ppo", "a2c", "qrdqn"]
PolicyName = Literal["auto", "MlpPolicy", "CnnPolicy"]

_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("batch_size", "buffer_size", "train_freq", "gradient_steps", "n_steps", "n_epochs"), (1, inf)),
    **dict.fromkeys(("target_update_interval", "n_quantiles", "total_steps"), (1, inf)),
    **dict.fromkeys(("learning_starts", "ent_coef", "vf_coef"), (0, inf)),
    **dict.fromkeys(("gamma", "gae_lambda", "exploration_fraction"), (0, 1)),
    **dict.fromkeys(("exploration_initial_eps", "exploration_final_eps"), (0, 1)),
}
_POSITIVE = ("learning_rate", "max_grad_norm", "clip_range", "clip_range_vf", "target_kl", "rms_prop_eps")


def _check(config: Any) -> None:
    """Refuse values out of their range.

    Raises:
        UserError: One is.
    """
    for name, (smallest, greatest) in _RANGES.items():
        value = getattr(config, name, None)
        if value is not None and not smallest <= value <= greatest:
            limits = f"at least {smallest}" if greatest == inf else f"between {smallest} and {greatest}"
            raise UserError(f"agent.{name} must be {limits}, got {value}")
    for name in _POSITIVE:
        value = getattr(config, name, None)
        if value is not None and not value > 0:
            raise UserError(f"agent.{name} must be greater than 0, got {value}")
    if config.net_arch is not None:
        check_widths("net_arch", config.net_arch)


def refusal(name: str, spec: EnvSpec) -> str | None:
    """Return why an agent of stable-baselines3 can't take an environment, or None."""
    from gymnasium.spaces import Box, Discrete, MultiDiscrete  # loaded already: the spec holds its spaces

    space = spec.observation_space
    if not isinstance(spec.action_space, Discrete):
        return f"{name} needs a discrete action space here, {spec.id} has {spec.action_space}"
    if not isinstance(space, Box | Discrete | MultiDiscrete):
        return f"{name} needs Box, Discrete or MultiDiscrete observations, {spec.id} has {space}"
    if isinstance(space, Discrete | MultiDiscrete) and _starts_elsewhere(space):
        return f"{name} needs observations that are numbered from 0, {spec.id} has {space}"
    if spec.has_legal:
        return f"{name} knows nothing of illegal actions, which {spec.id} has"
    if spec.alternates:
        return f"{name} knows nothing of two sides that take turns, as in {spec.id}"
    return None


def _starts_elsewhere(space: Any) -> bool:
    start = space.start
    return bool(start.any()) if hasattr(start, "any") else bool(start)


@dataclass(frozen=True)
class SB3Config:
    """What the agents have in common."""

    algorithm: ClassVar[Algorithm]

    total_steps: int | None = None
    """Environment steps that its schedules are laid out for; --steps unless given."""
    policy: PolicyName = "auto"
    """Its kind of network; auto: CnnPolicy for pictures of at least 36x36, else MlpPolicy."""
    net_arch: tuple[int, ...] | None = None
    """Widths of the fully connected layers; its own default unless given."""
    gamma: float = 0.99
    """Discount factor."""
    learning_rate_schedule: Literal["constant", "linear"] = "constant"
    """linear: to 0 at `total_steps`."""

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def refusal(cls, spec: EnvSpec) -> str | None:
        """Return why it can't take these spaces, or None."""
        return refusal(f"sb3:{cls.algorithm}", spec)

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> SB3Agent:
        """Assemble the agent; imports torch, stable-baselines3, and sb3-contrib for what is from there."""
        from tengen.agents.sb3.build import build

        return build(self, spec, rng, device)


@dataclass(frozen=True)
class SB3ReplayConfig(SB3Config):
    """What DQN and QR-DQN have in common."""

    learning_rate: float = 1e-4
    """Step size of Adam."""
    buffer_size: int = 1_000_000
    """Transitions that its replay holds, over all environments; uncompressed, each with two observations."""
    learning_starts: int = 100
    """Environment steps taken at random before learning."""
    batch_size: int = 32
    """Transitions in an update."""
    train_freq: int = 4
    """Turns of the loop (steps of every environment) between learning."""
    gradient_steps: int = 1
    """Updates each time."""
    target_update_interval: int = 10_000
    """Environment steps between renewals of the target network."""
    exploration_fraction: float = 0.1
    """The share of `total_steps` over which epsilon goes down in a straight line."""
    exploration_initial_eps: float = 1.0
    """Epsilon at step 0."""
    exploration_final_eps: float = 0.05
    """Epsilon afterwards."""
    save_replay: bool = True
    """Checkpoints hold the replay; without, a resumed run starts with an empty one."""


@dataclass(frozen=True)
class SB3DQNConfig(SB3ReplayConfig):
    """stable-baselines3's DQN, unmodified, in Tengen's loop and on Tengen's environments."""

    algorithm: ClassVar[Algorithm] = "dqn"

    max_grad_norm: float = 10.0
    """Largest norm of the gradient."""


@dataclass(frozen=True)
class SB3QRDQNConfig(SB3ReplayConfig):
    """sb3-contrib's QR-DQN, unmodified, in Tengen's loop and on Tengen's environments (extra `contrib`)."""

    algorithm: ClassVar[Algorithm] = "qrdqn"

    learning_rate: float = 5e-5
    exploration_fraction: float = 0.005
    exploration_final_eps: float = 0.01
    n_quantiles: int = 200
    """Quantiles of the return."""
    max_grad_norm: float | None = None
    """Largest norm of the gradient; none unless given."""


@dataclass(frozen=True)
class SB3ActorCriticConfig(SB3Config):
    """What PPO and A2C have in common."""

    evaluation: Literal["deterministic", "stochastic"] = "deterministic"
    """How its policy is evaluated: by its likeliest actions, or by actions drawn as it would."""
    n_steps: int = 2048
    """Turns of the loop (steps of every environment) in a rollout."""
    gae_lambda: float = 0.95
    """Generalised advantage estimation: the weight of longer returns."""
    ent_coef: float = 0.0
    """Weight of the entropy in the loss."""
    vf_coef: float = 0.5
    """Weight of the values' error in the loss."""
    max_grad_norm: float = 0.5
    """Largest norm of the gradient."""


@dataclass(frozen=True)
class SB3PPOConfig(SB3ActorCriticConfig):
    """stable-baselines3's PPO, unmodified, in Tengen's loop and on Tengen's environments."""

    algorithm: ClassVar[Algorithm] = "ppo"

    learning_rate: float = 3e-4
    """Step size of Adam."""
    batch_size: int = 64
    """Steps in an update."""
    n_epochs: int = 10
    """Times that a rollout is gone through."""
    clip_range: float = 0.2
    """How far the probability of an action may change in an update."""
    clip_range_schedule: Literal["constant", "linear"] = "constant"
    """linear: to 0 at `total_steps`."""
    clip_range_vf: float | None = None
    """The same for values; not clipped unless given."""
    normalize_advantage: bool = True
    """Divide advantages by their deviation in the batch."""
    target_kl: float | None = None
    """Stop a rollout's updates when the policy has moved so far; never unless given."""


@dataclass(frozen=True)
class SB3A2CConfig(SB3ActorCriticConfig):
    """stable-baselines3's A2C, unmodified, in Tengen's loop and on Tengen's environments."""

    algorithm: ClassVar[Algorithm] = "a2c"

    learning_rate: float = 7e-4
    """Step size of the optimizer."""
    n_steps: int = 5
    gae_lambda: float = 1.0
    rms_prop_eps: float = 1e-5
    """Epsilon of RMSprop."""
    use_rms_prop: bool = True
    """RMSprop, else Adam."""
    rms_prop_tf_like: bool = False
    """RMSprop as TensorFlow has it, which rl-baselines3-zoo takes on Atari."""
    normalize_advantage: bool = False
    """Divide advantages by their deviation in the rollout."""
