"""Findings as JSON values: null is "not known", and "Infinity" stands for what JSON has no number for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tengen.evaluation.separation import Separation
from tengen.evaluation.statistics import Interval
from tengen.types import Floats


def pair_values(pair: Separation, what: str = "mean final return") -> dict[str, Any]:
    """Return what is known about two agents, and in words of `what` was compared."""
    paired = pair.paired
    return {
        "a": pair.a,
        "b": pair.b,
        "separated": pair.separated,
        "sentence": pair.sentence(what),
        "words": list(pair.words(what)),
        "means": numbers(np.array(pair.means)),
        "runs": list(pair.runs),
        "difference": interval_values(pair.difference),
        "probability_of_improvement": interval_values(pair.probability),
        "p_value": pair.p_value,
        "p_adjusted": pair.p_adjusted,
        "paired": None
        if paired is None
        else {"difference": interval_values(paired.difference), "p_value": paired.p_value, "pairs": paired.pairs},
    }


def points(found: Interval, name: str = "value") -> dict[str, list[Any]]:
    """Return an interval of arrays, the value by a name of its own."""
    return {name: numbers(found.value), "low": numbers(found.low), "high": numbers(found.high)}


def interval_values(found: Interval) -> list[Any]:
    """Return [value, low, high]."""
    return [number_value(float(part)) for part in found]


def numbers(values: Floats) -> list[Any]:
    """Return an array as a list."""
    return [number_value(value) for value in np.asarray(values, float).tolist()]


def number_value(value: float) -> Any:
    """Return a number with 8 significant digits, null for NaN."""
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    short = float(f"{value:.8g}")
    return int(short) if short == int(short) and abs(short) < 2**53 else short
