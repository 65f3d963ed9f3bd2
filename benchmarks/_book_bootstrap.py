"""Between temporal differences and Monte Carlo: the 19-state random walk of chapters 7 and 12 of Sutton & Barto (2018).

R runs, X step sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from _book_pictures import finish
from _book_rows import Row, sampled
from _book_runs import Effort, Item, Result, Trial, repeat
from _book_temporal import root_mean_square

from tengen.agents.tabular import PredictionConfig
from tengen.types import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WALK19 = np.arange(-9, 10) / 10
"""The true values of the 19 states."""

_NUM_EPISODES = 10
_SETTINGS = "19 states, gamma 1, v0 0, mean over the first 10 episodes"


def walk_errors(effort: Effort, num_runs: int, **fields: Any) -> Floats:
    """Return each run's error, the mean over the first 10 episodes, [R]."""

    def measure(trial: Trial) -> float:
        errors = []
        for _ in range(_NUM_EPISODES):
            trial.episodes(1)
            errors.append(root_mean_square(trial.agent.learner.v, WALK19))
        return float(np.mean(errors))

    key = " ".join(str(value) for value in fields.values())
    config = PredictionConfig(gamma=1.0, **fields)
    return np.array(repeat(config, "tengen/RandomWalk19-v0", effort, num_runs, f"19 states {key}", measure))


def n_step(effort: Effort) -> Result:
    """Return the errors of n-step TD by n and step size."""
    expected = {
        1: (0.82, "0.345"),
        2: (0.58, "0.276"),
        4: (0.38, "0.2625"),
        8: (0.24, "0.275"),
        16: (0.14, "0.310"),
    }
    num_runs = effort.runs(1_000, 200)
    rows = [
        sampled(
            f"RMS error, n {n}, alpha {alpha:g}",
            walk_errors(effort, num_runs, method="n_step", n_step=n, step_size=alpha),
            text,
            settings=_SETTINGS,
        )
        for n, (alpha, text) in expected.items()
    ]
    drawn = effort.runs(50, 2)
    alphas = np.linspace(0, 1, effort.runs(21, 6))
    curves = {
        f"n = {n}": [
            walk_errors(effort, drawn, method="n_step", n_step=n, step_size=float(alpha)).mean() for alpha in alphas
        ]
        for n in (2**k for k in range(effort.runs(10, 5)))
    }

    def draw(figure: Figure) -> None:
        draw_by_step_size(figure, curves, alphas, f"n-step TD, 19 states, {drawn} runs")

    return Result(rows, draw)


def draw_by_step_size(
    figure: Figure, curves: Mapping[str, Sequence[float]], alphas: Floats | Mapping[str, Floats], title: str
) -> None:
    """Draw a curve of mean errors for each name, by step size."""
    axes = figure.subplots()
    for name, errors in curves.items():
        axes.plot(alphas[name] if isinstance(alphas, Mapping) else alphas, errors, label=name, lw=1.2)
    axes.set_ylim(0.22, 0.56)
    finish(axes, title, "alpha", "RMS error over states and 10 episodes")


def td_lambda(effort: Effort) -> Result:
    """Return the errors of TD(lambda) by lambda and step size, with accumulating traces."""
    expected = {0.0: "0.344", 0.4: "0.270", 0.8: "0.258", 0.9: "0.288", 1.0: "0.500"}
    return by_lambda(effort, "lambda", "TD(lambda)", expected)


def true_online(effort: Effort) -> Result:
    """Return the errors of true online TD(lambda)."""
    return by_lambda(effort, "true_online", "true online TD(lambda)", {0.8: "0.250"})


_STEP_SIZES: Mapping[str, Mapping[float, tuple[float, float]]] = {
    "lambda": {0.0: (0.4, 1.0), 0.4: (0.3, 0.9), 0.8: (0.1, 0.6), 0.9: (0.05, 0.35), 0.95: (0.02, 0.2),
               0.975: (0.01, 0.12), 0.99: (0.005, 0.06), 1.0: (0.0025, 0.03)},
    "true_online": {0.0: (0.4, 1.0), 0.4: (0.3, 1.0), 0.8: (0.1, 0.8), 0.9: (0.05, 0.6), 0.95: (0.02, 0.5),
                    0.975: (0.01, 0.4), 0.99: (0.01, 0.4), 1.0: (0.005, 0.4)},
}  # fmt: skip
"""Least and greatest step size to try for each lambda: what lies beyond errs more."""


def by_lambda(effort: Effort, method: Any, name: str, expected: Mapping[float, str]) -> Result:
    """Return the least error of a method over step sizes for each lambda, and its curves.

    The least is sought with some runs, and measured with others, so that it is not chosen for its luck.
    """
    sought, measured, count = effort.runs(60, 6), effort.runs(1_000, 200), effort.runs(13, 8)
    rows: list[Row] = []
    curves: dict[str, list[float]] = {}
    steps: dict[str, Floats] = {}
    for decay, bounds in _STEP_SIZES[method].items():
        if effort.quick and decay not in expected:
            continue
        alphas = np.linspace(*bounds, count)
        fields = {"method": method, "trace_decay": decay}
        errors = [walk_errors(effort, sought, step_size=float(alpha), **fields).mean() for alpha in alphas]
        label = f"lambda {decay:g}"
        curves[label], steps[label] = errors, alphas
        best = smoothed_minimum(alphas, np.array(errors))
        again = walk_errors(effort, measured, step_size=best, **fields)
        text = expected.get(decay, "")
        settings = f"{_SETTINGS}, alpha {best:.3g}, the best of {bounds[0]:g} to {bounds[1]:g}"
        rows.append(sampled(f"least RMS error, {label}", again, text, settings=settings))

    def draw(figure: Figure) -> None:
        draw_by_step_size(figure, curves, steps, f"{name}, 19 states, {sought} runs")

    return Result(rows, draw)


def smoothed_minimum(x: Floats, y: Floats) -> float:
    """Return where a parabola through the least noisy point and its neighbours, two on each side, is lowest."""
    least = int(y.argmin())
    near = slice(max(least - 2, 0), least + 3)
    square, slope, _ = np.polyfit(x[near], y[near], 2)
    if square <= 0:
        return float(x[least])
    return float(np.clip(-slope / (2 * square), x[near][0], x[near][-1]))


ITEMS = (
    Item("n_step", "Figure 7.2: n-step TD", n_step),
    Item("td_lambda", "Figure 12.6: TD(lambda)", td_lambda),
    Item("true_online", "Figure 12.8: true online TD(lambda)", true_online),
)
