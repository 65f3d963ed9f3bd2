"""Where an environment's states lie on paper: on grids, or on charts with two axes.

What is known here are facts of environments; who has learnt what in them makes no difference.
H W a grid, S states of the transition tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tengen.envs.config import EnvConfig
from tengen.types import Array, Bools, Ints

if TYPE_CHECKING:
    import gymnasium as gym

    from tengen.envs.book import GridLayout


@dataclass(frozen=True)
class GridPanel:
    """A grid whose cells are states.

    Attributes:
        layout: The grid.
        states: The state of each cell [H * W].
        moves: What each action does: a step (rows, columns), or what to write for it; () where actions are no moves.
        title: What all its states have in common.
        letters: Written into cells.
        bars: Walls between a cell and the next one on its right.
        columns: What is written below each column [W]; their numbers unless given.
    """

    layout: GridLayout
    states: Ints
    moves: tuple[tuple[int, int] | str, ...] = ()
    title: str = ""
    letters: Mapping[int, str] = field(default_factory=dict)
    bars: frozenset[int] = frozenset()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grids:
    """Grids to be drawn side by side, by rows; None leaves a gap."""

    panels: list[list[GridPanel | None]]


@dataclass(frozen=True)
class Axis:
    """One side of a chart.

    Attributes:
        name: What it shows, with its unit.
        points: Where the values of a row or column of states lie.
        labels: What is written at the points; their numbers unless given.
    """

    name: str
    points: Array
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chart:
    """States that lie on two axes.

    Attributes:
        title: What they have in common.
        x: Columns.
        y: Rows, the first one lowest.
        states: [rows, columns].
        actions: What the actions mean here [A]; the environment's own names unless given.
        about_actions: What they are numbers of.
    """

    title: str
    x: Axis
    y: Axis
    states: Ints
    actions: tuple[str, ...] = ()
    about_actions: str = ""


@contextmanager
def made(config: EnvConfig) -> Iterator[gym.Env[Any, Any] | None]:
    """Give the plain environment behind a run's settings; None where it is none of Gymnasium's."""
    import gymnasium as gym

    import tengen.envs.book  # noqa: F401  # registers the book's environments

    try:
        env = gym.make(config.id, disable_env_checker=True, **config.kwargs)
    except gym.error.Error:
        env = None
    try:
        yield None if env is None else env.unwrapped
    finally:
        if env is not None:
            env.close()


def layout_at(config: EnvConfig, step: int = 0) -> GridLayout | None:
    """Return where an environment's states lie; None where they are on no grid.

    Args:
        config: The environment.
        step: Environment steps taken: a maze may have changed.
    """
    with made(config) as env:
        return _layout(env, step // config.num_envs)


def grids_of(config: EnvConfig, step: int = 0) -> Grids | None:
    """Return the grids that an environment's states lie on; None where they lie on none. See `layout_at`."""
    from gymnasium.envs.toy_text.taxi import TaxiEnv

    from tengen.envs.book.gridworlds import WIND, WindyGridworld

    with made(config) as env:
        if isinstance(env, TaxiEnv):
            return _taxi(env)
        layout = _layout(env, step // config.num_envs)
        wind = WIND if isinstance(env, WindyGridworld) else ()
    if layout is None or not layout.moves:
        return None
    columns = tuple(f"{column}\nwind {rows}" for column, rows in enumerate(wind))
    return Grids([[GridPanel(layout, np.arange(layout.num_states), layout.moves, columns=columns)]])


def charts_of(config: EnvConfig) -> list[Chart]:
    """Return the charts that an environment's states lie on; none where they lie on none."""
    from gymnasium.envs.toy_text.blackjack import BlackjackEnv

    from tengen.envs.book.blackjack import Blackjack
    from tengen.envs.book.tasks import JacksCarRental

    with made(config) as env:
        if isinstance(env, BlackjackEnv | Blackjack):
            return _blackjack()
        if isinstance(env, JacksCarRental):
            return _rental(env.tables.num_states, env.tables.num_actions)
    return []


def first_observation(config: EnvConfig) -> Array | None:
    """Return what the episode of seed 0 begins with; None where the environment is none of Gymnasium's."""
    with made(config) as env:
        return None if env is None else np.asarray(env.reset(seed=0)[0])


def masks_of(config: EnvConfig) -> Bools | None:
    """Return the legal actions of each state [S, A], as Taxi tells them by a method; None where there is none."""
    from gymnasium.envs.toy_text.taxi import TaxiEnv

    with made(config) as env:
        if not isinstance(env, TaxiEnv):
            return None
        return np.array([env.action_mask(state) for state in range(len(env.P))], np.bool_)


def _layout(env: gym.Env[Any, Any] | None, num_steps: int) -> GridLayout | None:
    """Return an environment's layout after some steps of its own."""
    from tengen.envs.book import TabularEnv, layout_of

    if isinstance(env, TabularEnv):
        env.num_steps = num_steps
    return None if env is None else layout_of(env)


def _taxi(env: Any) -> Grids:
    """Return a grid for each place where the passenger can be (columns) and wants to go (rows)."""
    from tengen.envs.book import GridLayout

    height, width = len(env.desc) - 2, len(env.desc[0]) // 2
    names = ("Red", "Green", "Yellow", "Blue")
    letters = {row * width + column: name[0] for (row, column), name in zip(env.locs, names, strict=True)}
    bars = {
        row * width + column
        for row in range(height)
        for column in range(width - 1)
        if env.desc[row + 1][2 * column + 2] == b"|"
    }
    moves = ((1, 0), (-1, 0), (0, 1), (0, -1), "pick up", "drop off")
    layout = GridLayout(height, width)
    cells = np.arange(height * width)
    return Grids(
        [
            [
                None
                if at == to
                else GridPanel(
                    layout,
                    (cells * len(whereabouts) + at) * len(names) + to,
                    moves,
                    f"{where} to {goal}",
                    letters,
                    frozenset(bars),
                )
                for at, where in enumerate(whereabouts)
            ]
            for whereabouts in [(*names, "in the taxi")]
            for to, goal in enumerate(names)
        ]
    )


def _blackjack() -> list[Chart]:
    """Return the charts of S&B figure 5.2."""
    from tengen.envs.book.blackjack import OBSERVATION_SIZES

    dealer = Axis("dealer showing", np.arange(1, 11), ("A", *map(str, range(2, 11))))

    def chart(title: str, ace: int, least: int) -> Chart:
        player = np.arange(least, 22)
        numbers = np.ravel_multi_index((player[:, None], dealer.points[None], np.array(ace)), OBSERVATION_SIZES)
        return Chart(title, dealer, Axis("player sum", player), np.asarray(numbers, np.int64))

    return [chart("usable ace", 1, 12), chart("no usable ace", 0, 11)]


def _rental(num_states: int, num_actions: int) -> list[Chart]:
    """Return the chart of S&B figure 4.2."""
    side, most = round(num_states**0.5), num_actions // 2
    cars = np.arange(side)
    return [
        Chart(
            "",
            Axis("cars at the second location", cars),
            Axis("cars at the first location", cars),
            np.arange(num_states).reshape(side, side),
            tuple(f"{a - most:+d}" if a != most else "0" for a in range(num_actions)),
            "cars moved from the first to the second location",
        )
    ]
