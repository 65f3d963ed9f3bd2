"""Prioritized value iteration: the state of the greatest Bellman error is backed up first, until none is left.

Sutton & Barto (2018), section 8.4, without the sampling (Moore & Atkeson 1993, Prioritized Sweeping; Wingate & Seppi
2005, Prioritization Methods for Accelerating MDP Solvers). The queue is a binary heap in which each state knows its
place, so that an error which changes moves its state instead of adding another entry.

S states.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tengen._jit import njit
from tengen.planners._dp_ending_kernels import Predecessors
from tengen.planners._dp_kernels import ROUNDING, Rule, worth
from tengen.tables import TransitionTables
from tengen.types import Floats, Ints


class Queue(NamedTuple):
    """The states that wait, as a heap: no state's error is greater than that of `heap[(place - 1) // 2]`."""

    size: Ints  # [1], how many wait
    heap: Ints  # [S], the states that wait come first
    place: Ints  # [S], where a state is in the heap; -1: it does not wait
    error: Floats  # [S], the Bellman error of each state that waits


@njit
def make_queue(num_states: int) -> Queue:
    """Return an empty queue."""
    return Queue(
        np.zeros(1, np.int64), np.zeros(num_states, np.int64), np.full(num_states, -1, np.int64), np.zeros(num_states)
    )


@njit
def look(tables: TransitionTables, rule: Rule, gamma: float, values: Floats, theta: float, queue: Queue) -> None:
    """Queue every state whose Bellman error is above theta. The queue is modified in place."""
    for state in range(len(values)):
        put(queue, state, bellman_error(tables, rule, gamma, values, state), theta)


@njit
def sweep_by_priority(
    tables: TransitionTables,
    before: Predecessors,
    rule: Rule,
    gamma: float,
    values: Floats,
    theta: float,
    queue: Queue,
    limit: int,
) -> int:
    """Back up the first state of the queue and look at its predecessors anew, again and again.

    Args:
        tables: The decision process.
        before: Its predecessors.
        rule: What a state is worth.
        gamma: Discount factor.
        values: [S]. Modified in place.
        theta: Errors up to this one don't wait.
        queue: Modified in place. No state waits any more when all errors are small enough.
        limit: Backups after which to return with the queue as it is.

    Returns:
        The backups computed: of states, and of their predecessors to see their error.
    """
    count = 0
    while queue.size[0] > 0 and count < limit:
        state = queue.heap[0]
        values[state] = worth(tables, rule, gamma, values, state)
        put(queue, state, 0.0, theta)
        count += 1
        for k in range(before.first[state], before.first[state + 1]):  # itself among them where it may follow itself
            other = before.states[k]
            put(queue, other, bellman_error(tables, rule, gamma, values, other), theta)
            count += 1
    return count


@njit
def bellman_error(tables: TransitionTables, rule: Rule, gamma: float, values: Floats, state: int) -> float:
    """Return by how much a backup would change a state's value; 0 where rounding would."""
    value = worth(tables, rule, gamma, values, state)
    error = abs(value - values[state])
    return error if error > ROUNDING * abs(value) else 0.0


@njit
def put(queue: Queue, state: int, error: float, theta: float) -> None:
    """Note a state's error: it waits if that is above theta, and no more if it isn't. Modified in place."""
    place = queue.place[state]
    if error > theta:
        queue.error[state] = error
        if place < 0:
            place = queue.size[0]
            queue.size[0] += 1
            _set(queue, place, state)
        _settle(queue, place)
    elif place >= 0:
        queue.size[0] -= 1
        queue.place[state] = -1
        last = queue.heap[queue.size[0]]
        if last != state:
            _set(queue, place, last)
            _settle(queue, place)


@njit
def _set(queue: Queue, place: int, state: int) -> None:
    queue.heap[place] = state
    queue.place[state] = place


@njit
def _settle(queue: Queue, place: int) -> None:
    """Move the state at a place up or down, until no error above it is less and none below it greater."""
    state = queue.heap[place]
    error = queue.error[state]
    while place > 0 and queue.error[queue.heap[(place - 1) // 2]] < error:
        _set(queue, place, queue.heap[(place - 1) // 2])
        place = (place - 1) // 2
    while 2 * place + 1 < queue.size[0]:
        child = 2 * place + 1
        if child + 1 < queue.size[0] and queue.error[queue.heap[child + 1]] > queue.error[queue.heap[child]]:
            child += 1
        if queue.error[queue.heap[child]] <= error:
            break
        _set(queue, place, queue.heap[child])
        place = child
    _set(queue, place, state)
