"""How long it took until a score was reached, where some runs never got there.

A run that ended before it reached the score is *censored*: it would have taken longer than it was watched. Leaving it
out, or counting its end as the time, would make a bad agent look fast. The median is that of the estimate by Kaplan &
Meier (1958), which takes both kinds; it is infinite where fewer than half would be there by the end.

R runs, P points of a curve, S resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tengen.evaluation.statistics import CONFIDENCE, Interval, resampled
from tengen.types import Bools, Floats


@dataclass(frozen=True)
class Reached:
    """When the runs of an agent reached a score, in steps or in seconds."""

    threshold: float
    at: Floats  # [R], the first evaluation that was as good; infinite where none was
    watched: Floats  # [R], the last evaluation
    median: Interval

    @property
    def reached(self) -> Bools:
        """Which runs got there [R]."""
        return np.isfinite(self.at)


def first_reached(scores: Floats, times: Floats, threshold: float) -> float:
    """Return the time [P] of the first score [P] that is at least the threshold; infinite where none is."""
    (good,) = np.nonzero(scores >= threshold)
    return float(times[good[0]]) if len(good) else float("inf")


def time_to_threshold(
    curves: list[tuple[Floats, Floats]],
    threshold: float,
    rng: np.random.Generator,
    *,
    resamples: int = 2_000,
    confidence: float = CONFIDENCE,
) -> Reached:
    """Return when runs reached a threshold, and the median with its bootstrap interval.

    Args:
        curves: Of each run: its scores [P] and when they were measured [P], in steps or seconds.
        threshold: The score.
        rng: Draws the resamples.
        resamples: S.
        confidence: Of the interval.

    Raises:
        ValueError: There is no run, or one without a point.
    """
    if not curves or any(not len(scores) for scores, _ in curves):
        raise ValueError("each agent needs a run, and each run an evaluation")
    at = np.array([first_reached(scores, times, threshold) for scores, times in curves])
    watched = np.array([float(times[-1]) for _, times in curves])
    counts = np.concatenate(list(resampled(np.zeros((len(curves), 1)), rng, resamples)))[..., 0]  # [S, R]
    drawn = kaplan_meier_median(at, watched, counts)
    tail = (1 - confidence) / 2
    # The resampled values themselves, as nothing lies between a number and infinity.
    low = float(np.quantile(drawn, tail, method="lower"))
    high = float(np.quantile(drawn, 1 - tail, method="higher"))
    value = float(kaplan_meier_median(at, watched, np.ones((1, len(curves))))[0])
    return Reached(threshold, at, watched, Interval(value, low, high))


def kaplan_meier_median(at: Floats, watched: Floats, counts: Floats) -> Floats:
    """Return when half have reached it, for each sample of runs: [S].

    Args:
        at: Times [R], infinite where it was not reached.
        watched: Until when each run was watched [R].
        counts: How often each sample holds each run [S, R].
    """
    happened = np.isfinite(at)
    time = np.where(happened, at, watched)
    order = np.lexsort((~happened, time))  # at the same time, those that got there go first
    ordered = counts[:, order]
    at_risk = np.cumsum(ordered[:, ::-1], axis=1)[:, ::-1]
    # Runs that reach it at the same time one by one: (n-1)/n (n-2)/(n-1) = (n-2)/n, as if at once.
    stays = np.where(happened[order] & (at_risk > 0), 1 - ordered / np.maximum(at_risk, 1), 1.0)
    waiting = np.cumprod(stays, axis=1)  # [S, R], the part that has not reached it
    below = waiting <= 0.5 + 1e-12
    first = np.argmax(below, axis=1)
    return np.where(below.any(axis=1), time[order][first], np.inf)
