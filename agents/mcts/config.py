"""Settings of the agent that searches. Standard library only."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from tengen.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from tengen.contracts import Agent
    from tengen.planners.mcts.settings import SearchSettings
    from tengen.types import EnvSpec


@dataclass(frozen=True)
class MCTSConfig:
    """Monte-Carlo tree search by random playouts: knows the rules and nothing else, and learns nothing.

    Each move is searched anew. The search takes positions from the environment's own state, and plays for both sides.
    """

    uses_torch: ClassVar[bool] = False

    simulations: int = 400
    """Simulations of each move."""
    seconds: float | None = None
    """Time for each move, of all environments together, in place of `simulations`. Runs can't be repeated then."""
    rule: Literal["uct", "puct"] = "uct"
    """How actions are chosen on the way down: UCB1, or PUCT with equal priors."""
    exploration: float | None = None
    """The weight of actions seldom tried; none: 1 for uct (0 with RAVE), 1.25 for puct."""
    rave: float = 0.0
    """uct: simulations at which an action's own mean weighs as much as that of all later moves (RAVE); 0: no RAVE."""
    expand_visits: int = 1
    """Visits after which an action gets a node in the tree."""
    playouts: int = 1
    """Random games for each simulation."""
    leaves: int = 8
    """Simulations of a game that are played out at once."""
    threads: int = 1
    """Threads that share playouts, each 8 leaves of a batch at least (of all environments); they change no move."""
    max_nodes: int = 50_000
    """Nodes of a tree at most."""

    def __post_init__(self) -> None:
        for name in ("simulations", "playouts", "threads"):
            if getattr(self, name) < 1:
                raise UserError(f"agent.{name} must be at least 1, got {getattr(self, name)}")
        if self.seconds is not None and not 0 < self.seconds < float("inf"):
            raise UserError(f"agent.seconds must be greater than 0 and finite, or none, got {self.seconds:g}")
        self.settings()

    def settings(self) -> SearchSettings:
        """Return the search's own settings.

        Raises:
            UserError: One is out of its range.
        """
        from tengen.planners.mcts.settings import SearchSettings

        shared = {field.name for field in dataclasses.fields(SearchSettings)} & set(vars(self))
        return SearchSettings(**{name: getattr(self, name) for name in shared}, rave_equivalence=self.rave)

    @classmethod
    def refusal(cls, spec: EnvSpec) -> str | None:
        """Return why it can't search here, or None."""
        if spec.simulator is None:
            return f"mcts needs an environment whose rules can be searched (a simulator), {spec.id} has none"
        if not getattr(spec.simulator, "deterministic", False):
            return f"mcts needs rules without chance, and those of {spec.id} don't say that they are"
        return None

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent; it has no use for a device."""
        from tengen.agents.mcts.agent import MCTSAgent, MCTSPolicy
        from tengen.planners.mcts import Budget, Search, light_playouts

        assert spec.simulator is not None, "refusal() comes first"
        evaluate = light_playouts(spec.simulator, threads=self.threads, playouts=self.playouts)
        search = Search(spec.simulator, evaluate, self.settings())
        budget = Budget(self.simulations) if self.seconds is None else Budget(seconds=self.seconds)
        return MCTSAgent(MCTSPolicy(search, budget), rng)
