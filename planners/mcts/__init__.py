"""Monte-Carlo tree search over any simulator. Start reading at `search.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports

if TYPE_CHECKING:
    from tengen.planners.mcts.budget import UNLIMITED, Budget
    from tengen.planners.mcts.evaluators import Evaluate, Evaluation, light_playouts, mixed, network
    from tengen.planners.mcts.guesses import Guess, both, policy_guess
    from tengen.planners.mcts.report import root_report
    from tengen.planners.mcts.result import SearchResult, sample_actions, should_resign
    from tengen.planners.mcts.search import Search
    from tengen.planners.mcts.settings import SearchSettings

__all__ = [
    "UNLIMITED",
    "Budget",
    "Evaluate",
    "Evaluation",
    "Guess",
    "Search",
    "SearchResult",
    "SearchSettings",
    "both",
    "light_playouts",
    "mixed",
    "network",
    "policy_guess",
    "root_report",
    "sample_actions",
    "should_resign",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "UNLIMITED": "tengen.planners.mcts.budget",
        "Budget": "tengen.planners.mcts.budget",
        "Evaluate": "tengen.planners.mcts.evaluators",
        "Evaluation": "tengen.planners.mcts.evaluators",
        "Guess": "tengen.planners.mcts.guesses",
        "Search": "tengen.planners.mcts.search",
        "SearchResult": "tengen.planners.mcts.result",
        "SearchSettings": "tengen.planners.mcts.settings",
        "both": "tengen.planners.mcts.guesses",
        "light_playouts": "tengen.planners.mcts.evaluators",
        "mixed": "tengen.planners.mcts.evaluators",
        "network": "tengen.planners.mcts.evaluators",
        "policy_guess": "tengen.planners.mcts.guesses",
        "root_report": "tengen.planners.mcts.report",
        "sample_actions": "tengen.planners.mcts.result",
        "should_resign": "tengen.planners.mcts.result",
    },
)
