"""The protocols that parts of an agent, environments and the loop meet each other by.

They are structural: nothing needs to be inherited. `tengen.testing` has a check for each that a part's author can call.
Every `state_dict` may be read only until its owner moves on: it can share memory with it, and nothing is copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from tengen.types import (
    Array,
    Bools,
    Decision,
    EnvSpec,
    Floats,
    Ints,
    Metrics,
    Playouts,
    PrioritizedSample,
    State,
    TimeStep,
    Transition,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tengen.tables import EpisodeLog, TransitionTables, World

BatchT_co = TypeVar("BatchT_co", covariant=True)


@runtime_checkable
class Environment(Protocol):
    """B environments that never reset themselves.

    The arrays of a returned TimeStep belong to the caller: the environment never writes to them again.
    """

    spec: EnvSpec

    def reset(self, seed: int | Ints) -> TimeStep:
        """Start every row anew.

        Args:
            seed: An int seeds the whole environment: rows get independent streams, and every later episode follows
                from it. An array [B] gives the seed of each row's own first episode, as an evaluation needs.
        """
        ...

    def step(self, actions: Ints) -> TimeStep:
        """Apply one action [B] to each row. No row may be past its `last`."""
        ...

    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        """Start the rows whose last TimeStep had `last`, leave the others exactly as they were.

        Returns the current TimeStep: `first` rows are new, the others are the same as the last call returned. With no
        finished row it is therefore a plain look at the current TimeStep, also right after `load_state_dict`.

        Args:
            seeds: Optional episode seeds [B]; entries of unfinished rows are ignored.
        """
        ...

    def state_dict(self) -> State:
        """Everything that decides what comes next, mid-episode included."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state_dict` was taken."""
        ...

    def close(self) -> None:
        """Free what the environment holds."""
        ...


@runtime_checkable
class TabledEnvironment(Environment, Protocol):
    """An environment of which a compiled loop may step the only row on its transition tables, to the same effect."""

    def world(self) -> World | None:
        """Return what a compiled loop needs, and may modify; None where there are more rows than one."""
        ...

    def steps_until_change(self) -> int | None:
        """Return for how many steps more the tables of `world` hold; None: for ever."""
        ...

    def went_on(self, world: World, num_steps: int) -> None:
        """Be where a compiled loop of `num_steps` steps left the world."""
        ...


@runtime_checkable
class Policy(Protocol):
    """Chooses actions and learns nothing; greedy unless its algorithm is stochastic. All evaluation uses it."""

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return one legal action for each row, [B]; any B, whatever the number of environments it was learnt in."""
        ...


@runtime_checkable
class StochasticPolicy(Policy, Protocol):
    """A policy that draws its actions, and knows with what probabilities."""

    def probabilities(self, step: TimeStep) -> Floats:
        """Return the probability of each action in each row, [B, A]; 0 for illegal ones."""
        ...


@runtime_checkable
class ActionValuing(Policy, Protocol):
    """A policy that knows what its actions are worth. Pictures of a run are drawn from it."""

    def action_values(self, step: TimeStep) -> Floats:
        """Return the value of each action in each row, [B, A]; of illegal ones it may be anything."""
        ...


@runtime_checkable
class StateValuing(Policy, Protocol):
    """A policy that knows what states are worth under it. Pictures of a run are drawn from it."""

    def state_values(self, step: TimeStep) -> Floats | None:
        """Return the value of each row's state, [B]; None where its settings have it learn none."""
        ...


@runtime_checkable
class Agent(Protocol):
    """Learns from the transitions that it is shown. What differs between algorithms sits in `update`."""

    def act(self, step: TimeStep) -> Decision:
        """Choose an action for each row, exploring as the algorithm does."""
        ...

    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        """Learn from one step of every row; `next_step` is what followed, the final observation included."""
        ...

    def policy(self) -> Policy:
        """The policy as learnt so far. It may share memory with the agent."""
        ...

    def state_dict(self) -> State:
        """Everything that decides what comes next: weights, optimizer, replay, schedules' position, generators."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state_dict` was taken. Empty `RowLog`s (from a retired checkpoint) are fine."""
        ...


@runtime_checkable
class CompiledAgent(Agent, Protocol):
    """An agent that can run stretches of the loop compiled, to the same effect as `act` and `update` would have."""

    def drive(self, world: World, log: EpisodeLog, num_steps: int) -> tuple[int, int]:
        """Act and learn on an environment's tables for up to `num_steps` steps, or until the log is full.

        Returns:
            The number of steps taken, and of episodes written to the log.
        """
        ...

    def metrics(self, num_steps: int) -> Metrics:
        """Return what `update` reports after a number of steps."""
        ...


class AgentConfig(Protocol):
    """A frozen dataclass of the standard library only, so that the command line needs no torch.

    Where an agent computes without torch it may say so by a class variable, `uses_torch = False`: then nobody imports
    it to look for a device. Where it needs something of the machine to learn, and not to be evaluated, it may have a
    method `obstacle(device) -> str | None` that says what is missing: then no run is made, nor gone on with.
    """

    @classmethod
    def refusal(cls, spec: EnvSpec) -> str | None:
        """Why this agent can't take these spaces ("needs a discrete action space"), or None."""
        ...

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent's parts. Heavy imports happen in here. `device` is "cpu", "cuda" or "cuda:N"."""
        ...


@runtime_checkable
class RowLog(Protocol):
    """A numbered, append-only sequence of rows of which the newest are still held: rows start..stop-1.

    Rows never change once they are in, so a checkpoint stores only those that the one before did not. A log may have an
    attribute `timeline`, an object that stays the same while rows are only appended: then a checkpoint need not even
    read the rows that it has stored before.
    """

    @property
    def start(self) -> int:
        """The number of the oldest row still held."""
        ...

    @property
    def stop(self) -> int:
        """One more than the number of the newest row; rows are numbered from 0 by insertion."""
        ...

    def read(self, start: int, stop: int) -> Mapping[str, Array]:
        """Return the rows start..stop-1, one array [stop - start, ...] for each field."""
        ...


@runtime_checkable
class Replay(Protocol[BatchT_co]):
    """Remembers what B environments did, and gives random samples of it."""

    @property
    def capacity(self) -> int:
        """The greatest number of rows held."""
        ...

    def __len__(self) -> int:
        """The number of transitions that can be sampled now."""
        ...

    def add(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> None:
        """Remember one step of every row."""
        ...

    def sample(self, batch_size: int) -> BatchT_co:
        """Draw with replacement, uniformly unless its kind says otherwise. The next call may reuse the arrays."""
        ...

    def state_dict(self) -> State:
        """Contents (as `RowLog`s) and generator."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state_dict` was taken."""
        ...


@runtime_checkable
class PrioritizingReplay(Replay[PrioritizedSample], Protocol):
    """A replay that draws transitions by how much there is to learn from them."""

    def update_priorities(self, indices: Ints, errors: Array) -> None:
        """Take note of the errors [N] of sampled transitions [N]; of those that are no longer held, nothing."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """Takes rows of metrics."""

    def write(self, step: int, metrics: Metrics) -> None:
        """Record metrics at a global step; steps never go down."""
        ...

    def close(self) -> None:
        """Finish. Called once, also after an interruption."""
        ...


@runtime_checkable
class Simulator(Protocol):
    """Pure, batched rules of a game or a task. States are opaque: arrays or tuples of arrays, leading with B."""

    @property
    def num_actions(self) -> int:
        """A."""
        ...

    def init(self, rng: np.random.Generator, batch_size: int) -> Any:
        """Return B starting states."""
        ...

    def observe(self, states: Any) -> Array:
        """Return what the side to move sees, [B, ...]."""
        ...

    def legal(self, states: Any) -> Bools:
        """Return the legal actions [B, A]; all True in terminal states."""
        ...

    def step(self, states: Any, actions: Ints, rng: np.random.Generator) -> tuple[Any, Floats, Floats]:
        """Return new states, the mover's reward [B], and discount [B] (-1 the other side moves, 0 terminated)."""
        ...


@runtime_checkable
class PlayoutSimulator(Simulator, Protocol):
    """A simulator that plays games out to their end at random by itself, faster than by `step`: search asks for it.

    It holds no lock meanwhile (`nogil`), so that threads can share a batch.
    """

    def playouts(self, states: Any, seeds: NDArray[np.uint64]) -> Playouts:
        """Play one light random game from each state [B] to its end, each by its own seed [B], whatever the others.

        A finished state is worth 0, since nothing follows.
        """
        ...


@runtime_checkable
class TerritorySimulator(Simulator, Protocol):
    """A simulator of a game for points of a board: whose each point is at the end says more than who won."""

    def territory(self, states: Any) -> NDArray[np.int8]:
        """Return whose each point is, as the board stands: 1 the side to move's, -1 the other's, 0 nobody's [B, N, N].

        At the end of a game, the side to move is the one that would be.
        """
        ...


@runtime_checkable
class AdjudicatedSimulator(Simulator, Protocol):
    """A simulator of a game that can be judged wherever it stands: one that is cut short need not be a draw."""

    def adjudicate(self, states: Any) -> Floats:
        """Return what games are worth to the side to move if they end here: 1 it has won, -1 lost, 0 a draw, [B]."""
        ...


@runtime_checkable
class SymmetricSimulator(Simulator, Protocol):
    """A simulator whose states look the same, up to names, from K sides; 0 is the identity."""

    @property
    def num_symmetries(self) -> int:
        """K."""
        ...

    @property
    def symmetry_actions(self) -> Ints:
        """Where each action goes, [K, A]: action `a` is `symmetry_actions[k, a]` in what `transform(_, k)` shows."""
        ...

    def transform(self, observation: Array, k: int) -> Array:
        """Return observations [B, ...] as seen from side k."""
        ...


@runtime_checkable
class Model(Protocol):
    """A world simulator, exact or learned: what an action leads to, as far as it is known. States lead with B.

    What a model can do beyond this is a protocol of its own, as `EnumerableModel` is.
    """

    @property
    def num_actions(self) -> int:
        """A."""
        ...

    def encode(self, observation: Array) -> Any:
        """Return the model's states of B observations [B, ...]."""
        ...

    def step(self, states: Any, actions: Ints, rng: np.random.Generator) -> tuple[Any, Floats, Floats]:
        """Return what may follow: states, rewards [B], and discounts [B], before gamma.

        A discount is 0 where the episode ends (what follows is then worth nothing, whatever the state), -1 where the
        other side is to move, and anything between where a model is unsure.
        """
        ...

    def update(self, batch: Transition) -> Metrics:
        """Learn from N single steps; their `bootstrap` is the discount of the TimeStep, before gamma."""
        ...


@runtime_checkable
class EnumerableModel(Model, Protocol):
    """A model of finitely many states, which are numbers [B]: dynamic programming can take it whole."""

    def tables(self) -> TransitionTables:
        """Return all that may follow each state and action, as it is known so far."""
        ...
