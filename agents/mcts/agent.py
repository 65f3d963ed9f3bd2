"""The agent that searches each move by Monte-Carlo tree search, and learns nothing.

B batch, A actions.
"""

from __future__ import annotations

import numpy as np

from tengen.planners.mcts.budget import Budget
from tengen.planners.mcts.result import SearchResult
from tengen.planners.mcts.search import Search
from tengen.types import Decision, Ints, Metrics, State, TimeStep


class MCTSPolicy:
    """Plays what a search from the position visits most. Each is searched anew, so that acting leaves no trace.

    Args:
        search: Used for every position.
        budget: Of each.
    """

    def __init__(self, search: Search, budget: Budget) -> None:
        self._search = search
        self._budget = budget

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return the most visited action of each row, [B]."""
        return self.search(step, rng).actions

    def search(self, step: TimeStep, rng: np.random.Generator) -> SearchResult:
        """Search the positions of a TimeStep among its legal actions."""
        assert step.state is not None, "an environment with a simulator shows its states"
        self._search.reset(step.state, step.legal)
        return self._search.run(self._budget, rng)


class MCTSAgent:
    """Acts as its policy does; there is nothing to learn.

    Args:
        policy: Searches.
        rng: Of the playouts.
    """

    def __init__(self, policy: MCTSPolicy, rng: np.random.Generator) -> None:
        self._policy = policy
        self._rng = rng

    def act(self, step: TimeStep) -> Decision:
        """Search each row; the extras are what was found: the shares of visits, and the value."""
        result = self._policy.search(step, self._rng)
        return Decision(result.actions, {"policy": result.policy.astype(np.float32), "value": result.value})

    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        """Learn nothing; report what was thought of the positions."""
        return {"search_value": decision.extras["value"].mean()}

    def policy(self) -> MCTSPolicy:
        """Return the policy."""
        return self._policy

    def state_dict(self) -> State:
        """Return the generator's state: nothing else decides what comes next."""
        return {"rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state_dict` was taken."""
        self._rng.bit_generator.state = state["rng"]
