"""An environment from any `Simulator`: self-play where its discount is -1, and the states at hand for search.

B batch, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete

from tengen.contracts import Simulator
from tengen.envs._rows import Rows, row_generators
from tengen.errors import UserError
from tengen.types import Array, EnvSpec, Ints, State, TimeStep


class SimulatedEnvironment:
    """B games of a simulator, with its states in `TimeStep.state`.

    Each episode has a generator of its own, so that a seed's episode is the same whichever row plays it. A simulator
    with an attribute `deterministic = True` (its `step` draws nothing) is stepped for all rows at once; any other
    row by row, each with its episode's generator. One with `alternates = True` has two sides that take turns.

    Args:
        env_id: The name to report.
        simulator: The rules.
        observation_space: Of one row of `simulator.observe`.
        num_envs: B.
        max_episode_steps: Truncates episodes at this many decisions; None for no limit.
    """

    def __init__(
        self,
        env_id: str,
        simulator: Simulator,
        observation_space: gym.Space[Any],
        num_envs: int = 1,
        max_episode_steps: int | None = None,
    ) -> None:
        assert observation_space.shape is not None, f"{observation_space} has no shape"
        self.spec = EnvSpec(
            id=env_id,
            observation_space=observation_space,
            action_space=Discrete(simulator.num_actions),
            num_envs=num_envs,
            has_legal=True,
            alternates=bool(getattr(simulator, "alternates", False)),
            max_episode_steps=max_episode_steps,
            simulator=simulator,
        )
        self._simulator = simulator
        self._deterministic = bool(getattr(simulator, "deterministic", False))
        self._rows = Rows(num_envs, observation_space.shape, observation_space.dtype, simulator.num_actions)
        self._states = simulator.init(np.random.default_rng(0), num_envs)  # replaced by `reset`; here for its shapes
        self._lengths: Ints = np.zeros(num_envs, np.int64)  # decisions since each row's reset
        self._seeders: list[np.random.Generator] = []  # of each row's later episodes; empty until the first reset
        self._generators: list[np.random.Generator] = []  # of each row's current episode

    def reset(self, seed: int | Ints) -> TimeStep:
        """Start every row anew."""
        num_envs = self.spec.num_envs
        self._seeders = row_generators(seed, num_envs)
        self._generators = [np.random.default_rng(0)] * num_envs
        seeds = None if np.ndim(seed) == 0 else np.asarray(seed)
        return self._start(list(range(num_envs)), seeds)

    def step(self, actions: Ints) -> TimeStep:
        """Apply one action [B] to each row. No row may be past its `last`."""
        rows = self._rows
        assert self._seeders, "step before reset"
        assert not np.count_nonzero(rows.last), "a finished row was stepped: call reset_done first"
        assert np.shape(actions) == rows.last.shape, f"{np.shape(actions)} actions for {rows.last.shape} environments"
        assert rows.legal is not None
        assert rows.legal[np.arange(len(actions)), actions].all(), f"illegal among the actions {actions}"
        self._states, rows.reward[:], rows.discount[:] = self._simulate(actions)
        self._lengths += 1
        rows.first[:] = False
        rows.last[:] = rows.discount == 0.0
        if self.spec.max_episode_steps is not None:
            rows.last |= self._lengths >= self.spec.max_episode_steps
        return self._look()

    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        """Start the finished rows, leave the others as they were, and return the current TimeStep."""
        assert self._seeders, "reset_done before reset"
        finished = self._rows.last.nonzero()[0].tolist()
        return self._start(finished, seeds) if finished else self._copy_out()

    def render(self) -> Array:
        """Return a picture of row 0, uint8 [H, W, 3], where the simulator has a `render(states)`.

        Raises:
            UserError: It has none.
        """
        render = getattr(self._simulator, "render", None)
        if render is None:
            raise UserError(f"no picture of {self.spec.id}: it can't draw itself")
        picture: Array = render(_map(lambda leaf: leaf[:1], self._states))
        return picture

    def state_dict(self) -> State:
        """Return the simulator's states, every generator, and the current TimeStep."""
        assert self._seeders, "state_dict before reset"
        return {
            "states": _leaves(self._states),
            "lengths": self._lengths,
            "seeders": [generator.bit_generator.state for generator in self._seeders],
            "generators": [generator.bit_generator.state for generator in self._generators],
            "step": self._rows.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state_dict` was taken.

        Raises:
            UserError: It is another environment's state.
        """
        self._rows.load_state_dict(state["step"])  # refuses another number of rows
        mine, saved = _leaves(self._states), list(state["states"])
        if [(leaf.shape, leaf.dtype) for leaf in mine] != [(leaf.shape, leaf.dtype) for leaf in saved]:
            raise UserError(
                f"the saved state is not one of {self.spec.id}: its arrays are"
                f" {', '.join(f'{leaf.dtype} {leaf.shape}' for leaf in saved)}; resume with the environment that the"
                " run was started with"
            )
        leaves = iter(saved)
        self._states = _map(lambda _: next(leaves).copy(), self._states)
        self._lengths = np.array(state["lengths"], np.int64)
        self._seeders = _generators(state["seeders"])
        self._generators = _generators(state["generators"])

    def close(self) -> None:
        """Nothing to free."""

    def _start(self, rows: list[int], seeds: Array | None) -> TimeStep:
        self._states = _map(np.copy, self._states)
        for row in rows:
            seed = int(self._seeders[row].integers(2**31)) if seeds is None else int(seeds[row])
            self._generators[row] = np.random.default_rng(seed)
            _write(self._states, row, self._simulator.init(self._generators[row], 1))
        self._lengths[rows] = 0
        self._rows.reward[rows] = 0.0
        self._rows.discount[rows] = 1.0
        self._rows.first[rows] = True
        self._rows.last[rows] = False
        return self._look()

    def _simulate(self, actions: Ints) -> tuple[Any, Array, Array]:
        if self._deterministic or len(actions) == 1:
            return self._simulator.step(self._states, actions, self._generators[0])
        states, reward, discount = _map(np.copy, self._states), np.empty(len(actions)), np.empty(len(actions))
        for row, generator in enumerate(self._generators):
            one = slice(row, row + 1)
            before = _map(lambda leaf, one=one: leaf[one], self._states)
            after, reward[one], discount[one] = self._simulator.step(before, actions[one], generator)
            _write(states, row, after)
        return states, reward, discount

    def _look(self) -> TimeStep:
        assert self._rows.legal is not None
        self._rows.observation[:] = self._simulator.observe(self._states)
        self._rows.legal[:] = self._simulator.legal(self._states)
        return self._copy_out()

    def _copy_out(self) -> TimeStep:
        return self._rows.copy_out(_map(np.copy, self._states))


def _generators(states: list[dict[str, Any]]) -> list[np.random.Generator]:
    generators = [np.random.default_rng(0) for _ in states]
    for generator, state in zip(generators, states, strict=True):
        generator.bit_generator.state = state
    return generators


def _map(function: Callable[..., Any], tree: Any) -> Any:
    """Apply a function to each array of a tuple or named tuple of arrays, nested at will."""
    if not isinstance(tree, tuple):
        return function(tree)
    mapped = [_map(function, branch) for branch in tree]
    return type(tree)(*mapped) if hasattr(tree, "_fields") else tuple(mapped)


def _leaves(tree: Any) -> list[Array]:
    if not isinstance(tree, tuple):
        return [tree]
    return [leaf for branch in tree for leaf in _leaves(branch)]


def _write(states: Any, row: int, one: Any) -> None:
    """Set row `row` of a batch of states to the only row of `one`. Modified in place."""
    for target, source in zip(_leaves(states), _leaves(one), strict=True):
        target[row] = source[0]
