"""Findings over several tasks, whose scores are put on one scale: 0 is random play, 1 is somebody good.

R runs, T tasks, P points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tengen.evaluation import statistics
from tengen.evaluation.comparison.as_json import interval_values, numbers, pair_values, points
from tengen.evaluation.comparison.comparison import Comparison
from tengen.evaluation.comparison.final_scores import all_pairs, final_score, paired_differences
from tengen.evaluation.comparison.finished import FinishedRun
from tengen.evaluation.separation import corrected, separation
from tengen.types import Floats

PAIR_RESAMPLES = 10_000
CURVE_RESAMPLES = 2_000
PROFILE_POINTS = 101

_POINTS = 60  # of curves


def aggregate(comparison: Comparison, rng: np.random.Generator, resamples: int) -> dict[str, Any] | None:
    """Return statistics over all tasks on one scale, of the agents that ran on all; None where there is no scale."""
    tasks = comparison.tasks
    agents = [agent for agent in comparison.agents if all(comparison.runs(task.name, agent) for task in tasks)]
    if len(tasks) < 2 or len({task.env for task in tasks}) < len(tasks) or not agents:
        return None
    scale = _scale(comparison)
    if scale is None:
        return None
    name, low, high = scale
    members = {agent: [comparison.runs(task.name, agent) for task in tasks] for agent in agents}
    scores = {agent: _matrix(comparison, of_tasks, low, high) for agent, of_tasks in members.items()}
    known = [each[~np.isnan(each)] for each in scores.values()]
    thresholds = np.linspace(0.0, max(1.0, *(float(each.max()) for each in known)), PROFILE_POINTS)
    pairs = []
    for a, b in all_pairs(agents):
        paired = _paired_tasks(members[a], members[b], scores[a], scores[b])
        few = min(resamples, PAIR_RESAMPLES)
        pairs.append(separation(a, b, scores[a], scores[b], rng, paired=paired, resamples=few))
    found = []
    for agent in agents:
        aggregates = statistics.bootstrap(scores[agent], statistics.STATISTICS, rng, resamples=resamples)
        profile = statistics.performance_profile(scores[agent], thresholds, rng, resamples=CURVE_RESAMPLES)
        found.append(
            {
                "name": agent,
                "scores": {key: interval_values(value) for key, value in aggregates.items()},
                "normalized": {
                    task.name: numbers(column[~np.isnan(column)])
                    for task, column in zip(tasks, scores[agent].T, strict=True)
                },
                "profile": points(profile),
                "curve": _aggregate_curve(comparison, members[agent], low, high, rng),
            }
        )
    return {
        "normalization": name,
        "scale": {
            task.name: {"low": float(zero), "high": float(one)}
            for task, zero, one in zip(tasks, low, high, strict=True)
        },
        "profile_thresholds": numbers(thresholds),
        "agents": found,
        "pairs": [pair_values(pair, "mean normalised score") for pair in corrected(pairs)],
    }


def _scale(comparison: Comparison) -> tuple[str, Floats, Floats] | None:
    """Return what is 0 and what is 1 on each task, and its name; None where random play is not known.

    0 is random play: of a score table, else the mean of the agent `random`. 1 is a human where the table has all, else
    the score `optimal` where all have it, else the best agent's mean.
    """
    tasks = comparison.tasks
    means = [
        {
            agent: float(np.mean([final_score(run, comparison.budget(task.name)) for run in runs]))
            for agent in comparison.agents_on(task.name)
            if (runs := comparison.runs(task.name, agent))
        }
        for task in tasks
    ]
    low = [task.references.get("random", of.get("random", math.nan)) for task, of in zip(tasks, means, strict=True)]
    if all("human" in task.references for task in tasks):
        name, high = "human", [task.references["human"] for task in tasks]
    elif all("optimal" in task.references for task in tasks):
        name, high = "optimal", [task.references["optimal"] for task in tasks]
    else:
        name, high = "best agent", [max(of.values()) for of in means]
    zero, one = np.array(low, float), np.array(high, float)
    if np.isnan(zero).any() or (zero == one).any():
        return None
    return name, zero, one


def _matrix(comparison: Comparison, of_tasks: Sequence[Sequence[FinishedRun]], low: Floats, high: Floats) -> Floats:
    """Return normalised scores [R, T], NaN where a task has fewer runs."""
    found = np.full((max(map(len, of_tasks)), len(of_tasks)), np.nan)
    for k, (task, runs) in enumerate(zip(comparison.tasks, of_tasks, strict=True)):
        found[: len(runs), k] = [final_score(run, comparison.budget(task.name)) for run in runs]
    return statistics.normalized(found, low, high)


def _paired_tasks(
    a: Sequence[Sequence[FinishedRun]], b: Sequence[Sequence[FinishedRun]], scores_a: Floats, scores_b: Floats
) -> Floats | None:
    """Return differences by task and seed [R, T], NaN where a seed is in one only; None where a task has none."""
    columns = []
    for k, (of_a, of_b) in enumerate(zip(a, b, strict=True)):
        column = paired_differences(of_a, of_b, scores_a[: len(of_a), k], scores_b[: len(of_b), k])
        if column is None:
            return None
        columns.append(column[:, 0])
    found = np.full((max(map(len, columns)), len(columns)), np.nan)
    for k, differences in enumerate(columns):
        found[: len(differences), k] = differences
    return found


def _aggregate_curve(
    comparison: Comparison,
    of_tasks: Sequence[Sequence[FinishedRun]],
    low: Floats,
    high: Floats,
    rng: np.random.Generator,
) -> dict[str, Any] | None:
    """Return the IQM over runs and tasks by the part of the steps that are done, which tasks may differ in."""
    budgets = [comparison.budget(task.name) for task in comparison.tasks]
    start = max(
        run.evaluations.steps[0] / budget for runs, budget in zip(of_tasks, budgets, strict=True) for run in runs
    )
    if start >= 1:
        return None
    part = np.linspace(start, 1.0, _POINTS)
    curves = np.full((max(map(len, of_tasks)), len(of_tasks), len(part)), np.nan)
    for k, (runs, budget) in enumerate(zip(of_tasks, budgets, strict=True)):
        for r, run in enumerate(runs):
            scores = np.interp(part * budget, run.evaluations.steps, run.evaluations.scores)
            curves[r, k] = (scores - low[k]) / (high[k] - low[k])
    found = statistics.sample_efficiency(curves, rng, resamples=CURVE_RESAMPLES)
    return {"part": numbers(part), **points(found, "iqm")}
