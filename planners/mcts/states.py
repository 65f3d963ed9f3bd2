"""Opaque states of a simulator, in trees of arrays that lead with B: taken, stored and compared row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tengen.types import Array, Bools, Ints


def map_states(function: Callable[..., Any], states: Any, *others: Any) -> Any:
    """Apply a function to each array of an array, or tuple or named tuple of arrays, nested at will."""
    if not isinstance(states, tuple):
        return function(states, *others)
    mapped = [map_states(function, *branches) for branches in zip(states, *others, strict=True)]
    return type(states)(*mapped) if hasattr(states, "_fields") else tuple(mapped)


def take_states(states: Any, rows: Array) -> Any:
    """Return a copy of some rows of states, by their numbers."""
    return map_states(lambda leaf: leaf.take(rows, axis=0), states)  # twice as fast as leaf[rows]


def write_states(states: Any, rows: Ints, others: Any) -> None:
    """Set some rows of states to others. Modified in place."""

    def write(leaf: Array, other: Array) -> None:
        leaf[rows] = other

    _for_each(write, states, others)


def same_states(states: Any, others: Any) -> Bools:
    """Return which rows are the same, [B]; NaN is never the same."""
    same: list[Bools] = []

    def compare(leaf: Array, other: Array) -> None:
        same.append((leaf == other).reshape(len(leaf), -1).all(axis=1))

    _for_each(compare, states, others)
    result: Bools = np.logical_and.reduce(same)
    return result


def num_rows(states: Any) -> int:
    """Return B."""
    while isinstance(states, tuple):
        states = states[0]
    return len(states)


def _for_each(function: Callable[[Array, Array], None], states: Any, others: Any) -> None:
    if not isinstance(states, tuple):
        function(states, others)
        return
    for leaf, other in zip(states, others, strict=True):
        _for_each(function, leaf, other)
