"""What prediction is put together from: the policy that is followed, and the learner of its values.

B environments side by side, S states, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tengen.agents._learner_kernels import StepSize
from tengen.agents._trees import empty_trajectory
from tengen.agents.tabular import _n_step_kernels as n_step_kernels
from tengen.agents.tabular import _prediction_kernels as kernels
from tengen.agents.tabular import _trace_kernels as trace_kernels
from tengen.agents.tabular._prediction_kernels import Greedy, Stochastic
from tengen.errors import UserError
from tengen.types import Array, EnvSpec, Floats, Ints, TimeStep

if TYPE_CHECKING:
    from tengen.agents.tabular.build import Parts
    from tengen.agents.tabular.prediction_config import PredictionConfig

TablePolicy: TypeAlias = Stochastic | Greedy

_ALL_LEGAL = np.ones(0, np.bool_)


class FollowedPolicy:
    """Acts by a policy's table.

    Args:
        states: Numbers observations.
        policy: The table.
        values: What is known of the policy's state values [S]; they may go on learning.
    """

    def __init__(self, states: Callable[[Array], Ints], policy: TablePolicy, values: Floats) -> None:
        self.states = states
        self.policy = policy
        self.values = values

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return one legal action for each row, [B]."""
        states = self.states(step.observation).tolist()
        legal = [_ALL_LEGAL] * len(states) if step.legal is None else step.legal
        chosen = [kernels.choose(self.policy, s, mask, rng) for s, mask in zip(states, legal, strict=True)]
        return np.array(chosen, np.int64)

    def probabilities(self, step: TimeStep) -> Floats:
        """Return the probability of each action in each row, [B, A]."""
        states = self.states(step.observation)
        if isinstance(self.policy, Greedy):
            actions = self.act(step, np.random.default_rng(0))
            return np.eye(self.policy.q.shape[1])[actions]
        odds = self.policy.probability[states]
        if step.legal is None:
            return odds
        odds = odds * step.legal
        odds[~odds.any(1)] = step.legal[~odds.any(1)]  # it takes none of them: any
        return np.asarray(odds / odds.sum(1, keepdims=True), np.float64)

    def state_values(self, step: TimeStep) -> Floats:
        """Return the value of each row's state, [B]."""
        values: Floats = self.values[self.states(step.observation)]
        return values


def resolve_policy(name: str, spec: EnvSpec, num_states: int, gamma: float) -> TablePolicy:
    """Return the policy of a name.

    Args:
        name: "random", "optimal", or the folder of a run whose agent has a table of action values.
        spec: The environment.
        num_states: S, as the agent numbers observations.
        gamma: Discount factor that "optimal" goes by.

    Raises:
        UserError: There is no such policy for this environment.
    """
    if name == "random":
        return Stochastic(np.full((num_states, spec.num_actions), 1.0 / spec.num_actions))
    if name == "optimal":
        return _optimal(spec, num_states, gamma)
    return Greedy(_values_of_run(Path(name), spec, num_states))


def _optimal(spec: EnvSpec, num_states: int, gamma: float) -> Stochastic:
    """Return the policy that is greedy on Q*."""
    if spec.model is None:
        raise UserError(
            f"agent.policy optimal is planned on transition tables, and {spec.id} has none: choose random, or the"
            " folder of a run"
        )
    from tengen.planners.dynamic_programming import value_iteration

    tables = spec.model
    actions = value_iteration(tables, gamma).policy
    shown = tables.observation if len(tables.observation) else np.arange(tables.num_states)
    probability = np.full((num_states, spec.num_actions), 1.0 / spec.num_actions)
    probability[shown] = np.eye(spec.num_actions)[actions]
    if (probability[shown, actions] != 1.0).any():
        raise UserError(
            f"agent.policy optimal takes different actions in states of {spec.id} that look alike: choose random, or"
            " the folder of a run"
        )
    return Stochastic(probability)


def _values_of_run(folder: Path, spec: EnvSpec, num_states: int) -> Floats:
    """Return the action values [S, A] in a run's latest checkpoint."""
    from tengen.checkpoint import CheckpointStore

    if not (folder / "checkpoints").is_dir():
        raise UserError(f"agent.policy must be random, optimal or the folder of a run, got {str(folder)!r}")
    agent = CheckpointStore(folder / "checkpoints").load(resume=False).state(resume=False).get("agent", {})
    table = agent.get("learner", agent).get("q")
    if not isinstance(table, np.ndarray):
        raise UserError(f"agent.policy: the agent of {folder} has no table of action values to be greedy on")
    expected = (num_states, spec.num_actions)
    if table.shape != expected:
        raise UserError(
            f"agent.policy: {folder} has values of the shape {table.shape}, expected {expected} for {spec.id}: it is of"
            " another environment, or other bins"
        )
    return np.array(table, np.float64)


def make_learner(config: PredictionConfig, parts: Parts, policy: TablePolicy) -> Any:
    """Return the learner of a method."""
    return _METHODS[config.method](config, parts, policy)


def _step_size(parts: Parts) -> StepSize:
    """Return the step size, visits counted by state [S, 1]."""
    size = parts.step_size()
    return size._replace(visits=size.visits[:, :1].copy())


def _td(config: PredictionConfig, parts: Parts, policy: TablePolicy) -> kernels.TD:
    return kernels.TD(parts.values(), policy, _step_size(parts), float(config.gamma))


def _n_step(config: PredictionConfig, parts: Parts, policy: TablePolicy) -> kernels.NStepTD:
    window = n_step_kernels.empty_window(parts.spec.num_envs, config.n_step)
    return kernels.NStepTD(parts.values(), policy, _step_size(parts), float(config.gamma), window)


def _lambda(config: PredictionConfig, parts: Parts, policy: TablePolicy) -> kernels.TDLambda:
    accumulating = config.traces == "accumulating"
    return _traced(config, parts, policy, trace_kernels.ACCUMULATING if accumulating else trace_kernels.REPLACING)


def _true_online(config: PredictionConfig, parts: Parts, policy: TablePolicy) -> kernels.TDLambda:
    return _traced(config, parts, policy, trace_kernels.DUTCH)


def _traced(config: PredictionConfig, parts: Parts, policy: TablePolicy, kind: int) -> kernels.TDLambda:
    values, size, num_envs = parts.values(), _step_size(parts), parts.spec.num_envs
    largest = max(size.schedule.start, size.schedule.end)
    most = trace_kernels.most_traces(len(values), config.gamma * config.trace_decay, largest)
    return kernels.TDLambda(
        values,
        policy,
        size,
        float(config.gamma),
        float(config.trace_decay),
        trace_kernels.no_traces(kind, num_envs, most),
        np.zeros(num_envs),
    )


def _mc(config: PredictionConfig, parts: Parts, policy: TablePolicy) -> kernels.MonteCarloPrediction:
    episode = empty_trajectory(parts.spec.num_envs)
    size, first_visit = _step_size(parts), config.visits == "first"
    return kernels.MonteCarloPrediction(parts.values(), policy, size, float(config.gamma), first_visit, episode)


def _batch_td(config: PredictionConfig, parts: Parts, policy: TablePolicy) -> kernels.BatchTD:
    return kernels.BatchTD(parts.values(), policy, _batch(config, parts))


def _batch_mc(config: PredictionConfig, parts: Parts, policy: TablePolicy) -> kernels.BatchMonteCarlo:
    return kernels.BatchMonteCarlo(parts.values(), policy, _batch(config, parts))


def _batch(config: PredictionConfig, parts: Parts) -> kernels.Batch:
    num_envs = parts.spec.num_envs
    return kernels.Batch(
        step_size=parts.step_size().schedule,
        gamma=float(config.gamma),
        tolerance=float(config.tolerance),
        max_sweeps=config.max_sweeps,
        first_visit=config.visits == "first",
        experience=kernels.no_experience(num_envs),
        finished=np.zeros(num_envs, np.int64),
    )


_METHODS: dict[str, Callable[[PredictionConfig, Parts, TablePolicy], Any]] = {
    "td": _td,
    "n_step": _n_step,
    "lambda": _lambda,
    "true_online": _true_online,
    "mc": _mc,
    "batch_td": _batch_td,
    "batch_mc": _batch_mc,
}
