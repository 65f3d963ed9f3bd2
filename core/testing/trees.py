"""Copies and comparisons of TimeSteps and of state trees, exact to the bit."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tengen.contracts import RowLog
from tengen.types import Array, State, TimeStep


@dataclass(frozen=True)
class FrozenRows:
    """A RowLog of copied rows."""

    start: int
    stop: int
    fields: Mapping[str, Array]

    def read(self, start: int, stop: int) -> Mapping[str, Array]:
        """Return the rows start..stop-1."""
        assert self.start <= start <= stop <= self.stop
        return {name: rows[start - self.start : stop - self.start] for name, rows in self.fields.items()}


def same_array(a: Any, b: Any) -> bool:
    """Whether two arrays have the same dtype, shape and bits."""
    a, b = np.asarray(a), np.asarray(b)
    return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())


def freeze_step(step: TimeStep) -> TimeStep:
    """Return a copy that shares no memory with the step."""
    return copy.deepcopy(step)


def _leaves(value: Any) -> list[Array] | None:
    """The arrays of an opaque batch of simulator states; None if it is no tuple of arrays."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, (tuple, list)):
        parts = [_leaves(part) for part in value]
        return None if any(part is None for part in parts) else [leaf for part in parts if part for leaf in part]
    return None


def step_difference(a: TimeStep, b: TimeStep, pairs: list[tuple[int, int]] | None = None) -> str | None:
    """Return what differs first between rows of two steps, or None.

    Args:
        a: A step.
        b: Another.
        pairs: The rows (of a, of b) to compare; all by default.
    """
    if pairs is None:
        if len(a.reward) != len(b.reward):
            return f"{len(a.reward)} rows against {len(b.reward)}"
        pairs = [(row, row) for row in range(len(a.reward))]
    for name, left, right in zip(TimeStep._fields, a, b, strict=True):
        if name == "state":
            left_leaves, right_leaves = _leaves(left), _leaves(right)
            if left_leaves is None or right_leaves is None:
                continue  # opaque: nothing to compare by
        elif left is None and right is None:
            continue
        elif left is None or right is None:
            return f"{name} is None in one and not in the other"
        else:
            left_leaves, right_leaves = [left], [right]
        for x, y in zip(left_leaves, right_leaves, strict=True):
            for i, j in pairs:
                if not same_array(x[i], y[j]):
                    return f"row {i}: {name} {_short(x[i])} against {_short(y[j])}"
    return None


def _short(value: Any) -> str:
    text = np.array2string(np.asarray(value), threshold=8, edgeitems=2).replace("\n", " ")
    return text if len(text) < 120 else f"{text[:117]}..."


def freeze_state(state: Any) -> Any:
    """Return a deep copy of a state tree in which each RowLog is a FrozenRows."""
    if isinstance(state, dict):
        return {key: freeze_state(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [freeze_state(value) for value in state]
    if isinstance(state, np.ndarray):
        return state.copy()
    if isinstance(state, RowLog):
        rows = state.read(state.start, state.stop)
        return FrozenRows(state.start, state.stop, {name: np.array(column) for name, column in rows.items()})
    return state


def without_rows(state: Any) -> Any:
    """Return a frozen state tree with its RowLogs emptied, as in a checkpoint that is kept for its policy."""
    if isinstance(state, dict):
        return {key: without_rows(value) for key, value in state.items()}
    if isinstance(state, list):
        return [without_rows(value) for value in state]
    if isinstance(state, FrozenRows):
        return FrozenRows(state.stop, state.stop, {name: rows[:0] for name, rows in state.fields.items()})
    return freeze_state(state)


def wrong_leaf(state: Any, path: str = "state") -> str | None:
    """Return the path and type of the first leaf that a checkpoint can't hold, or None."""
    if isinstance(state, dict):
        wrong = next((key for key in state if not isinstance(key, str)), None)
        if wrong is not None:
            return f"{path} has the key {wrong!r}, which is no string"
        return next(filter(None, (wrong_leaf(value, f"{path}[{key!r}]") for key, value in state.items())), None)
    if isinstance(state, list):
        return next(filter(None, (wrong_leaf(value, f"{path}[{i}]") for i, value in enumerate(state))), None)
    if isinstance(state, np.ndarray):
        return f"{path} is an array of objects" if state.dtype.hasobject else None
    if state is None or type(state) in (bool, int, float, str) or isinstance(state, RowLog):
        return None
    return f"{path} is a {type(state).__module__}.{type(state).__qualname__}"


def row_logs(state: Any, path: str = "state") -> Iterator[tuple[str, RowLog]]:
    """Yield the path and the log of every RowLog in a state tree."""
    if isinstance(state, dict):
        for key, value in state.items():
            yield from row_logs(value, f"{path}[{key!r}]")
    elif isinstance(state, list):
        for i, value in enumerate(state):
            yield from row_logs(value, f"{path}[{i}]")
    elif isinstance(state, RowLog):
        yield path, state


def state_difference(a: Any, b: Any, path: str = "state") -> str | None:
    """Return the path of what differs first between two frozen state trees, or None."""
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return f"{path} has the keys {sorted(a)} against {sorted(b)}"
        return next(filter(None, (state_difference(a[key], b[key], f"{path}[{key!r}]") for key in a)), None)
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return f"{path} has {len(a)} entries against {len(b)}"
        pairs = enumerate(zip(a, b, strict=True))
        return next(filter(None, (state_difference(x, y, f"{path}[{i}]") for i, (x, y) in pairs)), None)
    if isinstance(a, FrozenRows) and isinstance(b, FrozenRows):
        if (a.start, a.stop) != (b.start, b.stop):
            return f"{path} holds the rows {a.start} to {a.stop - 1} against {b.start} to {b.stop - 1}"
        return state_difference(dict(a.fields), dict(b.fields), path)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return None if same_array(a, b) else f"{path} is {_short(a)} against {_short(b)}"
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b):
        return None
    return None if type(a) is type(b) and a == b else f"{path} is {_text(a)} against {_text(b)}"


def _text(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 120 else f"{text[:117]}..."


def frozen_state_of(owner: Any) -> State:
    """Return a frozen copy of what `owner.state_dict()` gives."""
    frozen: State = freeze_state(owner.state_dict())
    return frozen
