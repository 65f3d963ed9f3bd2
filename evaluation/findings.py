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
from tengen.evaluation.comparison import Comparison, Task, agent_settings
from tengen.evaluation.finished import Curve, FinishedRun
from tengen.evaluation.separation import LEVEL, Separation, corrected, separation
from tengen.evaluation.statistics import CONFIDENCE, RESAMPLES, Interval, bootstrap
from tengen.evaluation.thresholds import Reached, time_to_threshold
from tengen.types import Floats

SCHEMA = "tengen.comparison/1"

_SEED = 20211108  # of all resampling
_CURVE_RESAMPLES = 2_000
_PROFILE_POINTS = 101
_TIME_POINTS = 200
_TRAINING_POINTS = 200
_AGGREGATE_POINTS = 60  # of curves over several tasks


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
        "aggregate": _aggregate(comparison, rng, resamples),
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


# --- One task ---


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
            paired=_paired(runs[a], runs[b], scores[a], scores[b]),
            resamples=resamples,
        )
        for a, b in _pairs(agents)
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
        "profile_thresholds": _numbers(thresholds),
        "agents": [
            _agent(task, agent, runs[agent], scores[agent], thresholds, budget, rng, resamples) for agent in agents
        ],
        "pairs": [_pair(pair) for pair in corrected(pairs)],
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
    profile = statistics.performance_profile(scores[:, None], thresholds, rng, resamples=_CURVE_RESAMPLES)
    return {
        "name": agent,
        "agent": runs[0].agent,
        "scores": {name: _interval(found) for name, found in aggregates.items()},
        "spread": _number(float(scores.std(ddof=1))) if len(scores) > 1 else None,
        "seconds": _number(float(np.median([run.evaluations.seconds[-1] for run in runs]))),
        "runs": [_run(run, score) for run, score in zip(runs, scores.tolist(), strict=True)],
        "median_seed": runs[median_run(scores)].seed,
        "curve": _curve_over_steps(runs, rng),
        "time_curve": _curve_over_time(runs, rng),
        "profile": _points(profile),
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


def median_run(scores: Floats) -> int:
    """Return which run is in the middle; of an even number the worse of the two."""
    return int(np.argsort(scores, kind="stable")[(len(scores) - 1) // 2])


def final_score(run: FinishedRun, budget: int) -> float:
    """Return the score of the last evaluation up to a number of steps, to within one step of all environments."""
    reach = budget + int(run.settings.get("env.num_envs", 1))
    (within,) = np.nonzero(run.evaluations.steps < reach)
    return float(run.evaluations.scores[within[-1] if len(within) else 0])


def _paired(a: Sequence[FinishedRun], b: Sequence[FinishedRun], scores_a: Floats, scores_b: Floats) -> Floats | None:
    """Return the differences of the seeds that both have [R, 1]; None without any."""
    of_b = dict(zip([run.seed for run in b], scores_b.tolist(), strict=True))
    both = [score - of_b[run.seed] for run, score in zip(a, scores_a.tolist(), strict=True) if run.seed in of_b]
    return np.array(both)[:, None] if both else None


def _thresholds(scores: Sequence[Floats]) -> Floats:
    """Return points from below the smallest to the greatest score [P]."""
    low, high = min(float(each.min()) for each in scores), max(float(each.max()) for each in scores)
    margin = 0.02 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, _PROFILE_POINTS)


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
    return {"seconds": _numbers(seconds), **_mean_curve(rows, rng)}


def _mean_curve(rows: Floats, rng: np.random.Generator) -> dict[str, Any]:
    if not rows.shape[1]:
        return {"mean": [], "low": [], "high": []}
    found = statistics.mean_curve(rows[:, None, :], rng, resamples=_CURVE_RESAMPLES)
    return _points(found, "mean")


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
        "median": _interval(found.median),
        "at": _numbers(found.at),
    }


def _run(run: FinishedRun, score: float) -> dict[str, Any]:
    curve, training = run.evaluations, run.training
    return {
        "seed": run.seed,
        "score": _number(score),
        "best": _number(float(curve.scores.max())),
        "steps": run.steps,
        "seconds": _number(float(curve.seconds[-1])),
        "sessions": run.sessions,
        "folder": str(run.folder),
        "command": list(run.command),
        "protocol": run.protocol_name,
        "curve": {
            "steps": curve.steps.tolist(),
            "seconds": _numbers(curve.seconds),
            "scores": _numbers(curve.scores),
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
        "returns": _numbers(np.add.reduceat(training.scores, starts) / counts),
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


# --- Several tasks ---


def _aggregate(comparison: Comparison, rng: np.random.Generator, resamples: int) -> dict[str, Any] | None:
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
    thresholds = np.linspace(0.0, max(1.0, *(float(each.max()) for each in known)), _PROFILE_POINTS)
    pairs = []
    for a, b in _pairs(agents):
        paired = _paired_tasks(members[a], members[b], scores[a], scores[b])
        pairs.append(separation(a, b, scores[a], scores[b], rng, paired=paired, resamples=resamples))
    found = []
    for agent in agents:
        aggregates = bootstrap(scores[agent], statistics.STATISTICS, rng, resamples=resamples)
        profile = statistics.performance_profile(scores[agent], thresholds, rng, resamples=_CURVE_RESAMPLES)
        found.append(
            {
                "name": agent,
                "scores": {key: _interval(value) for key, value in aggregates.items()},
                "normalized": {
                    task.name: _numbers(column[~np.isnan(column)])
                    for task, column in zip(tasks, scores[agent].T, strict=True)
                },
                "profile": _points(profile),
                "curve": _aggregate_curve(comparison, members[agent], low, high, rng),
            }
        )
    return {
        "normalization": name,
        "scale": {
            task.name: {"low": float(zero), "high": float(one)}
            for task, zero, one in zip(tasks, low, high, strict=True)
        },
        "profile_thresholds": _numbers(thresholds),
        "agents": found,
        "pairs": [_pair(pair, "mean normalised score") for pair in corrected(pairs)],
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
        column = _paired(of_a, of_b, scores_a[: len(of_a), k], scores_b[: len(of_b), k])
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
    part = np.linspace(start, 1.0, _AGGREGATE_POINTS)
    curves = np.full((max(map(len, of_tasks)), len(of_tasks), len(part)), np.nan)
    for k, (runs, budget) in enumerate(zip(of_tasks, budgets, strict=True)):
        for r, run in enumerate(runs):
            scores = np.interp(part * budget, run.evaluations.steps, run.evaluations.scores)
            curves[r, k] = (scores - low[k]) / (high[k] - low[k])
    found = statistics.sample_efficiency(curves, rng, resamples=_CURVE_RESAMPLES)
    return {"part": _numbers(part), **_points(found, "iqm")}


# --- As JSON ---


def _pairs(agents: Sequence[str]) -> list[tuple[str, str]]:
    return [(a, b) for k, a in enumerate(agents) for b in agents[k + 1 :]]


def _pair(pair: Separation, what: str = "mean final return") -> dict[str, Any]:
    paired = pair.paired
    return {
        "a": pair.a,
        "b": pair.b,
        "separated": pair.separated,
        "sentence": pair.sentence(what),
        "words": list(pair.words(what)),
        "means": _numbers(np.array(pair.means)),
        "runs": list(pair.runs),
        "difference": _interval(pair.difference),
        "probability_of_improvement": _interval(pair.probability),
        "p_value": pair.p_value,
        "p_adjusted": pair.p_adjusted,
        "paired": None
        if paired is None
        else {"difference": _interval(paired.difference), "p_value": paired.p_value, "pairs": paired.pairs},
    }


def _points(found: Interval, name: str = "value") -> dict[str, list[Any]]:
    return {name: _numbers(found.value), "low": _numbers(found.low), "high": _numbers(found.high)}


def _interval(found: Interval) -> list[Any]:
    return [_number(float(part)) for part in found]


def _numbers(values: Floats) -> list[Any]:
    return [_number(value) for value in np.asarray(values, float).tolist()]


def _number(value: float) -> Any:
    """Return a number with 8 significant digits, null for NaN."""
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    short = float(f"{value:.8g}")
    return int(short) if short == int(short) and abs(short) < 2**53 else short
