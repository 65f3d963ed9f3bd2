"""How AlphaZero moves: a tree search over the rules of the game, with its network at the leaves.

B games, A actions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tengen.agents.alphazero.agent import Planned
from tengen.planners.mcts.budget import Budget
from tengen.planners.mcts.result import SearchResult
from tengen.planners.mcts.search import Search
from tengen.types import Ints, TimeStep


class SearchPlan:
    """Searches anew at each move. It is a `Plan`.

    A tree that is kept from move to move would be part of the agent's state, and would have been grown by weights that
    have changed since.

    Args:
        search: The search.
        simulations: Of each move; 0 takes the network's word.
        move_numbers: Gives the moves made in each game so far, [B]; None where no move is drawn.
        sampled_moves: Moves at a game's start that are drawn in proportion to visits.
    """

    def __init__(
        self,
        search: Search,
        simulations: int,
        *,
        move_numbers: Callable[[], Ints] | None = None,
        sampled_moves: int = 0,
    ) -> None:
        self.search = search
        self.budget = Budget(simulations=simulations)
        self.move_numbers = move_numbers
        self.sampled_moves = sampled_moves

    def __call__(self, step: TimeStep, rng: np.random.Generator) -> Planned:
        """Search the positions of a TimeStep among its legal actions."""
        assert step.state is not None, "a search needs TimeStep.state"
        self.search.reset(step.state, step.legal)
        result = self.search.run(self.budget, rng)
        return Planned(self._actions(result, rng), result.policy.astype(np.float32), result.value)

    def _actions(self, result: SearchResult, rng: np.random.Generator) -> Ints:
        actions = result.actions.copy()
        if self.move_numbers is not None and self.sampled_moves > 0:
            for row in np.flatnonzero(self.move_numbers() < self.sampled_moves).tolist():
                visits = result.visits[row]
                actions[row] = rng.choice(len(visits), p=visits / visits.sum())
        return actions
