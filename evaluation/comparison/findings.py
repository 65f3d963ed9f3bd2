"""All numbers of a comparison: what `results.json` holds, and what the page, the picture and the tables are made of.

Everything is computed here and once, with a generator of a fixed seed, so that the same runs give the same file.

Schema `tengen.comparison/1`, JSON without NaN: null is "not known", and "Infinity" a threshold that was never reached.
An interval is [value, low, high]. `docs/compare.md` names the fields.

R runs, T tasks, P points.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tengen.evaluation import statistics
from tengen.evaluation.comparison.aggregate import CURVE_RESAMPLES, PAIR_RESAMPLES, PROFILE_POINTS, aggregate
from tengen.evaluation.comparison.as_json import interval_values, number_value, numbers, pair_values, points
from tengen.evaluation.comparison.comparison import Comparison, Task
from tengen.evaluation.comparison.final_scores import all_pairs, final_score, median_run, paired_differences
from tengen.evaluation.comparison.finished import Curve, FinishedRun
from tengen.evaluation.comparison.settings import agent_settings
from tengen.evaluation.separation import LEVEL, corrected, separation
from tengen.evaluation.statistics import CONFIDENCE, RESAMPLES, bootstrap
from tengen.evaluation.thresholds import Reached, time_to_threshold
from tengen.types import Floats

SCHEMA = "tengen.comparison/1"

_SEED = 20211108  # of all resampling
_TIME_POINTS = 200
_TRAINING_POINTS = 200


def results(comparison: Comparison, *, resamples: int = RESAMPLES) -> dict[str, Any]:
    """Return everything that a comparison tells, as JSON values."""
    rng = np.random.default_rng(_SEED)
    tasks = [_task(comparison, task, rng, resamples) for task in comparison.tasks]
    found = {
        "schema": SCHEMA,
        "confidence": CONFIDENCE,
        "level": LEVEL,
        "resamples": resamples,
        "agents": list(comparison.agents),
        "tasks": tasks,
        "aggregate": aggregate(comparison, rng, resamples),
        "notes": list(comparison.notes),
        "left_out": [{"folder": str(out.folder), "reason": out.reason} for out in comparison.left_out],
    }
    return {**found, "verdicts": _verdicts(found)}


def _verdicts(found: Mapping[str, Any]) -> list[str]:
    """Return the sentences of the headline: over all tasks first."""
    whole = found["aggregate"]
    sentences = [pair["sentence"] for pair in whole["pairs"]] if whole else []
    several = len(found["tasks"]) > 1
    for task in found["tasks"]:
        prefix = f"{task['name']}: " if several else ""
        sentences += [prefix + pair["sentence"] for pair in task["pairs"]]
    return sentences


def _task(comparison: Comparison, task: Task, rng: np.random.Generator, resamples: int) -> dict[str, Any]:
    agents = comparison.agents_on(task.name)
    runs = {agent: comparison.runs(task.name, agent) for agent in agents}
    budget = comparison.budget(task.name)
    scores = {agent: np.array([final_score(run, budget) for run in members]) for agent, members in runs.items()}
    thresholds = _thresholds(list(scores.values()))
    pairs = [
        separation(
            a,
            b,
            scores[a][:, None],
            scores[b][:, None],
            rng,
            paired=paired_differences(runs[a], runs[b], scores[a], scores[b]),
            resamples=min(resamples, PAIR_RESAMPLES),
        )
        for a, b in all_pairs(agents)
    ]
    episodes = {int(run.settings.get("eval_episodes", 0)) for members in runs.values() for run in members}
    return {
        "name": task.name,
        "env": task.env,
        "settings": dict(task.settings),
        "protocol": None if task.protocol is None else dict(task.protocol),
        "steps": budget,
        "eval_episodes": sorted(episodes),
        "threshold": task.threshold,
        "threshold_source": task.threshold_source,
        "references": dict(task.references),
        "score_table": task.score_table,
        "profile_thresholds": numbers(thresholds),
        "agents": [
            _agent(task, agent, runs[agent], scores[agent], thresholds, budget, rng, resamples) for agent in agents
        ],
        "pairs": [pair_values(pair) for pair in corrected(pairs)],
        "settings_differences": settings_differences(runs),
        "versions": _versions(run for members in runs.values() for run in members),
    }


def _agent(
    task: Task,
    agent: str,
    runs: Sequence[FinishedRun],
    scores: Floats,
    thresholds: Floats,
    budget: int,
    rng: np.random.Generator,
    resamples: int,
) -> dict[str, Any]:
    aggregates = bootstrap(
        scores[:, None],
        {"mean": statistics.mean, "iqm": statistics.iqm, "median": _median_of_runs},
        rng,
        resamples=resamples,
    )
    profile = statistics.performance_profile(scores[:, None], thresholds, rng, resamples=CURVE_RESAMPLES)
    return {
        "name": agent,
        "agent": runs[0].agent,
        "scores": {name: interval_values(found) for name, found in aggregates.items()},
        "spread": number_value(float(scores.std(ddof=1))) if len(scores) > 1 else None,
        "seconds": number_value(float(np.median([run.evaluations.seconds[-1] for run in runs]))),
        "runs": [_run(run, score) for run, score in zip(runs, scores.tolist(), strict=True)],
        "median_seed": runs[median_run(scores)].seed,
        "curve": _curve_over_steps(runs, rng),
        "time_curve": _curve_over_time(runs, rng),
        "profile": points(profile),
        **_reached(task, runs, budget, rng),
    }


def _median_of_runs(scores: Floats, counts: Floats) -> Floats:
    """Return the median over the runs of one task [R, 1], of samples with counts [..., R, 1]: [...]."""
    order = np.argsort(scores[:, 0])
    upto = np.cumsum(counts[..., order, 0], axis=-1)
    middle = upto[..., -1:] / 2
    ordered = scores[order, 0]
    lower = ordered[np.argmax(upto >= middle, axis=-1)]
    upper = ordered[np.argmax(upto > middle, axis=-1)]
    return np.asarray((lower + upper) / 2)


def _thresholds(scores: Sequence[Floats]) -> Floats:
    """Return points from below the smallest to the greatest score [P]."""
    low, high = min(float(each.min()) for each in scores), max(float(each.max()) for each in scores)
    margin = 0.02 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, PROFILE_POINTS)


def _curve_over_steps(runs: Sequence[FinishedRun], rng: np.random.Generator) -> dict[str, Any]:
    """Return the mean at the steps at which all runs were evaluated."""
    steps = common_steps(runs)
    rows = np.array([_at(run.evaluations, steps) for run in runs])
    found = _mean_curve(rows, rng)
    return {"steps": steps.tolist(), **found}


def common_steps(runs: Sequence[FinishedRun]) -> Any:
    """Return the steps at which all runs were evaluated [P]."""
    steps = runs[0].evaluations.steps
    for run in runs[1:]:
        steps = np.intersect1d(steps, run.evaluations.steps)
    return steps


def _at(curve: Curve, steps: Any) -> Floats:
    return np.asarray(curve.scores[np.searchsorted(curve.steps, steps)])


def _curve_over_time(runs: Sequence[FinishedRun], rng: np.random.Generator) -> dict[str, Any] | None:
    """Return the mean over seconds, from where all runs have been evaluated to where the first of them ends.

    Between evaluations a run's score is on a straight line.
    """
    if any(np.isnan(run.evaluations.seconds).any() for run in runs):
        return None
    start = max(float(run.evaluations.seconds[0]) for run in runs)
    stop = min(float(run.evaluations.seconds[-1]) for run in runs)
    if stop < start:
        return None
    seconds = np.linspace(start, stop, min(_TIME_POINTS, max(len(run.evaluations.steps) for run in runs)))
    rows = np.array([np.interp(seconds, run.evaluations.seconds, run.evaluations.scores) for run in runs])
    return {"seconds": numbers(seconds), **_mean_curve(rows, rng)}


def _mean_curve(rows: Floats, rng: np.random.Generator) -> dict[str, Any]:
    if not rows.shape[1]:
        return {"mean": [], "low": [], "high": []}
    found = statistics.mean_curve(rows[:, None, :], rng, resamples=CURVE_RESAMPLES)
    return points(found, "mean")


def _reached(task: Task, runs: Sequence[FinishedRun], budget: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return when runs reached the task's threshold within the steps that all have, in steps and in seconds."""
    if task.threshold is None:
        return {"steps_to_threshold": None, "seconds_to_threshold": None}
    cut = [run.evaluations.steps < budget + int(run.settings.get("env.num_envs", 1)) for run in runs]
    if not all(within.any() for within in cut):
        return {"steps_to_threshold": None, "seconds_to_threshold": None}
    curves = [(run.evaluations, within) for run, within in zip(runs, cut, strict=True)]
    steps = [(curve.scores[within], curve.steps[within].astype(float)) for curve, within in curves]
    seconds = [(curve.scores[within], curve.seconds[within]) for curve, within in curves]
    timed = all(np.isfinite(times).all() for _, times in seconds)
    return {
        "steps_to_threshold": _time(time_to_threshold(steps, task.threshold, rng)),
        "seconds_to_threshold": _time(time_to_threshold(seconds, task.threshold, rng)) if timed else None,
    }


def _time(found: Reached) -> dict[str, Any]:
    return {
        "threshold": found.threshold,
        "reached": int(found.reached.sum()),
        "runs": len(found.at),
        "median": interval_values(found.median),
        "at": numbers(found.at),
    }


def _run(run: FinishedRun, score: float) -> dict[str, Any]:
    curve, training = run.evaluations, run.training
    return {
        "seed": run.seed,
        "score": number_value(score),
        "best": number_value(float(curve.scores.max())),
        "steps": run.steps,
        "seconds": number_value(float(curve.seconds[-1])),
        "sessions": run.sessions,
        "folder": str(run.folder),
        "command": list(run.command),
        "protocol": run.protocol_name,
        "curve": {
            "steps": curve.steps.tolist(),
            "seconds": numbers(curve.seconds),
            "scores": numbers(curve.scores),
        },
        "training": _binned(training),
    }


def _binned(training: Curve) -> dict[str, list[Any]]:
    """Return the returns of training's own episodes as means over stretches of equally many."""
    size = max(1, math.ceil(len(training.steps) / _TRAINING_POINTS))
    starts = np.arange(0, len(training.steps), size)
    if not len(starts):
        return {"steps": [], "returns": []}
    counts = np.diff([*starts, len(training.steps)])
    ends = np.append(starts[1:], len(training.steps)) - 1
    return {
        "steps": training.steps[ends].tolist(),
        "returns": numbers(np.add.reduceat(training.scores, starts) / counts),
    }


def settings_differences(runs: Mapping[str, Sequence[FinishedRun]]) -> dict[str, dict[str, Any]]:
    """Return the settings in which agents differ: by the setting's name, what each agent has of it.

    An agent that has no such setting is not named there.
    """
    by_agent = {agent: agent_settings(members[0]) for agent, members in runs.items()}
    found = {}
    for name in dict.fromkeys(name for settings in by_agent.values() for name in settings):
        values = {agent: settings[name] for agent, settings in by_agent.items() if name in settings}
        if len(values) < len(by_agent) or any(value != next(iter(values.values())) for value in values.values()):
            found[name] = values
    return found


def _versions(runs: Iterable[FinishedRun]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for run in runs:
        for name, version in run.versions.items():
            if version not in found.setdefault(name, []):
                found[name].append(version)
    return found
