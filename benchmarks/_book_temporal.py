"""Temporal differences: chapter 6 of Sutton & Barto (2018).

R runs, E episodes, S states.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from _book_exact import best_exploring
from _book_pictures import curve, finish
from _book_rows import Row, exact, sampled
from _book_runs import Effort, Item, Result, Trial, repeat, tables_of

from tengen.agents.tabular import (
    DoubleQLearningConfig,
    ExpectedSarsaConfig,
    PredictionConfig,
    QLearningConfig,
    SarsaConfig,
)
from tengen.types import Array, Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WALK = np.arange(1, 6) / 6
"""The true values of the random walk's states, A to E."""

CONTROL: Mapping[str, Any] = {
    "Sarsa": SarsaConfig,
    "Q-learning": QLearningConfig,
    "Expected Sarsa": ExpectedSarsaConfig,
}


def values_by_episode(trial: Trial, num_episodes: int) -> Floats:
    """Return the values [E + 1, S] before the first episode and after each."""
    seen = [trial.agent.learner.v.copy()]
    for _ in range(num_episodes):
        trial.episodes(1)
        seen.append(trial.agent.learner.v.copy())
    return np.array(seen)


def root_mean_square(values: Array, truth: Floats) -> Floats:
    """Return the error [...] of values [..., S + 2], ends included, over the states between the ends."""
    errors: Floats = np.sqrt(np.mean((values[..., 1:-1] - truth) ** 2, axis=-1))
    return errors


def random_walk(effort: Effort) -> Result:
    """Return the errors of TD(0) and constant-alpha Monte Carlo on the random walk after 100 episodes."""
    expected = {
        ("td", 0.15): "0.0712",
        ("td", 0.1): "0.0561",
        ("td", 0.05): "0.0356",
        ("mc", 0.01): "0.0969",
        ("mc", 0.02): "0.0819",
        ("mc", 0.03): "0.0940",
        ("mc", 0.04): "0.1078",
    }
    gated, drawn = effort.runs(2_000, 300), effort.runs(100, 10)
    rows, curves = [], {}
    for (method, alpha), text in expected.items():
        config = walk_config(method, alpha)
        after = repeat(config, "tengen/RandomWalk-v0", effort, gated, f"walk {method} {alpha}", values_after_100)
        name = f"{method.upper()}, alpha {alpha:g}"
        settings = "gamma 1, v0 0.5, 5 states" + (", every visit" if method == "mc" else "")
        rows.append(sampled(f"RMS error at episode 100, {name}", root_mean_square(np.array(after), WALK), text,
                            settings=settings))  # fmt: skip
        runs = repeat(config, "tengen/RandomWalk-v0", effort, drawn, f"walk curve {method} {alpha}", values_to_100)
        curves[name] = root_mean_square(np.array(runs), WALK)
    one = repeat(walk_config("td", 0.1), "tengen/RandomWalk-v0", effort, 1, "walk alone", values_to_100)[0]

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for episodes in (0, 1, 10, 100):
            left.plot(list("ABCDE"), one[episodes, 1:-1], marker=".", label=f"{episodes} episodes")
        left.plot(list("ABCDE"), WALK, "k", lw=1, label="true")
        finish(left, "TD(0), one run, alpha 0.1", "state", "value")
        for name, errors in curves.items():
            curve(right, np.arange(101), errors, name, linestyle="-" if name.startswith("TD") else "--")
        finish(right, f"mean of {drawn} runs", "episodes", "RMS error over states")

    return Result(rows, draw, (10, 4))


def walk_config(method: Any, alpha: float) -> PredictionConfig:
    """Return the settings of example 6.2."""
    return PredictionConfig(method=method, step_size=alpha, gamma=1.0, initial_value=0.5)


def values_after_100(trial: Trial) -> Floats:
    """Return the values after 100 episodes, [S]."""
    trial.episodes(100)
    return np.array(trial.agent.learner.v)


def values_to_100(trial: Trial) -> Floats:
    """Return the values by episode, [101, S]."""
    return values_by_episode(trial, 100)


def batch(effort: Effort) -> Result:
    """Return the errors of batch TD and batch Monte Carlo, which learn from all episodes so far until they settle."""
    num_runs = effort.runs(100, 6)
    curves: dict[str, Floats] = {}
    for method in ("batch_td", "batch_mc"):
        config = PredictionConfig(method=method, step_size=0.5, gamma=1.0, initial_value=0.5, tolerance=1e-5)
        runs = repeat(config, "tengen/RandomWalk-v0", effort, num_runs, method, values_to_100)
        curves[method] = root_mean_square(np.array(runs), WALK)[:, 1:]
    rows = [
        sampled(f"RMS error at episode {e}, {name}", curves[method][:, e - 1], settings="gamma 1, until changes < 1e-5")
        for method, name in (("batch_td", "batch TD"), ("batch_mc", "batch MC"))
        for e in (25, 100)
    ]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for method, name in (("batch_td", "batch TD"), ("batch_mc", "batch MC")):
            curve(axes, np.arange(1, 101), curves[method], name)
        axes.set_ylim(0, 0.25)
        finish(axes, f"random walk, {num_runs} runs", "episodes", "RMS error over states")

    return Result(rows, draw)


def windy(effort: Effort) -> Result:
    """Return how Sarsa's episodes shorten in the windy gridworld."""
    num_steps, num_runs = 8_000, effort.runs(500, 50)
    config = SarsaConfig(gamma=1.0, step_size=0.5, epsilon_start=0.1, epsilon_end=0.1)
    counts = np.zeros((num_runs, num_steps), np.int64)
    ends = repeat(config, "tengen/WindyGridworld-v0", effort, num_runs, "windy", lambda trial: trial.steps(num_steps))
    for count, own in zip(counts, ends, strict=True):
        count[own - 1] = 1
    counts = counts.cumsum(1)
    late = 1_000 / (counts[:, -1] - counts[:, -1_001])
    settings = "Sarsa, alpha 0.5, epsilon 0.1, gamma 1"
    rows = [
        exact(
            "mean episode length, best policy, epsilon 0.1",
            -best_exploring(tables_of("tengen/WindyGridworld-v0"), 0.1),
            "17",
            gated=False,
            note="about 17, says the text",
        ),
        sampled("mean episode length, steps 7001-8000", late, settings=settings),
        sampled("episodes in 8000 steps", counts[:, -1], settings=settings),
    ]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        curve(axes, np.arange(1, num_steps + 1)[::20], counts[:, ::20], "Sarsa")
        finish(axes, f"windy gridworld, {num_runs} runs", "time steps", "episodes")

    return Result(rows, draw)


def cliff(effort: Effort) -> Result:
    """Return what exploring costs three agents on the cliff."""
    num_runs = effort.runs(2_000, 300)
    expected = {"Sarsa": "-27.0", "Q-learning": "-49.9", "Expected Sarsa": "-20.9"}
    returns = {name: cliff_returns(effort, name, 0.5, 500, num_runs) for name in expected}
    rows = [
        sampled(
            f"mean return of episodes 401-500, {name}",
            returns[name][:, 400:].mean(1),
            text,
            settings="alpha 0.5, epsilon 0.1, gamma 1",
        )
        for name, text in expected.items()
    ]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name, own in returns.items():
            curve(axes, np.arange(1, 501), own, name)
        axes.set_ylim(-100, 0)
        finish(axes, f"the cliff, {num_runs} runs", "episodes", "sum of rewards during the episode")

    return Result(rows, draw)


def cliff_returns(effort: Effort, name: str, alpha: float, num_episodes: int, num_runs: int) -> Floats:
    """Return the returns of an agent's episodes on the cliff, epsilon 0.1, [R, E]."""
    config = CONTROL[name](gamma=1.0, step_size=alpha, epsilon_start=0.1, epsilon_end=0.1)
    key = f"cliff {name} {alpha:g} {num_episodes}"
    return np.array(
        repeat(config, "CliffWalking-v1", effort, num_runs, key, lambda trial: trial.episodes(num_episodes)[0])
    )


def step_sizes(effort: Effort) -> Result:
    """Return interim and asymptotic performance on the cliff as a function of the step size."""
    alphas = np.round(np.arange(0.1, 1.01, effort.runs(1, 3) * 0.1), 1)
    num_interim, num_late, late = effort.runs(500, 20), effort.runs(10, 2), effort.runs(100_000, 2_000)
    interim = {name: [cliff_returns(effort, name, a, 100, num_interim).mean(1) for a in alphas] for name in CONTROL}
    final = {name: [cliff_returns(effort, name, a, late, num_late).mean(1) for a in alphas] for name in CONTROL}
    rows = [
        sampled(f"{name}, alpha {alphas[k]:g}, mean return of {count}", runs[name][k], settings="epsilon 0.1, gamma 1")
        for count, runs in (("100 episodes", interim), (f"{late} episodes", final))
        for name in CONTROL
        for k in (0, -1)
    ]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name, colour in zip(CONTROL, ("C0", "C1", "C2"), strict=True):
            axes.plot(alphas, [r.mean() for r in interim[name]], colour + "--", label=f"{name}, first 100 episodes")
            axes.plot(alphas, [r.mean() for r in final[name]], colour, label=f"{name}, {late:,} episodes")
        axes.set_ylim(-160, 0)
        finish(axes, f"the cliff, {num_interim} and {num_late} runs", "alpha", "sum of rewards per episode")

    return Result(rows, draw)


def maximization_bias(effort: Effort) -> Result:
    """Return how often each agent goes left, which is wrong."""
    num_runs = effort.runs(10_000, 1_000)
    expected = {
        "Q-learning": (QLearningConfig, ("87", "93", "46", "11.9")),
        "Double Q-learning": (DoubleQLearningConfig, ("46", "23", "9.4", "6.6")),
    }
    rows: list[Row] = []
    left: dict[str, Floats] = {}
    for name, (config_class, texts) in expected.items():
        config = config_class(gamma=1.0, step_size=0.1, epsilon_start=0.1, epsilon_end=0.1)
        lengths = repeat(
            config, "tengen/MaximizationBias-v0", effort, num_runs, name, lambda trial: trial.episodes(300)[1]
        )
        left[name] = 100.0 * (np.array(lengths) == 2)  # right ends it after one step
        rows += [
            sampled(
                f"% left at episode {episode}, {name}",
                left[name][:, episode - 1],
                text,
                settings="alpha 0.1, epsilon 0.1, gamma 1, 10 actions in B",
            )
            for episode, text in zip((10, 25, 100, 300), texts, strict=True)
        ]
    rows.append(exact("% left of the best policy", 5.0, settings="epsilon 0.1"))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name, own in left.items():
            curve(axes, np.arange(1, 301), own, name)
        axes.axhline(5.0, color="0.5", ls=":", label="optimal")
        axes.set_ylim(0, 100)
        finish(axes, f"maximization bias, {num_runs} runs", "episodes", "% left from A")

    return Result(rows, draw)


ITEMS = (
    Item("random_walk", "Example 6.2: random walk", random_walk),
    Item("batch", "Figure 6.2: batch training", batch),
    Item("windy", "Example 6.5: windy gridworld, Sarsa", windy),
    Item("cliff", "Example 6.6: the cliff", cliff),
    Item("step_sizes", "Figure 6.3: interim and asymptotic performance", step_sizes),
    Item("maximization_bias", "Figure 6.5: maximization bias", maximization_bias),
)
