"""What a row of metrics is: names and plain numbers, measured at a global step."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any, TypeAlias

from tengen.types import Metrics

Row: TypeAlias = dict[str, Any]
"""`global_step` and the metrics written at it."""

STEP_KEY = "global_step"
"""The x-axis of every tracker: decisions so far, summed over environments."""

TIME_KEY = "time"
"""In the rows of evaluations: seconds of training before it, evaluations included, summed over the run's sessions."""

TIME_KEYS = frozenset({"charts/SPS", TIME_KEY})
"""Metrics that depend on the machine's speed and clock: two equal runs differ in these and in nothing else."""

_SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def plain(metrics: Metrics) -> dict[str, int | float]:
    """Return metrics as Python numbers: integers stay integers, all else (tensors, numpy scalars) becomes a float."""
    return {
        name: int(value) if isinstance(value, numbers.Integral) else float(value) for name, value in metrics.items()
    }


def without_times(row: Mapping[str, Any]) -> Row:
    """Return a row without its `TIME_KEYS`, as two runs are compared."""
    return {name: value for name, value in row.items() if name not in TIME_KEYS}


def spell(value: int | float) -> int | float | str:
    """Return a number as strict JSON can hold it: "NaN", "Infinity" and "-Infinity" are strings."""
    if isinstance(value, int) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def unspell(value: Any) -> Any:
    """Return what `spell` was given."""
    return _SPELLED.get(value, value) if isinstance(value, str) else value
