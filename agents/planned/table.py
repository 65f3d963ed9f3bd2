"""A plan over states as a table over what an agent sees of them.

S states, O observations, A actions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tengen.agents.tabular.states import States, states_of
from tengen.errors import UserError
from tengen.planners.dynamic_programming import Plan
from tengen.planners.policies import tied_actions
from tengen.tables import TransitionTables
from tengen.types import Bools, EnvSpec, Floats, Ints


class PlanTable(NamedTuple):
    """What is worth doing, by observation."""

    q: Floats  # [O, A]
    v: Floats  # [O]
    policy: Ints  # [O]


def numbering(spec: EnvSpec) -> States:
    """Return what numbers an environment's observations.

    Raises:
        UserError: They are not whole numbers.
    """
    states: Any = states_of(spec, "planned", "none", (), (), ())
    return states  # type: ignore[no-any-return]  # without a discretiser they are exact


def tabulate_plan(spec: EnvSpec, plan: Plan) -> PlanTable:
    """Return a plan by observation.

    Where several states look the same, `q` and `v` are their mean, and the action is one that is the best in each.

    Args:
        spec: The environment.
        plan: Made of its `model`.

    Raises:
        UserError: States that look the same need different actions.
    """
    tables, num_observations = spec.model, numbering(spec).num_states
    assert tables is not None, "the plan was made of tables"
    seen = tables.observation if len(tables.observation) else np.arange(tables.num_states)  # [S]
    acted_in = np.flatnonzero(_acted_in(tables))
    observations = seen[acted_in]
    counts = np.bincount(observations, minlength=num_observations)
    weights = 1.0 / counts[observations]  # [acted in]
    q, v = np.zeros((num_observations, tables.num_actions)), np.zeros(num_observations)
    np.add.at(q, observations, plan.q[acted_in] * weights[:, None])
    np.add.at(v, observations, plan.v[acted_in] * weights)
    policy = np.zeros(num_observations, np.int64)
    policy[observations] = plan.policy[acted_in]
    if counts.max() > 1:
        _agree(spec, plan, acted_in, observations, policy)
    return PlanTable(q, v, policy)


def _acted_in(tables: TransitionTables) -> Bools:
    """Return the states [S] in which an episode can begin or go on; in others nobody ever acts."""
    acted_in: Bools = tables.initial > 0
    acted_in[tables.next_state[(tables.discount != 0) & (tables.probability > 0)]] = True
    return acted_in


def _agree(spec: EnvSpec, plan: Plan, states: Ints, observations: Ints, policy: Ints) -> None:
    """Give observations that several states share an action that is the best in each of them. In place: policy [O].

    Raises:
        UserError: There is none.
    """
    assert spec.model is not None
    best = tied_actions(plan.q, spec.model.legal)[states]  # [acted in, A]
    good = np.ones((len(policy), best.shape[1]), np.bool_)
    np.logical_and.at(good, observations, best)
    shared = np.bincount(observations, minlength=len(policy)) > 1
    wrong = np.flatnonzero(shared & ~good.any(1))
    if len(wrong):
        alike = states[observations == wrong[0]]
        raise UserError(
            f"{spec.id} shows the states {', '.join(map(str, alike[:5]))} alike (observation {wrong[0]}), but the plan"
            " acts differently in them: no agent can follow it; the values alone are to be had from tengen.planners"
        )
    taken = good[np.arange(len(policy)), policy]
    policy[shared & ~taken] = good.argmax(1)[shared & ~taken]
