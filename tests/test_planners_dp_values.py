"""Dynamic programming on problems whose values are known."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from planner_helpers import toy

from tengen.planners.dp_config import ModifiedPolicyIteration, PolicyEvaluation, PolicyIteration, ValueIteration
from tengen.planners.dynamic_programming import Plan, policy_evaluation, policy_iteration, value_iteration
from tengen.planners.exact import evaluate_exactly, expected_return, finite_horizon_optimum, finite_horizon_return
from tengen.planners.policies import random_policy
from tengen.registry import names, resolve_planner
from tengen.tables import Outcome, TransitionTables, tabulate

PLANNERS = [ValueIteration, PolicyIteration, ModifiedPolicyIteration]


@cache
def frozen_lake(side: int) -> TransitionTables:
    return toy("FrozenLake-v1", map_name=f"{side}x{side}")


@cache
def plan_of(side: int, gamma: float) -> Plan:
    return value_iteration(frozen_lake(side), gamma)


@pytest.mark.parametrize(("gamma", "start"), [(0.9, 0.068891), (0.95, 0.180472), (0.99, 0.542026)])
@pytest.mark.parametrize("planner", PLANNERS)
def test_frozen_lake_has_the_known_start_values(planner: type[ValueIteration], gamma: float, start: float) -> None:
    plan = planner(gamma=gamma).plan(frozen_lake(4))
    assert plan.v[0] == pytest.approx(start, abs=1e-6)
    assert evaluate_exactly(frozen_lake(4), plan.policy, gamma)[0] == pytest.approx(start, abs=1e-6)


@pytest.mark.parametrize("planner", PLANNERS)
def test_frozen_lake_without_a_limit_is_crossed_14_times_in_17(planner: type[ValueIteration]) -> None:
    plan = planner(gamma=1.0).plan(frozen_lake(4))
    assert plan.v[0] == pytest.approx(14 / 17, abs=1e-8)
    assert expected_return(frozen_lake(4), plan.policy, None) == pytest.approx(14 / 17, abs=1e-12)


def test_frozen_lake_within_100_steps() -> None:
    assert finite_horizon_optimum(frozen_lake(4), 100) == pytest.approx(0.74419, abs=5e-6)
    assert finite_horizon_return(frozen_lake(4), plan_of(4, 0.99).policy, 100) == pytest.approx(0.7402, abs=5e-5)


@pytest.mark.parametrize(("gamma", "crossed"), [(0.99, 0.863), (0.995, 0.894), (0.999, 0.886)])
def test_the_large_frozen_lake_within_200_steps(gamma: float, crossed: float) -> None:
    assert finite_horizon_return(frozen_lake(8), plan_of(8, gamma).policy, 200) == pytest.approx(crossed, abs=5e-4)


def test_the_large_frozen_lake_at_best_within_200_steps() -> None:
    assert finite_horizon_optimum(frozen_lake(8), 200) == pytest.approx(0.91322, abs=5e-6)


def test_the_large_frozen_lake_is_always_crossed_without_a_limit() -> None:
    plan = policy_iteration(frozen_lake(8), 1.0)  # of which the greedy action goes round in circles, ties broken anyhow
    assert plan.v[0] == pytest.approx(1.0)
    assert expected_return(frozen_lake(8), plan.policy, None) == pytest.approx(1.0)


@pytest.mark.parametrize("gamma", [0.95, 1.0])
def test_taxi_brings_7_93_in_the_mean_of_its_starts(gamma: float) -> None:
    tables = toy("Taxi-v4")
    assert np.count_nonzero(tables.initial) == 300
    plan = value_iteration(tables, gamma)
    assert finite_horizon_return(tables, plan.policy, 200) == pytest.approx(7.93, abs=1e-9)
    if gamma == 1:
        assert tables.initial @ plan.v == pytest.approx(7.93, abs=1e-9)


def test_the_cliff_costs_13() -> None:
    tables = toy("CliffWalking-v1")
    for gamma in (0.9, 1.0):
        plan = value_iteration(tables, gamma)
        assert expected_return(tables, plan.policy, None) == -13.0
    assert tables.initial @ plan.v == -13.0


def test_the_cliff_with_some_random_actions_depends_on_which_of_tying_actions_are_taken() -> None:
    tables = toy("CliffWalking-v1")
    plan = value_iteration(tables, 1.0)
    right_first = plan.policy
    down_first = np.where(np.isclose(plan.q[:, 2], plan.v), 2, plan.policy)  # nearer to the cliff while it goes right
    for policy, mean in ((right_first, -45.803), (down_first, -51.813)):
        values = policy_evaluation(tables, 0.9 * np.eye(4)[policy] + 0.1 * random_policy(tables), 1.0)
        assert tables.initial @ values.v == pytest.approx(mean, abs=5e-4)


def small_gridworld() -> TransitionTables:
    """Sutton & Barto (2018), example 4.1: 4 by 4, two corners end it, each step costs 1."""

    def outcomes(state: int, action: int) -> list[Outcome]:
        row, column = divmod(state, 4)
        row = min(max(row + (-1, 1, 0, 0)[action], 0), 3)
        column = min(max(column + (0, 0, -1, 1)[action], 0), 3)
        after = 4 * row + column
        return [(1.0, after, 0.0 if state in (0, 15) else -1.0, 0.0 if {state, after} & {0, 15} else 1.0)]

    return tabulate(16, 4, outcomes, np.full(16, 1 / 16))


def test_the_random_policys_values_are_those_of_figure_4_1() -> None:
    values = PolicyEvaluation(gamma=1.0).plan(small_gridworld())
    expected = [[0, -14, -20, -22], [-14, -18, -20, -20], [-20, -20, -18, -14], [-22, -20, -14, 0]]
    np.testing.assert_allclose(values.v.reshape(4, 4), expected, rtol=0, atol=1e-7)
    # Greedy for the random policy's values is optimal already, as the figure shows.
    steps = evaluate_exactly(small_gridworld(), values.policy, 1.0).reshape(4, 4)
    np.testing.assert_allclose(steps, [[0, -1, -2, -3], [-1, -2, -3, -2], [-2, -3, -2, -1], [-3, -2, -1, 0]])


def test_the_gambler_of_example_4_3() -> None:
    def outcomes(capital: int, action: int) -> list[Outcome]:
        stake = action + 1
        won = capital + stake
        win = (0.4, 0, 1.0, 0.0) if won == 100 else (0.4, won % 100, 0.0, 1.0)
        lose = (0.6, 0, 0.0, 0.0) if stake == capital else (0.6, (capital - stake) % 100, 0.0, 1.0)
        return [win, lose]

    stakes = np.arange(1, 51)
    capital = np.arange(100)[:, None]
    legal = (stakes <= capital) & (capital + stakes <= 100)
    legal[0] = True  # nobody is ever there
    tables = tabulate(100, 50, outcomes, 50, legal=legal)
    for plan in (value_iteration(tables, 1.0), policy_iteration(tables, 1.0)):
        np.testing.assert_allclose(plan.v[[25, 50, 75]], [0.16, 0.4, 0.64], rtol=0, atol=1e-9)
        np.testing.assert_allclose(evaluate_exactly(tables, plan.policy, 1.0)[1:], plan.v[1:], rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", names("planners"))
def test_a_registered_planner_plans(name: str) -> None:
    plan = resolve_planner(name)(gamma=0.9).plan(frozen_lake(4))
    assert plan.v.shape == (16,)
    assert plan.q.shape == (16, 4)
    assert plan.policy.shape == (16,)
    assert plan.residual < 1e-9
    assert plan.seconds > 0
