"""Which states lead where: predecessors, states at rest, and policies that come to an end.

With gamma 1 a value is finite only where rewards cease, and an action that is greedy for a table of values may go
round in circles for ever: "stay where you are" is worth as much as the way out. So it matters from where an end can be
reached. A state is at rest where some action collects nothing and leads only to states at rest, or ends the episode: 0
can be had there. See Bertsekas & Tsitsiklis (1991), An Analysis of Stochastic Shortest Path Problems.

S states, A actions, E edges: pairs of a state and one that may follow it without the episode ending.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tengen._jit import njit
from tengen.planners._dp_kernels import backup
from tengen.tables import TransitionTables
from tengen.types import Bools, Floats, Ints


class Predecessors(NamedTuple):
    """The states that may be followed by state s are `states[first[s]:first[s + 1]]`, each of them once."""

    first: Ints  # [S + 1]
    states: Ints  # [E]


@njit
def predecessors(tables: TransitionTables) -> Predecessors:
    """Return what leads to each state, by whatever action."""
    num_states, num_actions = len(tables.initial), tables.legal.shape[1]
    first = np.zeros(num_states + 1, np.int64)
    newest = np.full(num_states, -1, np.int64)  # of each state: the predecessor that was noted last
    for state in range(num_states):
        for n in range(tables.start[state * num_actions], tables.start[(state + 1) * num_actions]):
            follower = tables.next_state[n]
            if _goes_on(tables, n) and newest[follower] != state:
                newest[follower] = state
                first[follower + 1] += 1
    first = np.cumsum(first)
    states = np.empty(first[-1], np.int64)
    filled = first.copy()
    newest[:] = -1
    for state in range(num_states):
        for n in range(tables.start[state * num_actions], tables.start[(state + 1) * num_actions]):
            follower = tables.next_state[n]
            if _goes_on(tables, n) and newest[follower] != state:
                newest[follower] = state
                states[filled[follower]] = state
                filled[follower] += 1
    return Predecessors(first, states)


@njit
def approach(
    tables: TransitionTables, before: Predecessors, allowed: Bools, sources: Bools, actions: Ints, reached: Bools
) -> None:
    """Find the states from which a source may be reached, nearest first, and an action of each that may lead nearer.

    Args:
        tables: The decision process.
        before: Its predecessors.
        allowed: The actions that may be taken [S, A].
        sources: Where to arrive [S].
        actions: An action [S] of each state that was reached and is no source. Modified in place.
        reached: The states that were found [S], sources included. Modified in place.
    """
    num_states, num_actions = len(tables.initial), tables.legal.shape[1]
    queue = np.empty(num_states, np.int64)
    head, tail = 0, 0
    for state in range(num_states):
        reached[state] = sources[state]
        if sources[state]:
            queue[tail] = state
            tail += 1
    while head < tail:
        state = queue[head]
        head += 1
        for k in range(before.first[state], before.first[state + 1]):
            other = before.states[k]
            if reached[other]:
                continue
            for action in range(num_actions):
                if allowed[other, action] and _may_lead(tables, other * num_actions + action, state):
                    actions[other] = action
                    reached[other] = True
                    queue[tail] = other
                    tail += 1
                    break


@njit
def rest(tables: TransitionTables, before: Predecessors, allowed: Bools, actions: Ints, resting: Bools) -> None:
    """Find the states at rest: the greatest set in which each has an allowed action that collects nothing and stays.

    Args:
        tables: The decision process.
        before: Its predecessors.
        allowed: The actions that may be taken [S, A].
        actions: Such an action [S] of each state at rest. Modified in place.
        resting: The states that may be at rest [S], and then those that are. Modified in place.
    """
    num_states = len(tables.initial)
    nothing = np.zeros(num_states)
    queue = np.empty(num_states, np.int64)
    head, tail = 0, 0
    for state in range(num_states):
        if resting[state]:
            actions[state] = _resting_action(tables, allowed, resting, nothing, state, 0)
            if actions[state] < 0:
                resting[state] = False
                queue[tail] = state
                tail += 1
    while head < tail:
        state = queue[head]
        head += 1
        for k in range(before.first[state], before.first[state + 1]):
            other = before.states[k]
            if resting[other]:
                actions[other] = _resting_action(tables, allowed, resting, nothing, other, actions[other])
                if actions[other] < 0:
                    resting[other] = False
                    queue[tail] = other
                    tail += 1


@njit
def ending(tables: TransitionTables, allowed: Bools) -> Bools:
    """Return the states [S] in which some allowed action may end the episode, or lose some of its weight."""
    num_states, num_actions = len(tables.initial), tables.legal.shape[1]
    found = np.zeros(num_states, np.bool_)
    for state in range(num_states):
        for action in range(num_actions):
            if allowed[state, action] and _may_end(tables, state * num_actions + action):
                found[state] = True
    return found


@njit
def ending_actions(tables: TransitionTables, allowed: Bools, states: Bools, actions: Ints) -> None:
    """Write the first allowed action that may end the episode into actions [S], for some states [S]; in place."""
    num_actions = tables.legal.shape[1]
    for state in range(len(tables.initial)):
        if states[state]:
            for action in range(num_actions):
                if allowed[state, action] and _may_end(tables, state * num_actions + action):
                    actions[state] = action
                    break


@njit
def _resting_action(
    tables: TransitionTables, allowed: Bools, resting: Bools, nothing: Floats, state: int, least: int
) -> int:
    """Return the first allowed action, from `least` on, that collects nothing and stays at rest; -1 if none does."""
    num_actions = tables.legal.shape[1]
    for action in range(least, num_actions):
        if allowed[state, action] and backup(tables, 0.0, nothing, state * num_actions + action) == 0.0:
            pair, stays = state * num_actions + action, True
            for n in range(tables.start[pair], tables.start[pair + 1]):
                if _goes_on(tables, n) and not resting[tables.next_state[n]]:
                    stays = False
                    break
            if stays:
                return action
    return -1


@njit
def _goes_on(tables: TransitionTables, n: int) -> bool:
    return tables.probability[n] > 0.0 and tables.discount[n] != 0.0  # type: ignore[no-any-return]  # numpy's bool


@njit
def _may_lead(tables: TransitionTables, pair: int, state: int) -> bool:
    for n in range(tables.start[pair], tables.start[pair + 1]):
        if tables.next_state[n] == state and _goes_on(tables, n):
            return True
    return False


@njit
def _may_end(tables: TransitionTables, pair: int) -> bool:
    for n in range(tables.start[pair], tables.start[pair + 1]):
        if tables.probability[n] > 0.0 and abs(tables.discount[n]) < 1.0:
            return True
    return False
