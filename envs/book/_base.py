"""A Gymnasium environment that is nothing but its transition tables, and where its states lie on a grid.

S states, A actions, H W the grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete, Space, Tuple

from tengen.errors import UserError
from tengen.tables import TransitionTables
from tengen.types import Array

_PICTURE = 384  # pixels of a picture's longer side, as long as a cell keeps one
_FREE, _WALL, _TRAP, _GOAL, _START, _AGENT, _LINE = range(7)
_COLOURS = np.array(
    [(238, 238, 232), (70, 70, 80), (60, 120, 190), (90, 170, 90), (240, 210, 120), (200, 60, 50), (200, 200, 195)],
    np.uint8,
)


@dataclass(frozen=True)
class GridLayout:
    """Where states lie on a grid: state = row * width + column, row 0 on top.

    Attributes:
        height: H.
        width: W.
        moves: What each action adds to (row, column) where nothing is in the way; () where actions are no moves.
        starts: States in which an episode can begin; empty where that is everywhere.
        goals: Terminal states.
        walls: States that can't be entered.
        traps: States that are entered at a loss: holes, a cliff.
    """

    height: int
    width: int
    moves: tuple[tuple[int, int], ...] = ()
    starts: frozenset[int] = frozenset()
    goals: frozenset[int] = frozenset()
    walls: frozenset[int] = frozenset()
    traps: frozenset[int] = frozenset()

    @property
    def num_states(self) -> int:
        """H * W."""
        return self.height * self.width

    def kinds(self) -> Array:
        """Return what each cell is, uint8 [H, W], as an index of the signs `.#xGS`."""
        kinds = np.full(self.num_states, _FREE, np.uint8)
        for kind, states in ((_START, self.starts), (_WALL, self.walls), (_TRAP, self.traps), (_GOAL, self.goals)):
            kinds[list(states)] = kind
        return kinds.reshape(self.height, self.width)

    def text(self, state: int | None = None) -> str:
        """Return one line for each row: `#` wall, `x` trap, `G` goal, `S` start, `.` free, and `@` the given state."""
        signs = np.array(list(".#xGS@"))[self.kinds()]
        if state is not None and state < self.num_states:
            signs.flat[state] = "@"
        return "\n".join("".join(row) for row in signs) + "\n"

    def picture(self, state: int | None = None) -> Array:
        """Return a picture, uint8 [_, _, 3]; a disc marks the given state."""
        size = max(_PICTURE // max(self.height, self.width), 1)  # pixels of a cell
        image = self.kinds().repeat(size, 0).repeat(size, 1)
        if size >= 8:
            image[::size] = image[:, ::size] = _LINE
        if state is not None and state < self.num_states:
            row, column = divmod(state, self.width)
            y, x = np.mgrid[:size, :size] - (size - 1) / 2
            cell = image[row * size : (row + 1) * size, column * size : (column + 1) * size]
            cell[np.hypot(x, y) <= max(size / 3, 1)] = _AGENT
        picture: Array = _COLOURS[image]
        return picture


class Change(NamedTuple):
    """New tables, and a new layout, from an environment step on."""

    step: int
    tables: TransitionTables
    layout: GridLayout | None = None


class TabularEnv(gym.Env[Any, int]):
    """A finite Markov decision process as a Gymnasium environment.

    A step draws one `random()` of the environment's generator, as `TransitionTables` says, and then one
    `standard_normal()` where the outcome's reward is noisy. A reset draws one `random()`. So the same generator gives
    the same episodes to whoever samples the tables.

    Where some actions are illegal, `info["action_mask"]` (int8 [A]) says which are legal.

    Args:
        tables: The decision process. Its discounts are 0 or 1.
        layout: Where its states lie, for pictures; None where they lie on no grid.
        render_mode: "ansi" or "rgb_array".
        changes: Of the tables, by the steps taken since the last seeded reset, over episodes.
        observation_parts: The sizes of a Tuple that an observation's number unravels to, last part fastest.

    Attributes:
        s: The current state. It may be set.
        num_steps: Steps since construction or the last seeded reset, over episodes. It may be set.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012 -- Gymnasium's

    def __init__(
        self,
        tables: TransitionTables,
        layout: GridLayout | None = None,
        *,
        render_mode: str | None = None,
        changes: Sequence[Change] = (),
        observation_parts: tuple[int, ...] = (),
    ) -> None:
        assert np.isin(tables.discount, (0.0, 1.0)).all(), "Gymnasium knows no discounts but 0 and 1"
        self._phases: list[Change] = [Change(0, tables, layout), *changes]
        self._parts = observation_parts
        self.observation_space: Space[Any]
        if observation_parts:
            self.observation_space = Tuple([Discrete(size) for size in observation_parts])
        else:
            self.observation_space = Discrete(tables.num_observations)
        self.action_space: Space[Any] = Discrete(tables.num_actions)
        self.render_mode = render_mode
        self.num_steps = 0
        self.s = int(tables.initial.argmax())

    @property
    def tables(self) -> TransitionTables:
        """The tables that the next step follows."""
        return self._phase().tables

    @property
    def layout(self) -> GridLayout | None:
        """Where the states lie now; None where they lie on no grid."""
        return self._phase().layout

    def steps_until_change(self) -> int | None:
        """Return for how many steps more the current tables hold; None: for ever."""
        return min(
            (change.step - self.num_steps for change in self._phases if change.step > self.num_steps), default=None
        )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode. A seed also takes the environment back to its first tables."""
        super().reset(seed=seed)
        if seed is not None:
            self.num_steps = 0
        self.s = _draw(self.tables.initial_cumulative, self.np_random)
        return self._observe(), self._info(1.0)

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one of the outcomes of an action."""
        tables = self.tables
        assert self.action_space.contains(action), f"action {action!r} is not one of {self.action_space}"
        pair = self.s * tables.num_actions + int(action)
        first, stop = int(tables.start[pair]), int(tables.start[pair + 1])
        outcome = first + _draw(tables.cumulative[first:stop], self.np_random)
        reward = float(tables.reward[outcome])
        if len(tables.noise) and tables.noise[outcome] > 0:
            reward += float(tables.noise[outcome]) * self.np_random.standard_normal()
        self.s = int(tables.next_state[outcome])
        self.num_steps += 1
        terminated = bool(tables.discount[outcome] == 0)
        return self._observe(), reward, terminated, False, self._info(float(tables.probability[outcome]))

    def render(self) -> Any:
        """Return the current state as text or as a picture, in its grid; where there is none, states lie row by row."""
        if self.render_mode is None:
            assert self.spec is not None
            gym.logger.warn(f'render() needs a mode: gymnasium.make("{self.spec.id}", render_mode="rgb_array")')
            return None
        layout = self.layout
        if self.render_mode == "ansi":
            return layout.text(self.s) if layout is not None else f"{self.describe(self.s)}\n"
        if layout is None:
            num_states = self.tables.num_states
            width = ceil(sqrt(num_states))
            layout = GridLayout(ceil(num_states / width), width)
        return layout.picture(self.s)

    def describe(self, state: int) -> str:
        """Return a state in words."""
        return f"state {state}"

    def _phase(self) -> Change:
        return next(phase for phase in reversed(self._phases) if phase.step <= self.num_steps)

    def _observe(self) -> Any:
        tables = self.tables
        number = int(tables.observation[self.s]) if len(tables.observation) else self.s
        return tuple(int(part) for part in np.unravel_index(number, self._parts)) if self._parts else number

    def _info(self, probability: float) -> dict[str, Any]:
        info: dict[str, Any] = {"prob": probability}
        legal = self.tables.legal
        if len(legal):
            info["action_mask"] = legal[self.s].astype(np.int8)
        return info


def check_at_least(env: str, least: float, **settings: float) -> None:
    """Check that constructor settings are numbers not below a bound.

    Raises:
        UserError: One is.
    """
    for name, value in settings.items():
        if not value >= least:
            raise UserError(f"{env}: {name} must be at least {least}, got {value}")


def _draw(cumulative: Array, rng: np.random.Generator) -> int:
    """Return the first index whose running sum is greater than one `random()`; 0 where rounding left none."""
    index = int(cumulative.searchsorted(rng.random(), side="right"))
    return index if index < len(cumulative) else 0
