"""Players by what a run has learnt: its policy, shown positions as its environment shows them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tengen.envs.go.rules import Rules
from tengen.envs.go.simulator import Go
from tengen.envs.opponent import AgainstOpponent
from tengen.errors import UserError
from tengen.evaluation.go.game import Game
from tengen.evaluation.go.komi import is_learnt
from tengen.evaluation.go.thinkers import Candidate, Thinker, Thought
from tengen.planners.mcts.budget import Budget
from tengen.types import Bools, TimeStep

if TYPE_CHECKING:
    from tengen.contracts import Agent, Policy


@dataclass(frozen=True)
class RunMaker:
    """Players by what a run has learnt.

    Attributes:
        folder: The run's.
        simulator: Of its environment.
        policy_by: Returns its policy, which searches by these rules where it searches.
    """

    folder: Path
    simulator: Go
    policy_by: Callable[[Rules], Policy]

    def planes(self, size: int) -> str:
        """What the run's environment shows."""
        return self.simulator.planes

    def __call__(self, simulator: Go) -> Thinker:
        """Return one; UserError where it was trained on boards of another size."""
        mine, wanted = self.simulator.rules.size, simulator.rules.size
        if mine != wanted:
            raise UserError(f"{self.folder} was trained on {mine}x{mine}, not {wanted}x{wanted}: choose another run")
        return _RunThinker(self.policy_by(simulator.rules), simulator)


def run_maker(folder: Path) -> RunMaker:
    """Return a maker of players by a run; UserError where it is none of Go."""
    from tengen.run import load_policy, open_run

    run = open_run(folder)
    loaded = load_policy(run, "latest", num_envs=1)
    spec = loaded.env.spec
    if isinstance(spec.simulator, AgainstOpponent) and isinstance(spec.simulator.game, Go):
        return RunMaker(folder, spec.simulator.game, lambda rules: loaded.policy)  # no search knows opponents
    if not isinstance(spec.simulator, Go):
        raise UserError(f"{folder} is a run of {run.config.env.id}, which is no Go: choose one of tengen/Go-v0")
    rebuild, planes, learnt = loaded.rebuild, spec.simulator.planes, spec.simulator.rules.total_komi

    @functools.lru_cache(maxsize=1)
    def policy_by(rules: Rules) -> Policy:
        game = Go(rules, planes)
        return _policy(rebuild(dataclasses.replace(spec, simulator=game)), game, learnt)

    return RunMaker(folder, spec.simulator, policy_by)


def _policy(agent: Agent, game: Go, learnt: float) -> Policy:
    """Return an agent's policy. Playouts judge in place of its network's values at a komi that it has not learnt."""
    from tengen.agents.alphazero import AlphaZero
    from tengen.agents.alphazero.agent import SearchPolicy
    from tengen.agents.alphazero.plan import SearchPlan
    from tengen.envs.go.tactics import tactical_playouts
    from tengen.planners.mcts.evaluators import light_playouts, mixed, network
    from tengen.planners.mcts.search import Search

    if not isinstance(agent, AlphaZero) or is_learnt(game.rules.total_komi, learnt):
        return agent.policy()
    plan = agent.exploit
    assert isinstance(plan, SearchPlan)
    assert plan.budget.simulations is not None
    played = light_playouts(game, play=tactical_playouts(game))
    judged = mixed(network(game, agent.learner.evaluate), played, 1.0)
    return SearchPolicy(SearchPlan(Search(game, judged, plan.search.settings), plan.budget.simulations))


class _RunThinker:
    """A run's policy, shown the position as its environment would show it."""

    def __init__(self, policy: Policy, simulator: Go) -> None:
        self._policy = policy
        self._simulator = simulator

    def think(
        self,
        game: Game,
        allowed: Bools,
        budget: Budget,
        rng: np.random.Generator,
        should_stop: Callable[[], bool] | None = None,
    ) -> Thought:
        """Ask the policy; the budget is its own affair."""
        states = game.states
        one, zero = np.ones(1), np.zeros(1)
        step = TimeStep(
            self._simulator.observe(states), zero, one, zero > 0, zero > 0, allowed[None], states.copy(), None
        )
        action = int(self._policy.act(step, rng)[0])
        return Thought((Candidate(action, 1, 0.0, 1.0, (action,)),), 0.0, 0)
