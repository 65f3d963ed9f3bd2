"""Whether the evidence separates two agents, by permutation and by resampling, and the sentence that says so.

The test is Fisher's and Pitman's: were both agents the same, any assignment of the runs of a task to the two would have
been as likely as the one seen, and p is the part of assignments whose means differ at least as much. It asks nothing of
the scores' distribution, and with few runs it says so: 3 against 3 never come below 0.1, 4 against 4 below 0.028. Many
pairs at once are corrected by Holm (1979). An interval by resampling few runs is too narrow, so that two are separated
only if p and interval agree. Where both have the same seeds, the runs are compared seed by seed as well.

R runs, T tasks, S resamples, as in `statistics`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from tengen.evaluation import statistics
from tengen.evaluation.statistics import CONFIDENCE, RESAMPLES, Interval
from tengen.types import Bools, Floats

LEVEL = 0.05
"""p below this separates."""

_EXACT = 100_000  # assignments that are all looked at; beyond, some are drawn


@dataclass(frozen=True)
class Paired:
    """Two agents compared seed by seed."""

    difference: Interval
    """The mean difference; the seeds are resampled."""
    p_value: float
    """Of the test that turns the signs of the seeds' differences."""
    pairs: int
    """How many differences there are."""


@dataclass(frozen=True)
class Separation:
    """What is known about the difference of two agents."""

    a: str
    b: str
    means: tuple[float, float]
    runs: tuple[int, int]
    difference: Interval
    """Mean of a minus mean of b."""
    probability: Interval
    """Of a run of a scoring more than one of b."""
    p_value: float
    """By permutation, before a correction."""
    p_adjusted: float
    """Corrected for the number of pairs that are looked at."""
    smallest_p: float
    """What `p_adjusted` would be if all runs of one agent scored more than all of the other."""
    paired: Paired | None
    """Seed by seed, where at least two seeds are in both."""

    @property
    def separated(self) -> bool:
        """Whether the evidence tells the two apart."""
        return self.p_adjusted < LEVEL and (self.difference.low > 0 or self.difference.high < 0)

    def sentence(self, what: str = "mean final return") -> str:
        """Return the finding in plain words."""
        lead, facts = self.words(what)
        return f"{lead}: {facts}"

    def words(self, what: str) -> tuple[str, str]:
        """Return the finding and what it rests on, the agent with the greater mean first."""
        if self.difference.value < 0:
            return self._turned().words(what)
        a, b, (n_a, n_b) = self.a, self.b, self.runs
        means = f"{what} {number(self.means[0])} against {number(self.means[1])}"
        runs = f"{n_a} and {n_b} runs" if n_a != n_b else f"{n_a} {'run' if n_a == 1 else 'runs'} each"
        if min(n_a, n_b) < 2:
            return f"Too few runs to compare {a} with {b}", f"{means}, {runs}, which says nothing about other seeds."
        low, high = self.difference.low, self.difference.high
        if self.difference.value == low == high == 0:
            return f"{a} and {b} scored the same", f"{what} {number(self.means[0])} in every run, {runs}."
        facts = (
            f"{means}, {number(self.difference.value, True)} "
            f"(95% interval {number(low, True)} to {number(high, True)}, p {probability(self.p_adjusted)}, {runs})."
        )
        if self.separated:
            return f"{a} beats {b}", facts
        if self.smallest_p >= LEVEL:
            facts += " With so few runs no scores could: add seeds."
        return f"The evidence does not separate {a} from {b}", facts

    def _turned(self) -> Separation:
        """Return the same with a and b in each other's places."""
        value, low, high = self.difference
        better, worse, best = self.probability
        return replace(
            self,
            a=self.b,
            b=self.a,
            means=self.means[::-1],
            runs=self.runs[::-1],
            difference=Interval(-value, -high, -low),
            probability=Interval(1 - better, 1 - best, 1 - worse),
        )


def number(value: float, signed: bool = False) -> str:
    """Return a score with the digits that it is worth, some three of them."""
    size, sign = abs(value), "+" if signed else ""
    if 0 < size < 0.00995:
        return f"{value:{sign}.2g}"
    places = 0 if size >= 999.5 or value == round(value) else 1 if size >= 9.95 else 2 if size >= 0.995 else 3
    return f"{value + 0.0:{sign},.{places}f}"


def probability(p: float) -> str:
    """Return `= p` with as many digits as it is worth, or that it is below what they show."""
    return "< 0.0001" if p < 1e-4 else f"= {p:.4f}" if p < 1e-3 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def separation(
    a: str,
    b: str,
    scores_a: Floats,
    scores_b: Floats,
    rng: np.random.Generator,
    *,
    paired: Floats | None = None,
    resamples: int = RESAMPLES,
) -> Separation:
    """Compare two agents on the same tasks.

    Args:
        a: The name of one.
        b: The name of the other.
        scores_a: [R, T], comparable over tasks.
        scores_b: [R', T].
        rng: Draws resamples, and assignments where there are too many to look at all.
        paired: Differences a minus b of runs with the same seed and task [R'', T]; NaN where one is missing.
        resamples: S.
    """
    runs = (int(statistics.once_each(scores_a).sum()), int(statistics.once_each(scores_b).sum()))
    p_value, smallest = permutation_test(scores_a, scores_b, rng, resamples=resamples)
    return Separation(
        a=a,
        b=b,
        means=(float(statistics.mean(scores_a)), float(statistics.mean(scores_b))),
        runs=runs,
        difference=statistics.difference(scores_a, scores_b, rng, resamples=resamples),
        probability=statistics.probability_of_improvement(scores_a, scores_b, rng, resamples=resamples),
        p_value=p_value,
        p_adjusted=p_value,
        smallest_p=smallest,
        paired=None if paired is None else paired_comparison(paired, rng, resamples=resamples),
    )


def corrected(pairs: Sequence[Separation]) -> tuple[Separation, ...]:
    """Return pairs that were looked at together, with `p_adjusted` and `smallest_p` corrected by Holm (1979)."""
    adjusted = holm([pair.p_value for pair in pairs])
    return tuple(
        replace(pair, p_adjusted=p, smallest_p=min(1.0, pair.smallest_p * len(pairs)))
        for pair, p in zip(pairs, adjusted, strict=True)
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, step by step down from the smallest; never above 1."""
    adjusted, worst = [0.0] * len(p_values), 0.0
    for rank, k in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[k]))
        adjusted[k] = worst
    return adjusted


def permutation_test(
    a: Floats, b: Floats, rng: np.random.Generator, *, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the two-sided p-value of the difference of means, and the smallest that so many runs can give.

    Runs change sides within their task. With one task and up to 100,000 assignments all are looked at. Otherwise
    `resamples` of them are drawn, and the one seen counts as one more (so p is never 0).

    Args:
        a: Scores [R, T]; NaN where there is no run.
        b: Scores [R', T].
        rng: Draws assignments.
        resamples: How many.
    """
    sides = [
        (column_a[~np.isnan(column_a)], column_b[~np.isnan(column_b)])
        for column_a, column_b in zip(a.T, b.T, strict=True)
    ]
    seen = float(np.mean([x.mean() - y.mean() for x, y in sides]))
    total = math.prod(math.comb(len(x) + len(y), len(x)) for x, y in sides)
    mirrored = 2 if all(len(x) == len(y) for x, y in sides) else 1
    if len(sides) == 1 and total <= _EXACT:
        ((x, y),) = sides
        drawn = _differences(np.concatenate([x, y]), _all_choices(len(x) + len(y), len(x)))
        return _extreme(drawn, seen, sides) / total, min(1.0, mirrored / total)
    drawn = np.zeros(resamples)
    for x, y in sides:
        drawn += _differences(np.concatenate([x, y]), _choices(len(x) + len(y), len(x), resamples, rng)) / len(sides)
    smallest = max(mirrored / total, 1 / (resamples + 1))
    return (_extreme(drawn, seen, sides) + 1) / (resamples + 1), min(1.0, smallest)


def paired_comparison(
    differences: Floats, rng: np.random.Generator, *, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> Paired | None:
    """Return what differences of runs with the same seed [R, T] say; None where there are fewer than two.

    The bootstrap resamples pairs within their task. The test turns signs: were both agents the same, each difference
    might as well have been its negative. n pairs never come below 2 / 2**n: 5 pairs not below 0.0625.

    Raises:
        ValueError: A task has no pair.
    """
    there = ~np.isnan(differences)
    if there.sum() < 2:
        return None
    weights = (there / there.sum(axis=0) / differences.shape[1])[there]  # [N]
    known = differences[there]
    terms = weights * known
    if 2 ** len(known) <= _EXACT:
        signs = 1.0 - 2.0 * ((np.arange(2 ** len(known))[:, None] >> np.arange(len(known))) & 1)
        p_value = _at_least(signs @ terms, terms.sum()) / 2 ** len(known)
    else:
        signs = 1.0 - 2.0 * rng.integers(0, 2, (resamples, len(known)))
        p_value = (_at_least(signs @ terms, terms.sum()) + 1) / (resamples + 1)
    found = statistics.bootstrap(
        differences, {"mean": statistics.mean}, rng, resamples=resamples, confidence=confidence
    )
    return Paired(found["mean"], p_value, len(known))


def _all_choices(size: int, chosen: int) -> Bools:
    """Return all ways to choose some of a number of runs: [ways, size]."""
    ways = np.array(list(combinations(range(size), chosen)))
    mask = np.zeros((len(ways), size), bool)
    np.put_along_axis(mask, ways, True, axis=1)
    return mask


def _choices(size: int, chosen: int, number: int, rng: np.random.Generator) -> Bools:
    """Return some ways, drawn uniformly: [number, size]."""
    keys = rng.random((number, size), dtype=np.float32)
    return np.asarray(np.argsort(np.argsort(keys, axis=1), axis=1) < chosen)


def _differences(scores: Floats, chosen: Bools) -> Floats:
    """Return the mean of the chosen scores [N] minus that of the others, for each way to choose [ways, N]: [ways]."""
    first = chosen.sum(axis=1)
    of_first = chosen @ scores
    return np.asarray(of_first / first - (scores.sum() - of_first) / (len(scores) - first))


def _extreme(drawn: Floats, seen: float, sides: Sequence[tuple[Floats, Floats]]) -> int:
    scale = max(float(np.abs(scores).max()) for pair in sides for scores in pair)
    return _at_least(drawn, seen, scale)


def _at_least(drawn: Floats, seen: float, scale: float = 0.0) -> int:
    """Return how many differ from 0 at least as much, sums that differ by rounding only counted as equal."""
    slack = 1e-12 * max(scale, abs(seen), float(np.abs(drawn).max()))
    return int((np.abs(drawn) >= abs(seen) - slack).sum())
