"""Dynamic programming against full matrices, over decision processes without rhyme or reason."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from planner_helpers import Dense, random_tables

from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.planners import _dp_ending_kernels as endings
from tengen.planners import _dp_kernels as kernels
from tengen.planners import _dp_queue_kernels as queues
from tengen.planners.dp_config import Method
from tengen.planners.dynamic_programming import (
    Plan,
    modified_policy_iteration,
    policy_evaluation,
    policy_iteration,
    value_iteration,
)
from tengen.planners.exact import evaluate_exactly, expected_return, finite_horizon_optimum, finite_horizon_return
from tengen.planners.policies import following, greedy_policy, legal_actions, optimal, random_policy
from tengen.tables import TransitionTables, tabulate
from tengen.types import Floats

DISCOUNTS = [(0.0, 1.0), (-1.0, 0.0), (-1.0, -0.3, 0.0, 0.5, 1.0)]
SEEDS = range(6)

METHODS: dict[str, Callable[..., Plan]] = {
    "synchronous": lambda tables, gamma, **more: value_iteration(tables, gamma, method="synchronous", **more),
    "in_place": lambda tables, gamma, **more: value_iteration(tables, gamma, method="in_place", **more),
    "prioritized": lambda tables, gamma, **more: value_iteration(tables, gamma, method="prioritized", **more),
    "policy_iteration": policy_iteration,
    "modified": modified_policy_iteration,
    "modified, 1 sweep": lambda tables, gamma, **more: modified_policy_iteration(
        tables, gamma, evaluation_sweeps=1, **more
    ),
}


def line(rewards: list[float], *, stay: float | None = None) -> TransitionTables:
    """Walk right from state to state, the last step ends it. Action 0 stays for the reward `stay`, if that is given."""

    def outcomes(state: int, action: int) -> list[tuple[float, int, float, float]]:
        if stay is not None and action == 0:
            return [(1.0, state, stay, 1.0)]
        end = state == len(rewards) - 1
        return [(1.0, state if end else state + 1, rewards[state], 0.0 if end else 1.0)]

    return tabulate(len(rewards), 1 if stay is None else 2, outcomes, 0)


def a_policy(tables: TransitionTables, seed: int) -> Floats:
    """Some stochastic policy [S, A], which never takes some of the legal actions."""
    rng = np.random.default_rng(seed)
    legal = legal_actions(tables)
    weights = rng.exponential(size=legal.shape) * legal * (rng.random(legal.shape) < 0.7)
    weights += 1e-3 * np.eye(tables.num_actions)[legal.argmax(1)]
    return np.asarray(weights / weights.sum(1, keepdims=True))


# --- Kernels against full matrices ---


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("discounts", DISCOUNTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_synchronous_sweep_is_bellmans_equation(seed: int, discounts: tuple[float, ...], masked: bool) -> None:
    tables = random_tables(seed, discounts, masked=masked)
    dense = Dense(tables, 0.9)
    values = np.random.default_rng(seed).normal(size=tables.num_states)
    policy = a_policy(tables, seed)
    actions = policy.argmax(1)
    for rule, expected in (
        (optimal(tables), dense.best(values)),
        (following(tables, policy), dense.under(policy, values)),
        (following(tables, actions), dense.q(values)[np.arange(len(actions)), actions]),
    ):
        target = np.zeros_like(values)
        change, magnitude = kernels.sweep(tables, rule, 0.9, values, target, seed % 2 == 0)
        np.testing.assert_allclose(target, expected, rtol=0, atol=1e-12)
        assert change == pytest.approx(np.abs(expected - values).max())
        assert magnitude == pytest.approx(np.abs(expected).max())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sweep_in_place_uses_the_newest_values(seed: int) -> None:
    tables = random_tables(seed, DISCOUNTS[2], masked=True)
    dense = Dense(tables, 0.9)
    values = np.random.default_rng(seed).normal(size=tables.num_states)
    expected = values.copy()
    for order in (range(6), range(5, -1, -1), range(6)):
        for state in order:
            expected[state] = dense.best(expected)[state]
    kernels.sweeps(tables, optimal(tables), 0.9, values, np.zeros(0), -1.0, 3)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("states", [range(50), range(49, -1, -1)])
def test_in_place_a_long_way_takes_few_sweeps_in_either_direction(states: range) -> None:
    order = list(states)
    tables = tabulate(
        50,
        1,
        lambda state, action: [(1.0, order[min(order.index(state) + 1, 49)], -1.0, float(state != order[-1]))],
        order[0],
    )
    plan = value_iteration(tables, 1.0)
    assert plan.v[order[0]] == -50
    assert plan.sweeps <= 5


@pytest.mark.parametrize(
    "name", sorted(METHODS.keys() - {"policy_iteration"})
)  # which evaluates its first policy to the last
def test_a_way_out_is_found_where_the_first_that_comes_to_mind_rarely_succeeds(name: str) -> None:
    last, ahead = 11, (0.1, 0.9)  # on the first action an episode takes 10^12 steps
    tables = tabulate(
        last + 1,
        2,
        lambda state, action: [
            (ahead[action], min(state + 1, last), -1.0, float(state != last)),
            (1.0 - ahead[action], 0, -1.0, 1.0),
        ],
        0,
    )
    expected = -sum(0.9**-k for k in range(1, last + 2))
    assert METHODS[name](tables, 1.0).v[0] == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [0.99, 1.0])
@pytest.mark.parametrize("method", ["in_place", "prioritized"])
def test_losses_of_a_long_way_are_not_found_out_step_by_step(gamma: float, method: Method) -> None:
    size = 30
    tables = make_env(EnvConfig("tengen/OpenGrid-v0", kwargs={"size": size}), training=False).spec.model
    assert tables is not None
    plan = value_iteration(tables, gamma, method=method)
    steps = 2 * size - 2
    assert plan.v[0] == pytest.approx(-steps if gamma == 1 else -(1 - gamma**steps) / (1 - gamma))
    assert plan.backups <= 8 * tables.num_states


@pytest.mark.parametrize("seed", SEEDS)
def test_an_improvement_changes_an_action_only_for_a_better_one(seed: int) -> None:
    tables = random_tables(seed, DISCOUNTS[2], masked=True)
    dense = Dense(tables, 0.9)
    values = np.random.default_rng(seed).normal(size=tables.num_states)
    legal_q = np.where(dense.legal, dense.q(values), -np.inf)
    rows = np.arange(tables.num_states)
    before = dense.legal.argmax(1)
    for tolerance in (0.0, 0.5):
        actions, target = before.copy(), np.zeros_like(values)
        switched, change = kernels.improve(tables, 0.9, values, tolerance, actions, target)
        best = legal_q.max(1)
        better = best > legal_q[rows, before] + tolerance * np.maximum(1, np.abs(best))
        np.testing.assert_array_equal(actions, np.where(better, legal_q.argmax(1), before))
        np.testing.assert_allclose(target, best, rtol=0, atol=1e-12)
        assert switched == np.count_nonzero(better)
        assert change == pytest.approx(np.abs(best - values).max())


@pytest.mark.parametrize("seed", SEEDS)
def test_predecessors_are_those_that_a_state_may_follow(seed: int) -> None:
    tables = random_tables(seed, num_states=9)
    before = endings.predecessors(tables)
    follows = np.asarray(Dense(tables, 1.0).follows.any(1))  # [S, S'], discounts of 0 and 1 can't cancel out
    for state in range(tables.num_states):
        found = before.states[before.first[state] : before.first[state + 1]]
        assert sorted(found.tolist()) == [other for other in range(9) if follows[other, state]]


def test_an_outcome_without_probability_leads_nowhere() -> None:
    tables = tabulate(2, 1, lambda state, action: [(0.0, 1, 0.0, 1.0), (1.0, 0, 0.0, 0.0)], 0)
    assert endings.predecessors(tables).states.size == 0
    tables = tabulate(2, 1, lambda state, action: [(0.0, 1, 0.0, 0.0), (1.0, 0, 0.0, 1.0)], 0)
    assert not endings.ending(tables, legal_actions(tables)).any()


def test_the_queue_gives_the_greatest_error_first_whatever_was_put_and_taken_before() -> None:
    rng = np.random.default_rng(0)
    queue = queues.make_queue(30)
    errors: dict[int, float] = {}
    for _ in range(2_000):
        state, error = int(rng.integers(30)), float(rng.random())
        queues.put(queue, state, error, 0.3)
        errors.pop(state, None)
        if error > 0.3:
            errors[state] = error
        assert queue.size[0] == len(errors)
        if errors:
            assert errors[int(queue.heap[0])] == max(errors.values())
        assert [int(queue.heap[place]) for place in queue.place if place >= 0] == sorted(errors)


def test_prioritized_backups_begin_with_the_greatest_error() -> None:
    tables = line([1.0, 5.0, 3.0])
    values = np.zeros(3)
    queue = queues.make_queue(3)
    queues.look(tables, optimal(tables), 0.9, values, 1e-9, queue)
    before = endings.predecessors(tables)
    order = []
    while queue.size[0]:
        order.append(int(queue.heap[0]))
        queues.sweep_by_priority(tables, before, optimal(tables), 0.9, values, 1e-9, queue, 1)
    # 5 is the greatest. Then 1 + 0.9 * 5 = 5.5 is missing in state 0; then 3 in state 2, and what follows from it.
    assert order == [1, 0, 2, 1, 0]
    np.testing.assert_allclose(values, [1 + 0.9 * (5 + 0.9 * 3), 5 + 0.9 * 3, 3])


# --- All methods ---


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("discounts", DISCOUNTS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_optimal_values(method: str, discounts: tuple[float, ...], masked: bool) -> None:
    for seed in SEEDS:
        tables = random_tables(seed, discounts, masked=masked)
        dense = Dense(tables, 0.9)
        expected = dense.optimal_values(500)
        plan = METHODS[method](tables, 0.9)
        assert plan.error_bound is not None
        assert np.abs(plan.v - expected).max() <= plan.error_bound + 1e-12
        assert plan.residual <= 1e-9
        np.testing.assert_allclose(plan.q, dense.q(expected), rtol=0, atol=1e-8)
        np.testing.assert_array_equal(plan.policy, np.where(dense.legal, plan.q, -np.inf).argmax(1))
        np.testing.assert_allclose(evaluate_exactly(tables, plan.policy, 0.9), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_the_error_bound_holds_when_a_method_stops_early(method: str) -> None:
    for seed in SEEDS:
        tables = random_tables(seed, DISCOUNTS[2])
        plan = METHODS[method](tables, 0.9, theta=0.1)
        assert plan.error_bound is not None
        assert plan.error_bound == pytest.approx(9 * plan.residual)
        assert np.abs(plan.v - Dense(tables, 0.9).optimal_values(500)).max() <= plan.error_bound + 1e-12


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("discounts", DISCOUNTS)
def test_policy_evaluation_finds_a_policys_values(discounts: tuple[float, ...], in_place: bool) -> None:
    for seed in SEEDS:
        tables = random_tables(seed, discounts, masked=True)
        policy = a_policy(tables, seed)
        dense = Dense(tables, 0.9)
        expected = np.zeros(tables.num_states)
        for _ in range(500):
            expected = dense.under(policy, expected)
        values = policy_evaluation(tables, policy, 0.9, in_place=in_place)
        np.testing.assert_allclose(values.v, expected, rtol=0, atol=1e-8)
        np.testing.assert_allclose(values.q, dense.q(expected), rtol=0, atol=1e-8)
        np.testing.assert_allclose(evaluate_exactly(tables, policy, 0.9), expected, rtol=0, atol=1e-11)


def test_a_deterministic_policy_may_be_given_by_its_actions() -> None:
    tables = random_tables(0, masked=True)
    actions = legal_actions(tables).argmax(1)
    by_action = policy_evaluation(tables, actions, 0.9)
    by_probability = policy_evaluation(tables, np.eye(tables.num_actions)[actions], 0.9)
    np.testing.assert_allclose(by_action.v, by_probability.v, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        evaluate_exactly(tables, actions, 0.9), evaluate_exactly(tables, np.eye(3)[actions], 0.9), rtol=0, atol=1e-12
    )


def test_one_sweep_for_each_policy_is_value_iteration() -> None:
    tables = random_tables(0)
    by_value = value_iteration(tables, 0.9, method="synchronous")
    by_policy = modified_policy_iteration(tables, 0.9, evaluation_sweeps=1)
    np.testing.assert_array_equal(by_value.v, by_policy.v)
    assert by_value.sweeps == by_policy.sweeps


def test_sweeps_and_backups_are_counted() -> None:
    tables = line([1.0, 1.0, 1.0])
    plan = value_iteration(tables, 1.0, method="synchronous")
    assert (plan.sweeps, plan.backups) == (5, 15)  # three until they are right, one that sees it, and the last look
    # Every state once for its error and once at the end; 2, 1, 0 once each, and the predecessors of 2 and 1.
    assert value_iteration(tables, 0.1, method="prioritized", theta=0.5).backups < plan.backups


def test_values_too_great_for_theta_are_as_right_as_rounding_lets_them() -> None:
    tables = random_tables(0)
    tables = tables._replace(reward=tables.reward * 1e9)
    expected = Dense(tables, 0.9).optimal_values(500)
    for name, method in METHODS.items():
        np.testing.assert_allclose(method(tables, 0.9, theta=1e-12).v, expected, rtol=1e-12, err_msg=name)


def test_many_states_are_evaluated_by_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = random_tables(0)
    solved = evaluate_exactly(tables, random_policy(tables), 0.9)
    monkeypatch.setattr("tengen.planners.exact._DENSE", 0)
    np.testing.assert_allclose(evaluate_exactly(tables, random_policy(tables), 0.9), solved, rtol=0, atol=1e-10)


# --- Ties ---


def test_the_first_of_actions_that_tie_is_greedy_and_rounding_decides_nothing() -> None:
    q = np.array([[0.0, 1.0, 1.0], [1.0 - 1e-12, 1.0, 0.5], [1e6, 1e6 + 1e-5, 0.0], [1.0, 1.0 + 1e-6, 0.0]])
    assert greedy_policy(q).tolist() == [1, 0, 0, 1]
    legal = np.array([[True, False, True], [False, True, True], [False, False, True], [True, True, True]])
    assert greedy_policy(q, legal).tolist() == [2, 1, 2, 1]
    assert greedy_policy(-q - 1, np.zeros((0, 3), np.bool_)).tolist() == [0, 2, 2, 2]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.9, 1.0])
def test_policy_iteration_ends_where_all_actions_tie(gamma: float) -> None:
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=30)

    def outcomes(state: int, action: int) -> list[tuple[float, int, float, float]]:
        # The same for each action, added up in another order, so that rounding differs.
        nexts = [(0.1 * k, (state * 7 + k) % 30, rewards[state] / 3, 0.9) for k in range(1, 5)]
        return nexts[action:] + nexts[:action]

    tables = tabulate(30, 4, outcomes, 0)
    plan = policy_iteration(tables, gamma)
    assert plan.policy.tolist() == [0] * 30
    assert plan.sweeps < 500


# --- Without discounting ---


@pytest.mark.parametrize("method", METHODS)
def test_with_gamma_1_the_policy_takes_the_way_out_though_staying_ties(method: str) -> None:
    tables = line([0.0, 0.0, 1.0], stay=0.0)  # staying for ever collects nothing, yet is worth as much as going on
    plan = METHODS[method](tables, 1.0)
    np.testing.assert_allclose(plan.v, 1.0, rtol=0, atol=1e-9)
    np.testing.assert_allclose(plan.q, 1.0, rtol=0, atol=1e-9)
    assert plan.policy.tolist() == [1, 1, 1]
    assert plan.error_bound is None


@pytest.mark.parametrize("method", METHODS)
def test_with_gamma_1_it_may_be_best_to_stay_for_ever(method: str) -> None:
    tables = line([2.0, 0.0, -3.0], stay=0.0)  # -1 in all is bad, but so is to stay where the 2 is still to be had
    plan = METHODS[method](tables, 1.0)
    np.testing.assert_allclose(plan.v, [2.0, 0.0, 0.0], rtol=0, atol=1e-9)
    assert plan.policy.tolist()[0] == 1
    assert plan.policy.tolist()[2] == 0
    assert evaluate_exactly(tables, plan.policy, 1.0).tolist() == [2.0, 0.0, 0.0]


@pytest.mark.parametrize("method", METHODS)
def test_with_gamma_1_steps_that_cost_are_kept_few(method: str) -> None:
    tables = line([-1.0, -1.0, -1.0], stay=-1.0)
    plan = METHODS[method](tables, 1.0)
    np.testing.assert_allclose(plan.v, [-3.0, -2.0, -1.0], rtol=0, atol=1e-9)
    assert plan.policy.tolist() == [1, 1, 1]


@pytest.mark.parametrize("method", METHODS)
def test_rewards_without_end_are_refused_with_gamma_1(method: str) -> None:
    with pytest.raises(UserError, match=r"with gamma 1 .*choose a gamma below 1") as caught:
        METHODS[method](line([1.0, 1.0], stay=1.0), 1.0, max_sweeps=1_000)
    assert "\n" not in str(caught.value)


def test_a_policy_that_never_ends_is_refused_with_gamma_1() -> None:
    tables = line([-1.0, -1.0, -1.0], stay=-1.0)
    for evaluate in (policy_evaluation, evaluate_exactly):
        with pytest.raises(UserError, match="from state 0 the policy never ends"):
            evaluate(tables, np.array([0, 1, 1]), 1.0)
        with pytest.raises(UserError, match="from state 0 and 2 more the policy never ends"):
            evaluate(tables, np.array([1, 1, 0]), 1.0)
    np.testing.assert_allclose(policy_evaluation(tables, np.full((3, 2), 0.5), 1.0).v, [-6.0, -4.0, -2.0])
    np.testing.assert_allclose(policy_evaluation(tables, np.array([0, 1, 1]), 0.9).v[0], -10.0)


def test_a_policy_that_never_ends_but_collects_nothing_has_values_with_gamma_1() -> None:
    tables = line([3.0, 0.0, -1.0], stay=0.0)
    for actions, expected in (([1, 0, 1], [3.0, 0.0, -1.0]), ([0, 1, 0], [0.0, 0.0, 0.0]), ([1, 1, 1], [2, -1, -1])):
        np.testing.assert_allclose(policy_evaluation(tables, np.array(actions), 1.0).v, expected, atol=1e-12)
        np.testing.assert_allclose(evaluate_exactly(tables, np.array(actions), 1.0), expected, atol=1e-12)


@pytest.mark.parametrize("rewards", [(-1.0, 0.0), (0.0, 1.0), (-1.0, 0.0, 1.0)])
def test_with_gamma_1_the_values_are_those_of_the_best_of_all_policies(rewards: tuple[float, ...]) -> None:
    compared = 0
    for seed in range(120):
        tables, best = _small_episodic(seed, rewards)
        if best is None:
            continue
        compared += 1
        for method in METHODS.values():
            plan = method(tables, 1.0)
            np.testing.assert_allclose(plan.v, best, rtol=0, atol=1e-7)
            np.testing.assert_allclose(evaluate_exactly(tables, plan.policy, 1.0), best, rtol=0, atol=1e-7)
    assert compared >= 10


def _small_episodic(seed: int, rewards: tuple[float, ...]) -> tuple[TransitionTables, Floats | None]:
    """Four states, of which some may be stayed in for ever; the best values of all policies, None if there are none."""
    rng = np.random.default_rng(seed)

    def outcomes(state: int, action: int) -> list[tuple[float, int, float, float]]:
        number, reward = int(rng.integers(1, 3)), float(rng.choice(rewards))
        return [(1 / number, int(rng.integers(4)), reward, float(rng.random() > 0.2)) for _ in range(number)]

    tables = tabulate(4, 2, outcomes, 0)
    best, infinite = np.full(4, -np.inf), False
    for actions in itertools.product(range(2), repeat=4):
        try:
            best = np.maximum(best, evaluate_exactly(tables, np.array(actions), 1.0))
        except UserError:
            infinite = True  # it costs without end, or is worth more than anything
    if infinite and max(rewards) > 0:
        return tables, None
    return tables, best if np.isfinite(best).all() else None


# --- Within a step limit ---


@pytest.mark.parametrize("discounts", DISCOUNTS)
def test_a_finite_horizon_is_backward_induction(discounts: tuple[float, ...]) -> None:
    for seed in SEEDS:
        tables = random_tables(seed, discounts, masked=True)
        policy, dense = a_policy(tables, seed), Dense(tables, 1.0)
        followed, best = np.zeros(tables.num_states), np.zeros(tables.num_states)
        for horizon in range(1, 5):
            followed, best = dense.under(policy, followed), dense.best(best)
            assert finite_horizon_return(tables, policy, horizon) == pytest.approx(float(tables.initial @ followed))
            assert finite_horizon_optimum(tables, horizon) == pytest.approx(float(tables.initial @ best))


def test_the_expected_return_is_that_of_the_step_limit_where_there_is_one() -> None:
    tables = line([2.0, 3.0, 4.0], stay=-1.0)
    assert expected_return(tables, np.array([1, 1, 1]), 2) == 5.0
    assert expected_return(tables, np.array([1, 1, 1]), None) == pytest.approx(9.0)
    assert expected_return(tables, np.array([0, 1, 1]), 10) == -10.0
    assert expected_return(tables, np.array([0, 1, 1]), None) is None


# --- What a user may get wrong ---


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"gamma": 2}, "gamma must be between 0 and 1, got 2"),
        ({"gamma": float("nan")}, "gamma must be between 0 and 1, got nan"),
        ({"gamma": 0.9, "theta": 0}, "theta must be greater than 0 and finite, got 0"),
        ({"gamma": 0.9, "max_sweeps": 0}, "max_sweeps must be at least 1, got 0"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_a_setting_out_of_its_range_is_refused(method: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        METHODS[method](random_tables(0), **settings)


@pytest.mark.parametrize("method", METHODS)
def test_too_few_sweeps_are_said_to_be_too_few(method: str) -> None:
    with pytest.raises(UserError, match=r"not converged after \d+ sweeps.*raise max_sweeps"):
        METHODS[method](random_tables(0), 0.99, max_sweeps=4)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ([0, 1, 5], "an action outside 0..1"),
        ([0, 1, -1], "an action outside 0..1"),
        ([0, 1], r"the shape \(2,\), expected an action for each state \(3,\) or probabilities \(3, 2\)"),
        ([0.0, 1.0, 1.0], "the shape"),
        ([[0.5, 0.6], [1, 0], [1, 0]], "sum to one"),
        ([[1.5, -0.5], [1, 0], [1, 0]], "must not be negative"),
        ([1, 1, 1], "illegal"),
        ([[1, 0], [1, 0], [0.5, 0.5]], "illegal"),
    ],
)
def test_what_is_no_policy_is_refused(policy: list[Any], said: str) -> None:
    tables = line([1.0, 1.0, 1.0], stay=0.0)._replace(legal=np.array([[True, True], [True, True], [True, False]]))
    with pytest.raises(UserError, match=said):
        policy_evaluation(tables, np.array(policy), 0.9)
