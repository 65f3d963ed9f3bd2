"""What a few runs say about an agent: aggregates of scores, and how sure they are.

Agarwal, Schwarzer, Castro, Courville & Bellemare (2021), Deep Reinforcement Learning at the Edge of the Statistical
Precipice, NeurIPS (arXiv:2108.13264). Point estimates equal rliable's, intervals do so within the error of resampling.

R runs, T tasks, P points, S resamples. Scores are [R, T] and larger is better. Where a task has fewer runs than another
its column ends in NaN: NaN means "no such run" and nothing else. Every statistic is a function of scores and *counts*
[..., R, T], how often a sample holds each run, so that one draw of counts serves them all and no score is ever copied.

A stratified bootstrap draws, for each task by itself, as many runs as it has, with replacement. An interval is that of
the percentiles. With one run it has no width, which says nothing about how sure the score is; with fewer than some ten
runs it is too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tengen.types import Array, Floats

RESAMPLES = 50_000
CONFIDENCE = 0.95

_CHUNK = 200_000  # counts drawn at once, few enough for the processor's cache

Statistic: TypeAlias = Callable[[Floats, Floats], Floats]
"""From scores [R, T] and counts [..., R, T] to values [...]."""


class Interval(NamedTuple):
    """A value, and the ends of its interval; numbers, or arrays of equal shapes."""

    value: Any
    low: Any
    high: Any


def mean(scores: Floats, counts: Floats | None = None) -> Floats:
    """Return the mean over tasks of each task's mean over runs: [...]."""
    return np.asarray(_task_means(scores, counts).mean(axis=-1))


def median(scores: Floats, counts: Floats | None = None) -> Floats:
    """Return the median over tasks of each task's mean over runs: [...]; with one task, its mean."""
    return np.asarray(np.median(_task_means(scores, counts), axis=-1))


def iqm(scores: Floats, counts: Floats | None = None) -> Floats:
    """Return the interquartile mean: the mean of the middle half of all runs of all tasks together: [...].

    Of N scores the int(N / 4) smallest and as many of the greatest are left out, so that with fewer than 4 it is the
    mean. A task with fewer runs has fewer scores among the N.
    """
    known, counts = _known(scores, counts)
    order = np.argsort(known, axis=None, kind="stable")  # [N]
    ordered = counts.reshape(*counts.shape[:-2], -1)[..., order]  # [..., N]
    upto = np.cumsum(ordered, axis=-1)
    size = upto[..., -1:]
    cut = np.floor(size / 4)
    within = np.clip(upto, cut, size - cut) - np.clip(upto - ordered, cut, size - cut)
    return np.asarray(within @ known.ravel()[order] / (size - 2 * cut)[..., 0])


def optimality_gap(scores: Floats, counts: Floats | None = None, *, target: float = 1.0) -> Floats:
    """Return by how much runs fall short of a target on average, what lies above it not counted: [...]."""
    return np.asarray(target - mean(np.minimum(scores, target), counts))


STATISTICS: Mapping[str, Statistic] = {"mean": mean, "median": median, "iqm": iqm, "optimality_gap": optimality_gap}
"""Those of scores [R, T], by name."""


def bootstrap(
    scores: Floats,
    statistics: Mapping[str, Statistic],
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> dict[str, Interval]:
    """Return each statistic of scores [R, T] with its stratified bootstrap interval, all from the same resamples.

    Raises:
        ValueError: A task has no run, or a score is infinite.
    """
    once = once_each(scores)
    drawn: dict[str, list[Floats]] = {name: [] for name in statistics}
    for counts in resampled(scores, rng, resamples):
        for name, statistic in statistics.items():
            drawn[name].append(statistic(scores, counts))
    return {
        name: interval(statistic(scores, once), np.concatenate(drawn[name]), confidence)
        for name, statistic in statistics.items()
    }


def difference(
    a: Floats,
    b: Floats,
    rng: np.random.Generator,
    *,
    statistic: Statistic = mean,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return a statistic of scores a [R, T] minus that of b [R', T], both resampled on their own."""
    value = statistic(a, once_each(a)) - statistic(b, once_each(b))
    drawn = [
        np.concatenate([statistic(scores, counts) for counts in resampled(scores, rng, resamples)]) for scores in (a, b)
    ]
    return interval(value, drawn[0] - drawn[1], confidence)


def performance_profile(
    scores: Floats,
    thresholds: Floats,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the part of runs that score more than each threshold [P], the mean of that over tasks: three times [P].

    Intervals hold for each threshold by itself.
    """
    above = (scores[..., None] > thresholds).astype(float)  # [R, T, P]
    above[np.isnan(scores)] = np.nan
    return mean_curve(above, rng, resamples=resamples, confidence=confidence)


def mean_curve(
    curves: Floats,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return what `sample_efficiency` does of the mean, for all points at once: three times [P].

    A resample holds whole curves [R, T, P]. A curve that is NaN throughout is a run that does not exist.
    """
    runs = curves[:, :, 0]
    points = np.where(np.isnan(curves), 0.0, curves).reshape(runs.size, -1)  # [RT, P]

    def means(_: Floats, counts: Floats) -> Floats:
        shares = counts / counts.sum(axis=-2, keepdims=True) / counts.shape[-1]  # [..., R, T]
        return np.asarray(shares.reshape(*counts.shape[:-2], -1) @ points)

    return bootstrap(runs, {"means": means}, rng, resamples=resamples, confidence=confidence)["means"]


def sample_efficiency(
    curves: Floats,
    rng: np.random.Generator,
    *,
    statistic: Statistic = iqm,
    resamples: int = 2_000,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return an aggregate at each point of curves [R, T, P], with intervals for each point by itself: three times [P].

    A resample holds whole curves. A curve that is NaN throughout is a run that does not exist.
    """
    runs = curves[:, :, 0]
    once = once_each(runs)
    counts = np.concatenate(list(resampled(runs, rng, resamples)))  # [S, R, T]
    points = np.moveaxis(curves, -1, 0)  # [P, R, T]
    found = [interval(statistic(at, once), statistic(at, counts), confidence) for at in points]
    return Interval(*(np.array(part) for part in zip(*found, strict=True)))


def probability_of_improvement(
    a: Floats,
    b: Floats,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return P(a run of a scores more than one of b on the same task), the mean over tasks; ties count a half.

    Args:
        a: [R, T].
        b: [R', T].
        rng: Draws the resamples.
        resamples: S.
        confidence: Of the interval.
    """
    wins = (a[:, None] > b[None]) + 0.5 * (a[:, None] == b[None])  # [R, R', T]
    by_task = np.ascontiguousarray(np.moveaxis(wins, -1, 0))  # [T, R, R']

    def mean_over_tasks(of_a: Floats, of_b: Floats) -> Floats:
        """Counts [..., R, T] and [..., R', T] to [...]."""
        total = np.zeros(of_a.shape[:-2])
        for task, won in enumerate(by_task):
            x, y = of_a[..., task], of_b[..., task]
            total += ((x @ won) * y).sum(axis=-1) / (x.sum(axis=-1) * y.sum(axis=-1))
        return total / len(by_task)

    value = mean_over_tasks(once_each(a), once_each(b))
    chunk = max(1, _CHUNK // max(a.size, b.size))
    pairs = zip(resampled(a, rng, resamples, chunk), resampled(b, rng, resamples, chunk), strict=True)
    return interval(value, np.concatenate([mean_over_tasks(x, y) for x, y in pairs]), confidence)


def normalized(scores: Floats, low: Floats | float, high: Floats | float) -> Floats:
    """Return scores [..., T] on a scale where `low` [T] is 0 and `high` [T] is 1, e.g. random play and a human.

    Raises:
        ValueError: Both ends are the same, or one is no number.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    if not np.isfinite(low).all() or not np.isfinite(high).all() or (low == high).any():
        raise ValueError(f"scores can't be normalised from {low.tolist()} to {high.tolist()}: give two different ends")
    return np.asarray((scores - low) / (high - low))


# --- Counts ---


def once_each(scores: Floats) -> Floats:
    """Return the counts [R, T] of the runs as they are: 1, and 0 where there is none.

    Raises:
        ValueError: There are no tasks, a task has no run, or a score is infinite.
    """
    if scores.ndim != 2:
        raise ValueError(f"scores must be [runs, tasks], got the shape {scores.shape}")
    there = ~np.isnan(scores)
    if not scores.size or not there.any(axis=0).all():
        raise ValueError("each task needs a run: leave out tasks that have none")
    if np.isinf(scores).any():
        raise ValueError("a score is infinite: leave its run out, and say so")
    return there.astype(float)


def resampled(scores: Floats, rng: np.random.Generator, resamples: int, chunk: int | None = None) -> Iterator[Floats]:
    """Yield counts [s, R, T] of stratified resamples, `resamples` in all: each task's sum is its number of runs."""
    present = once_each(scores)
    runs, tasks = present.shape
    sizes = present.sum(axis=0)  # [T]
    slots = np.argsort(-present, axis=0, kind="stable")  # [R, T], the runs that exist come first
    drawn = np.arange(runs)[:, None] < sizes  # [R, T], as many draws as the task has runs
    chunk = chunk or max(1, _CHUNK // scores.size)
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        picks = (rng.random((size, runs, tasks), dtype=np.float32) * sizes).astype(np.intp)
        picks = np.minimum(picks, sizes.astype(np.intp) - 1)  # the product may have been rounded up
        flat = (slots * tasks + np.arange(tasks)).ravel()[picks * tasks + np.arange(tasks)]
        flat += (np.arange(size) * runs * tasks)[:, None, None]
        chosen = flat.ravel() if drawn.all() else flat[:, drawn].ravel()
        counts = np.bincount(chosen, minlength=size * runs * tasks)
        yield counts.reshape(size, runs, tasks).astype(float)


def interval(value: Any, drawn: Array, confidence: float) -> Interval:
    """Return a value with the percentiles of its resampled ones [S, ...]."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    if np.ndim(value) == 0:
        return Interval(float(value), float(low), float(high))
    return Interval(np.asarray(value), low, high)


def _known(scores: Floats, counts: Floats | None) -> tuple[Floats, Floats]:
    """Return scores without NaN, and counts that are 0 there."""
    counts = once_each(scores) if counts is None else counts
    return np.where(np.isnan(scores), 0.0, scores), counts


def _task_means(scores: Floats, counts: Floats | None) -> Floats:
    """Return each task's mean over runs [..., T]."""
    known, counts = _known(scores, counts)
    return np.asarray(np.einsum("...rt,rt->...t", counts, known) / counts.sum(axis=-2))
