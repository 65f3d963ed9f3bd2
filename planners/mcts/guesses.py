"""What is known of actions before any is tried, as a start for the values of a search with RAVE.

G states, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from tengen.contracts import Simulator
from tengen.planners.mcts.evaluators import NetworkFunction, masked_softmax
from tengen.types import Array, Bools

Guess: TypeAlias = Callable[[Any, Bools], tuple[Array, Array]]
"""From states [G, ...] and legal actions [G, A] to values [G, A] that actions are thought to have before any is tried,
and the number of playouts [G, A] that each counts for; both float32. RAVE's values begin with them."""


def policy_guess(simulator: Simulator, function: NetworkFunction, *, won: float = 300.0) -> Guess:
    """Guess by a policy: imagine `won * sqrt(p(a))` playouts of each action, all won.

    The network is asked once for each node, which may have had many playouts by then (`expand_visits`): a search so
    guided makes far more simulations than one that asks at each leaf. That a policy is a good start for RAVE is due to
    Gelly and Silver 2007; the square root keeps moves in sight that the network thinks unlikely.

    Args:
        simulator: The rules.
        function: The network, on arrays.
        won: Playouts imagined of an action that is certain.
    """

    def guess(states: Any, legal: Bools) -> tuple[Array, Array]:
        logits, _ = function(simulator.observe(states))
        counts = np.float32(won) * np.sqrt(masked_softmax(logits, legal))
        return np.ones_like(counts), counts

    return guess


def both(one: Guess, other: Guess) -> Guess:
    """Return the guess that imagines the playouts of two."""

    def guess(states: Any, legal: Bools) -> tuple[Array, Array]:
        (values, counts), (further, more) = one(states, legal), other(states, legal)
        total = counts + more
        return (values * counts + further * more) / np.maximum(total, np.float32(1e-9)), total

    return guess
