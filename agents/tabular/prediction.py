"""What prediction is put together from: the policy that is followed, and the learner of its values.

B environments side by side, S states, A actions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tengen.agents._learner_kernels import StepSize
from tengen.agents._trees import empty_trajectory
from tengen.agents.tabular import _n_step_kernels as n_step_kernels
from tengen.agents.tabular import _prediction_kernels as kernels
from tengen.agents.tabular import _trace_kernels as trace_kernels
from tengen.agents.tabular._prediction_kernels import Greedy, Stochastic
from tengen.agents.tabular.agent import TabularAgent
from tengen.errors import UserError
from tengen.schedules import LinearSchedule
from tengen.tables import EpisodeLog, World
from tengen.types import Array, Decision, EnvSpec, Floats, Ints, State, TimeStep

if TYPE_CHECKING:
    from tengen.agents.tabular.build import Parts
    from tengen.agents.tabular.prediction_config import PredictionConfig
    from tengen.contracts import Policy

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


class PredictionAgent(TabularAgent):
    """Follows a policy and learns its values.

    Args:
        learner: A NamedTuple with a `policy`.
        states: Numbers observations.
        policy: What it follows, sharing the learner's arrays.
        rng: Draws all that the learner draws.
        schedules: Reported with the metrics, by their names.
        make_table: Returns the policy's table [S, A]. Called when the policy is first needed, unless a state with the
            table has been loaded by then: what it was made from may be gone.
    """

    def __init__(
        self,
        learner: Any,
        states: Callable[[Array], Ints],
        policy: FollowedPolicy,
        rng: np.random.Generator,
        schedules: Mapping[str, LinearSchedule],
        make_table: Callable[[], Floats],
    ) -> None:
        super().__init__(learner, states, policy, rng, schedules)
        (self._table,) = policy.policy
        self._make_table: Callable[[], Floats] | None = make_table

    def act(self, step: TimeStep) -> Decision:
        """Choose an action for each row by the policy."""
        self._resolve()
        return super().act(step)

    def drive(self, world: World, log: EpisodeLog, num_steps: int) -> tuple[int, int]:
        """Act and learn as `TabularAgent` does."""
        self._resolve()
        return super().drive(world, log, num_steps)

    def policy(self) -> Policy:
        """Return the policy that is followed, with its values as learnt so far.

        Raises:
            UserError: There is no such policy for this environment.
        """
        self._resolve()
        return super().policy()

    def state_dict(self) -> State:
        """Return the learner's arrays, the policy's table among them, the generator and the number of steps."""
        self._resolve()
        return super().state_dict()

    def load_state_dict(self, state: State) -> None:
        """Continue from a state, by the policy that it holds."""
        super().load_state_dict(state)
        self._make_table = None

    def _resolve(self) -> None:
        if self._make_table is not None:
            self._table[...] = self._make_table()
            self._make_table = None


def empty_policy(name: str, num_states: int, num_actions: int) -> TablePolicy:
    """Return the policy of a name with zeros in its table: its kind shows in the name, whatever the table will hold."""
    table = np.zeros((num_states, num_actions))
    return Stochastic(table) if name in ("random", "optimal") else Greedy(table)


def policy_table(config: PredictionConfig, spec: EnvSpec, num_states: int) -> Floats:
    """Return the table [S, A] of the policy that the settings name.

    Args:
        config: Settings of the agent.
        spec: The environment.
        num_states: S, as the agent numbers observations.

    Raises:
        UserError: There is no such policy for this environment.
    """
    if config.policy == "random":
        return np.full((num_states, spec.num_actions), 1.0 / spec.num_actions)
    if config.policy == "optimal":
        return _optimal(spec, num_states, config.gamma)
    return _values_of_run(Path(config.policy), config, spec, num_states)


def _optimal(spec: EnvSpec, num_states: int, gamma: float) -> Floats:
    """Return the odds [S, A] of the policy that is greedy on Q*."""
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
    return probability


def _values_of_run(folder: Path, config: PredictionConfig, spec: EnvSpec, num_states: int) -> Floats:
    """Return what the policy in a run's latest checkpoint is greedy on [S, A]; planned actions are worth infinity."""
    from tengen.checkpoint import CheckpointStore

    if not ((folder / "checkpoints").is_dir() and (folder / "config.json").is_file()):
        raise UserError(f"agent.policy must be random, optimal or the folder of a run, got {str(folder)!r}")
    _require_same_states(folder, config, spec)
    agent = CheckpointStore(folder / "checkpoints").load(resume=False).state(resume=False).get("agent", {})
    if "runs" in agent:
        raise UserError(f"agent.policy: {folder} holds {len(agent['runs'])} runs at once: train one by itself")
    learner = agent
    while "q" not in learner and isinstance(learner.get("learner"), Mapping):
        learner = learner["learner"]  # a Dyna agent's is inside another
    table = learner.get("q")
    if not isinstance(table, np.ndarray):
        raise UserError(f"agent.policy: the agent of {folder} has no table of action values to be greedy on")
    expected = (num_states, spec.num_actions)
    if table.shape != expected:
        raise UserError(
            f"agent.policy: {folder} has values of the shape {table.shape}, expected {expected} for {spec.id}: its"
            " spaces are others"
        )
    values = np.array(table, np.float64)
    planned = agent.get("policy")
    if isinstance(planned, np.ndarray):  # a plan: of actions worth the same, some may never lead to an end
        values[np.arange(num_states), planned] = np.inf
    return values


def _require_same_states(folder: Path, config: PredictionConfig, spec: EnvSpec) -> None:
    """Refuse a run whose table is of another environment, or numbers its observations otherwise."""
    path = folder / "config.json"
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        env_id, theirs = str(saved["env"]["id"]), dict(saved["agent_config"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"agent.policy: {path} can't be read as a run's settings: {error!r}") from error
    if env_id.rpartition(":")[2] != spec.id.rpartition(":")[2]:  # behind the module that registers it
        raise UserError(f"agent.policy: {folder} is a run on {env_id}, expected one on {spec.id}")
    if theirs.get("discretiser", "none") == config.discretiser == "none":
        return
    for name in ("discretiser", "bins", "low", "high"):
        own = getattr(config, name)
        own = list(own) if isinstance(own, tuple) else own
        if name in theirs and theirs[name] != own:
            raise UserError(
                f"agent.policy: {folder} has agent.{name} {theirs[name]}, got {own}: the same states need the same"
            )


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
