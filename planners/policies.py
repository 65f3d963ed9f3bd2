"""Policies over transition tables: greedy, random, given ones; and whether they come to an end.

Two actions tie where their values differ by no more than `TIE` (relative to the greater, absolute where that is below
1), so that rounding decides nothing, and the first of those that tie is taken. With gamma 1, where going round in
circles may tie with the way out, it is one that may lead nearer to an end where the first ones never do.

S states, A actions.
"""

from __future__ import annotations

import numpy as np

from tengen.errors import UserError
from tengen.planners import _dp_ending_kernels as endings
from tengen.planners import _dp_kernels as kernels
from tengen.planners._dp_kernels import Rule
from tengen.tables import TransitionTables
from tengen.types import Array, Bools, Floats, Ints

TIE = 1e-9


def legal_actions(tables: TransitionTables) -> Bools:
    """Return which actions are legal [S, A]."""
    if len(tables.legal):
        return tables.legal
    return np.ones((tables.num_states, tables.num_actions), np.bool_)


def random_policy(tables: TransitionTables) -> Floats:
    """Return the policy [S, A] that takes each legal action with the same probability."""
    legal = legal_actions(tables)
    probabilities: Floats = legal / legal.sum(1, keepdims=True)
    return probabilities


def greedy_policy(q: Floats, legal: Bools | None = None) -> Ints:
    """Return the legal action of the greatest value in each state [S]; of those that tie, the first.

    Args:
        q: Values [S, A].
        legal: [S, A]; None or [0, A]: all are.
    """
    actions: Ints = tied_actions(q, legal).argmax(1)
    return actions


def greedy_for(tables: TransitionTables, gamma: float, v: Floats, q: Floats) -> Ints:
    """Return the policy [S] that is greedy for values; with gamma 1 one that does not put off for ever what is best."""
    actions = greedy_policy(q, tables.legal)
    if gamma == 1:
        tied, worth_nothing = tied_actions(q, tables.legal), np.abs(v) <= TIE
        settled = np.zeros(tables.num_states, np.bool_)
        settled = _lead_to_an_end(tables, one_hot(actions, tables), worth_nothing, settled, actions)
        _lead_to_an_end(tables, tied, worth_nothing, settled, actions)
    return actions


def first_policy(tables: TransitionTables) -> Ints:
    """Return a policy [S] to begin with: it leads to an end where it can, so that it has values even with gamma 1."""
    legal = legal_actions(tables)
    actions: Ints = legal.argmax(1)
    everywhere = np.ones(tables.num_states, np.bool_)
    _lead_to_an_end(tables, legal, everywhere, ~everywhere, actions)
    return actions


def one_hot(actions: Ints, tables: TransitionTables) -> Bools:
    """Return which actions a deterministic policy [S] takes [S, A]."""
    taken = np.zeros((tables.num_states, tables.num_actions), np.bool_)
    taken[np.arange(tables.num_states), actions] = True
    return taken


def following(tables: TransitionTables, policy: Array) -> Rule:
    """Return the rule by which a state is worth what a policy makes of it.

    Args:
        tables: The decision process.
        policy: Probabilities [S, A], or an action for each state [S].

    Raises:
        UserError: It is no policy of this decision process.
    """
    num_states, num_actions, legal = tables.num_states, tables.num_actions, tables.legal
    given = np.asarray(policy)
    if given.shape == (num_states,) and np.issubdtype(given.dtype, np.integer):
        actions = given.astype(np.int64)
        if actions.min() < 0 or actions.max() >= num_actions:
            raise UserError(f"a policy takes an action outside 0..{num_actions - 1}")
        if len(legal) and not legal[np.arange(num_states), actions].all():
            raise UserError("a policy takes an action that is illegal")
        return Rule(actions, np.zeros((0, num_actions)))
    if given.shape != (num_states, num_actions):
        raise UserError(
            f"a policy has the shape {given.shape}, expected an action for each state ({num_states},) or probabilities"
            f" ({num_states}, {num_actions})"
        )
    probabilities = np.ascontiguousarray(given, np.float64)
    if (probabilities < 0).any() or not (np.abs(probabilities.sum(1) - 1) <= TIE).all():
        raise UserError("a policy's probabilities must not be negative, and sum to one in each state")
    if len(legal) and (probabilities[~legal] > 0).any():
        raise UserError("a policy takes an action that is illegal")
    return Rule(np.zeros(0, np.int64), probabilities)


def optimal(tables: TransitionTables) -> Rule:
    """Return the rule by which a state is worth what its best action is."""
    return Rule(np.zeros(0, np.int64), np.zeros((0, tables.num_actions)))


def refuse_endless(tables: TransitionTables, rule: Rule) -> Bools:
    """Return the states [S] from which a policy collects nothing any more.

    Raises:
        UserError: From some state it never ends and goes on collecting: with gamma 1 that has no value.
    """
    num_states, before = tables.num_states, endings.predecessors(tables)
    taken = one_hot(rule.actions, tables) if len(rule.actions) else rule.policy > 0
    expected, unused = np.zeros(num_states), np.zeros(num_states, np.int64)
    kernels.sweep(tables, rule, 0.0, np.zeros(num_states), expected, False)
    paid, settled = np.zeros(num_states, np.bool_), np.zeros(num_states, np.bool_)
    endings.approach(tables, before, taken, expected != 0, unused, paid)
    endings.approach(tables, before, taken, ~paid | endings.ending(tables, taken), unused, settled)
    endless = np.flatnonzero(~settled)
    if len(endless):
        more = f" and {len(endless) - 1} more" if len(endless) > 1 else ""
        raise UserError(
            f"with gamma 1 values are infinite: from state {endless[0]}{more} the policy never ends and goes on"
            " collecting rewards; choose a gamma below 1, or a policy that ends"
        )
    return ~paid


def tied_actions(q: Floats, legal: Bools | None) -> Bools:
    """Return the legal actions that tie for the greatest value [S, A]."""
    values = q if legal is None or len(legal) == 0 else np.where(legal, q, -np.inf)
    best = values.max(1, keepdims=True)
    tied: Bools = values >= best - TIE * np.maximum(1.0, np.abs(best))
    return tied


def _lead_to_an_end(
    tables: TransitionTables, allowed: Bools, worth_nothing: Bools, settled: Bools, actions: Ints
) -> Bools:
    """Give those states an action that may lead to an end, or to rest, or to a settled state, from which one exists.

    Args:
        tables: The decision process.
        allowed: The actions that may be given [S, A].
        worth_nothing: The states [S] that may be at rest.
        settled: The states [S] that keep their action.
        actions: [S]. Modified in place.

    Returns:
        The states that were given one, and those that were settled before [S].
    """
    before = endings.predecessors(tables)
    resting, resting_actions = worth_nothing.copy(), np.zeros(tables.num_states, np.int64)
    endings.rest(tables, before, allowed, resting_actions, resting)
    last = endings.ending(tables, allowed)
    endings.ending_actions(tables, allowed, last & ~settled, actions)
    actions[resting & ~settled] = resting_actions[resting & ~settled]
    reached = np.zeros(tables.num_states, np.bool_)
    endings.approach(tables, before, allowed, settled | resting | last, actions, reached)
    return reached
