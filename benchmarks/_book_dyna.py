"""Planning and learning: the mazes of chapter 8 of Sutton & Barto (2018).

`_dyna_book` measures; here it is split among threads, and held against what is expected. R runs, E episodes, T steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from _book_pictures import curve, finish
from _book_rows import EXPECTED_RUNS, Row, exact, sampled
from _book_runs import Effort, Item, Result, in_threads, tables_of
from _dyna_book import changing_maze_rewards, finds_shortcut, maze_lengths, updates_to_path

from tengen.planners.dynamic_programming import value_iteration
from tengen.planners.exact import evaluate_exactly
from tengen.planners.policies import random_policy, tied_actions
from tengen.tables import TransitionTables
from tengen.types import Array, Ints

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PARTS = 10  # that runs are measured in, each with a seed of its own
_RESAMPLES = 400


def in_parts(effort: Effort, key: str, num_runs: int, measure: Callable[[int, int], Ints]) -> Ints:
    """Return what a function of a seed and a number of runs measures, its rows joined."""
    count = min(_PARTS, num_runs)
    seeds = effort.seed_of(key).generate_state(count, np.uint32)
    runs = np.diff(np.arange(count + 1) * num_runs // count)
    parts = list(zip(seeds.tolist(), runs.tolist(), strict=True))
    return np.concatenate(in_threads(lambda own: [measure(seed, number) for seed, number in own], parts))


def dyna_maze(effort: Effort) -> Result:
    """Return how fast Dyna-Q learns the maze, by planning steps."""
    tables = tables_of("tengen/DynaMaze-v0")
    best = value_iteration(tables, 0.95)
    tied = tied_actions(best.q, tables.legal)
    greedy = 0.1 / 4 + 0.9 * tied / tied.sum(1, keepdims=True)
    settings = "alpha 0.1, gamma 0.95, epsilon 0.1"
    rows = [
        exact("mean steps of a random walk", mean_steps(tables, random_policy(tables)), "868.73"),
        exact(
            "mean steps, greedy on Q*, any of those that tie", mean_steps(tables, greedy), "15.878", settings=settings
        ),
    ]
    num_runs = effort.runs(2_000, 300)
    lengths: dict[int, Ints] = {}
    for planning_steps, text in ((0, "29"), (5, "6"), (50, "3")):
        own = in_parts(
            effort,
            f"dyna maze {planning_steps}",
            num_runs if planning_steps < 50 else num_runs // 2,
            lambda seed, runs, n=planning_steps: maze_lengths(n, 50, seed, runs),  # type: ignore[misc]  # a lambda with defaults, which bind
        )
        lengths[planning_steps] = own
        rows += [
            sampled(f"mean steps of episode 1, n {planning_steps}", own[:, 0], "868.73", settings=settings,
                    expected_is_exact=True),
            first_below(own, 20.0, text, f"first episode whose mean is 20 or fewer, n {planning_steps}", settings),
        ]  # fmt: skip

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for planning_steps, own in lengths.items():
            curve(axes, np.arange(2, 51), own[:, 1:], f"{planning_steps} planning steps")
        axes.set_ylim(0, 800)
        finish(axes, f"Dyna maze, {num_runs} runs, from episode 2", "episodes", "steps per episode")

    return Result(rows, draw)


def mean_steps(tables: TransitionTables, policy: Array) -> float:
    """Return the mean length of a policy's episodes."""
    counting = tables._replace(reward=np.ones_like(tables.reward))
    return float(tables.initial @ evaluate_exactly(counting, policy, 1.0))


def first_below(values: Ints, limit: float, expected: str, quantity: str, settings: str) -> Row:
    """Return the row of the first column, counted from 1, whose mean over runs [R, E] is no greater than a limit.

    Its standard errors, ours and that of the expected number's runs, are those of drawing the runs anew.
    """
    rng = np.random.default_rng(0)

    def spread(size: int) -> float:
        draws = [first_column(values[rng.integers(len(values), size=size)], limit) for _ in range(_RESAMPLES)]
        return float(np.std(draws))

    note = "standard errors by drawing the runs anew"
    theirs = spread(EXPECTED_RUNS)
    return Row(
        quantity, first_column(values, limit), spread(len(values)), len(values), expected, theirs, True, settings, note
    )


def first_column(values: Ints, limit: float) -> float:
    """Return the number, from 1, of the first column whose mean is no greater than a limit; NaN if there is none."""
    below = np.flatnonzero(values.mean(0) <= limit)
    return float(below[0] + 1) if len(below) else math.nan


_AGENTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Dyna-Q": ("dyna_q", {}),
    "Dyna-Q+, kappa 1e-3": ("dyna_q_plus", {"kappa": 1e-3}),
    "Dyna-Q+, kappa 1e-2": ("dyna_q_plus", {"kappa": 1e-2}),
}


def changing_mazes(effort: Effort) -> Result:
    """Return how Dyna-Q and Dyna-Q+ do where the maze changes."""
    num_runs, planning_steps = effort.runs(400, 30), 10
    mazes: Mapping[str, tuple[int, int]] = {"Blocking": (3_000, 1_000), "Shortcut": (6_000, 3_000)}
    settings = f"alpha 1, gamma 0.95, epsilon 0.1, {planning_steps} planning steps"
    note = "the expected number's planning steps are not given; 10 is the agents' default"
    rows: list[Row] = []
    rewards: dict[tuple[str, str], Ints] = {}
    for maze, (num_steps, _) in mazes.items():
        for name, (agent, fields) in _AGENTS.items():
            rewards[maze, name] = in_parts(
                effort,
                f"{maze} {name}",
                num_runs,
                lambda seed, runs, a=agent, m=maze, t=num_steps, f=fields: changing_maze_rewards(  # type: ignore[misc]  # a lambda with defaults, which bind
                    a, m, t, seed, runs, {**f, "planning_steps": planning_steps}
                ),
            )
    for name, text in (("Dyna-Q", "75"), ("Dyna-Q+, kappa 1e-3", "142"), ("Dyna-Q+, kappa 1e-2", "")):
        own = rewards["Blocking", name][:, -1]
        rows.append(sampled(f"blocking, reward at step 3000, {name}", own, text, settings=settings, note=note))
    for name, text in (("Dyna-Q", "0"), ("Dyna-Q+, kappa 1e-3", "100"), ("Dyna-Q+, kappa 1e-2", "")):
        agent, fields = _AGENTS[name]
        shortest = in_parts(
            effort,
            f"shortcut found {name}",
            num_runs,
            lambda seed, runs, a=agent, f=fields: finds_shortcut(  # type: ignore[misc]  # a lambda with defaults, which bind
                a, 6_000, seed, runs, {**f, "planning_steps": planning_steps}
            ),
        )
        found = 100.0 * (shortest < 16)
        rows.append(sampled(f"shortcut, % of runs that find it, {name}", found, text, settings=settings, note=note))
        own = rewards["Shortcut", name][:, -1]
        rows.append(sampled(f"shortcut, reward at step 6000, {name}", own, settings=settings))

    def draw(figure: Figure) -> None:
        for axes, (maze, (num_steps, change)) in zip(figure.subplots(1, 2), mazes.items(), strict=True):
            for name in _AGENTS:
                curve(axes, np.arange(1, num_steps + 1)[::20], rewards[maze, name][:, ::20], name)
            axes.axvline(change, color="0.5", ls=":")
            finish(axes, f"{maze.lower()} maze, {num_runs} runs", "time steps", "cumulative reward")

    return Result(rows, draw, (10, 4))


def sweeping(effort: Effort) -> Result:
    """Return the updates that prioritized sweeping and Dyna-Q need until the greedy path is nearly shortest."""
    expected = {1: ("958", "5622"), 2: ("10700", "32200")}
    agents = {"prioritized sweeping": "prioritized_sweeping", "Dyna-Q": "dyna_q"}
    settings = "alpha 0.5, gamma 0.95, epsilon 0.1, 5 planning steps"
    rows: list[Row] = []
    means: dict[str, list[Ints]] = {name: [] for name in agents}
    scales: Sequence[int] = (1, 2, 3) if not effort.quick else (1,)
    for scale in scales:
        num_runs = effort.runs({1: 200, 2: 40, 3: 8}[scale], 20)
        for k, (name, agent) in enumerate(agents.items()):
            own = in_parts(
                effort,
                f"sweeping {scale} {name}",
                num_runs,
                lambda seed, runs, a=agent, s=scale: updates_to_path(a, s, seed, runs, {}),  # type: ignore[misc]  # a lambda with defaults, which bind
            )
            means[name].append(own)
            text = expected[scale][k] if scale in expected else ""
            note = "the expected number's settings are not all known" if text else ""
            rows.append(sampled(f"updates, {47 * scale**2} states, {name}", own, text, gated=False, settings=settings,
                                note=note))  # fmt: skip

    for scale, text, fewer, more in zip(scales, ("5.87", "3.01", ""), *means.values(), strict=False):
        rows.append(times(f"updates of Dyna-Q to one of sweeping, {47 * scale**2} states", fewer, more, text))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name, own in means.items():
            errors = [2 * runs.std(ddof=1) / math.sqrt(len(runs)) for runs in own]
            axes.errorbar([47 * s**2 for s in scales], [runs.mean() for runs in own], errors, marker="o", capsize=3,
                          label=name)  # fmt: skip
        axes.set(xscale="log", yscale="log")
        finish(axes, "prioritized sweeping, mazes", "states", "updates until a path within 1.2 of the shortest")

    return Result(rows, draw)


def times(quantity: str, fewer: Ints, more: Ints, expected: str) -> Row:
    """Return the row of how many times the mean of one is that of the other, its error to the first order."""
    ratio = float(more.mean() / fewer.mean())
    spread = ratio * math.hypot(*(own.std(ddof=1) / own.mean() for own in (fewer, more)))
    theirs = spread / math.sqrt(EXPECTED_RUNS) if expected else 0.0
    error = spread / math.sqrt(len(more))
    return Row(quantity, ratio, error, len(more), expected, theirs, bool(expected))


ITEMS = (
    Item("dyna_maze", "Figure 8.2: Dyna maze", dyna_maze),
    Item("changing_mazes", "Figures 8.4 and 8.5: blocking and shortcut mazes", changing_mazes),
    Item("sweeping", "Example 8.4: prioritized sweeping", sweeping),
)
