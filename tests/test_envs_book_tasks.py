"""Car rental, the gambler, access control and Blackjack of tengen.envs.book, against values and slow twins."""

from __future__ import annotations

from collections import Counter
from math import exp, factorial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from dense_tables import dense, legal_actions, optimal_values

from tengen.envs.book import TabularEnv, model_of
from tengen.errors import UserError
from tengen.tables import TransitionTables
from tengen.types import Bools, Floats


def made(name: str, **kwargs: Any) -> TabularEnv:
    env = gym.make(f"tengen/{name}-v0", **kwargs).unwrapped
    assert isinstance(env, TabularEnv)
    return env


# --- Jack's car rental ---


def full_rows(tables: TransitionTables) -> tuple[Floats, Floats]:
    """As `dense`, where each state and action lists every state in order: [S, A, S], [S, A]."""
    shape = (tables.num_states, tables.num_actions, tables.num_states)
    probability = tables.probability.reshape(shape)
    assert (tables.next_state.reshape(shape) == np.arange(tables.num_states)).all()
    return probability, (probability * tables.reward.reshape(shape)).sum(2)


def test_policy_iteration_on_the_car_rental_goes_through_four_policies_as_in_figure_4_2() -> None:
    tables = made("JacksCarRental").tables
    probability, reward = full_rows(tables)
    states, policy = np.arange(441), np.full(441, 5)
    changes: list[int] = []
    while not changes or changes[-1]:
        values = np.linalg.solve(np.eye(441) - 0.9 * probability[states, policy], reward[states, policy])
        q = np.where(tables.legal, reward + 0.9 * probability @ values, -np.inf).round(9)
        changes.append(int((q.argmax(1) != policy).sum()))
        policy = q.argmax(1)
    assert [count > 0 for count in changes] == [True, True, True, True, False]
    moves = policy.reshape(21, 21) - 5  # [cars at the first location, at the second]
    assert (moves[20, 0], moves[0, 20], moves[10, 10], moves[0, 0]) == (5, -4, 0, 0)
    assert (np.diff(moves, axis=0) >= 0).all()  # the more cars at the first location, the more go to the second
    assert (np.diff(moves, axis=1) <= 0).all()
    assert values.min() == pytest.approx(values[0])
    assert values[0] == pytest.approx(421.4, abs=0.1)


def test_more_cars_than_are_ever_asked_for_can_be_rented() -> None:
    tables = made("JacksCarRental", max_cars=30, max_move=1).tables
    assert np.isfinite(tables.reward).all()
    legal = tables.legal.ravel() if tables.legal.size else np.ones(len(tables.start) - 1, np.bool_)
    np.testing.assert_allclose(np.add.reduceat(tables.probability, tables.start[:-1])[legal], 1.0)


@pytest.mark.parametrize("exercise_4_7", [False, True])
def test_the_tables_of_the_car_rental_are_those_of_a_plain_loop_over_days(exercise_4_7: bool) -> None:
    most, move = 12, 2
    tables = made("JacksCarRental", max_cars=most, max_move=move, exercise_4_7=exercise_4_7).tables
    rng = np.random.default_rng(0)

    def day(cars: int, requests: float, returns: float) -> tuple[Floats, Floats]:
        chance, rent = np.zeros(most + 1), np.zeros(most + 1)
        for wanted in range(40):
            for back in range(40):
                p = exp(-requests - returns) * requests**wanted * returns**back / factorial(wanted) / factorial(back)
                evening = min(cars - min(wanted, cars) + back, most)
                chance[evening] += p
                rent[evening] += 10 * min(wanted, cars) * p
        return chance, rent

    cases = [(10, 11, move), (11, 10, move), (10, 9, move + 1), (1, 0, 2 * move)]
    cases += [
        (int(rng.integers(most + 1)), int(rng.integers(most + 1)), int(rng.integers(2 * move + 1))) for _ in range(25)
    ]
    for first, second, action in cases:
        wanted = action - move
        moved = min(max(wanted, -second), first)
        assert tables.legal[first * (most + 1) + second, action] == (wanted == moved)
        morning = min(first - moved, most), min(second + moved, most)
        cost = 2.0 * abs(moved)
        if exercise_4_7:
            cost += 4 * (morning[0] > 10) + 4 * (morning[1] > 10) - 2 * (moved > 0)
        (p1, rent1), (p2, rent2) = day(morning[0], 3, 3), day(morning[1], 4, 2)
        rows = tables.outcomes(first * (most + 1) + second, action)
        assert [row[1] for row in rows] == list(range((most + 1) ** 2))
        joint = np.outer(p1, p2).ravel()
        assert np.array([row[0] for row in rows]) == pytest.approx(joint, abs=1e-12)
        earned = (np.outer(rent1, p2) + np.outer(p1, rent2)).ravel() - cost * joint
        assert np.array([row[0] * row[2] for row in rows]) == pytest.approx(earned, abs=1e-9)
        assert {row[3] for row in rows} == {1.0}


# --- The gambler ---


def test_the_gambler_has_the_values_of_figure_4_3() -> None:
    values, q = optimal_values(made("Gambler").tables, 1.0)
    assert values[[25, 50, 75]] == pytest.approx([0.16, 0.4, 0.64])
    assert q[50].argmax() == 50
    assert [np.flatnonzero(q[51] > values[51] - 1e-12).tolist()] == [[1, 49]]


def test_a_legal_stake_is_at_most_the_capital_and_what_it_lacks_to_the_goal() -> None:
    tables = made("Gambler").tables
    assert [int(row.sum()) for row in tables.legal] == [51, *(min(s, 100 - s) for s in range(1, 100)), 51]
    assert not tables.legal[1:100, 0].any()
    assert made("Gambler", zero_stakes=True).tables.legal[:, 0].all()
    assert tables.outcomes(30, 50) == tables.outcomes(30, 30) == [(0.4, 60, 0.0, 1.0), (0.6, 0, 0.0, 0.0)]
    assert tables.outcomes(30, 0) == tables.outcomes(30, 1)


def test_a_fair_coin_makes_every_stake_worth_the_same() -> None:
    values, q = optimal_values(made("Gambler", probability_of_heads=0.5, goal=20, capital=5).tables, 1.0)
    assert values[1:-1] == pytest.approx(np.arange(1, 20) / 20)
    assert np.where(np.isinf(q), values[:, None], q)[1:-1] == pytest.approx(np.tile(values[1:-1, None], 11))


# --- Access control ---


def test_the_queue_of_access_control_follows_a_plain_count_of_servers() -> None:
    tables = made("AccessControl", num_servers=3, freeing_probability=0.25).tables
    priorities = (1, 2, 4, 8)
    for free in range(4):
        for kind in range(4):
            for action in range(2):
                taken = int(action == 1 and free > 0)
                expected = np.zeros((4, 4))
                for pattern in range(2 ** (3 - free + taken)):  # which of the busy servers become free
                    freed = pattern.bit_count()
                    p = 0.25**freed * 0.75 ** (3 - free + taken - freed)
                    expected[free - taken + freed] += p / 4
                found = np.zeros((4, 4))
                for p, to, reward, discount in tables.outcomes(free * 4 + kind, action):
                    found.flat[to] += p
                    assert (reward, discount) == (priorities[kind] * taken, 1.0)
                assert found == pytest.approx(expected)


def average_reward(tables: TransitionTables, accepts: Bools) -> float:
    """Of a policy [S], by the distribution of states after a long time."""
    following, rewards = dense(tables)
    states, actions = np.arange(len(accepts)), accepts.astype(int)
    stationary = np.linalg.matrix_power(following[states, actions], 4096)[0]
    return float(stationary @ rewards[states, actions])


def test_the_more_servers_are_free_the_lower_a_priority_is_accepted() -> None:
    tables = made("AccessControl").tables
    following, rewards = dense(tables)
    values = np.zeros(44)
    for _ in range(3000):  # relative value iteration
        q = rewards + following @ values
        gain = q[-1].max()
        values = q.max(1) - gain
    accepts = q[:, 1] > q[:, 0] + 1e-9
    by_servers = accepts.reshape(11, 4).astype(int)
    assert (np.diff(by_servers, axis=0) >= 0).all()
    assert (np.diff(by_servers, axis=1) >= 0).all()
    assert by_servers[1:, 3].all()
    assert not by_servers[0].any()
    assert average_reward(tables, accepts) == pytest.approx(gain)
    assert average_reward(tables, np.ones(44, np.bool_)) < gain


def test_access_control_begins_with_all_servers_free_and_never_ends() -> None:
    tables = made("AccessControl").tables
    assert tables.initial[-4:].tolist() == [0.25] * 4
    assert (tables.discount == 1).all()


# --- Blackjack ---


def start_value(tables: TransitionTables) -> float:
    return float(tables.initial @ optimal_values(tables, 1.0)[0])


def number(player: int, dealer: int, ace: int) -> int:
    return int(np.ravel_multi_index((player, dealer, ace), (32, 11, 2)))


def test_blackjack_has_the_optimal_policy_of_figure_5_2() -> None:
    tables = made("Blackjack").tables
    values, q = optimal_values(tables, 1.0)
    assert tables.initial @ values == pytest.approx(-0.043113, abs=1e-6)
    sticks = [
        [min(s for s in range(12, 22) if q[number(s, dealer, ace), 0] >= q[number(s, dealer, ace), 1])]
        for ace in (0, 1)
        for dealer in range(1, 11)
    ]
    assert np.ravel(sticks[:10]).tolist() == [17, 13, 13, 12, 12, 12, 17, 17, 17, 17]
    assert np.ravel(sticks[10:]).tolist() == [19, 18, 18, 18, 18, 18, 18, 18, 19, 19]


def test_a_natural_counts_only_where_the_rules_say_so() -> None:
    by_rules = {
        name: made("Blackjack", **kwargs).tables
        for name, kwargs in {"sab": {}, "plain": {"sab": False}, "pays": {"sab": False, "natural": True}}.items()
    }
    dealer_ten, natural = number(21, 10, 1), 704 + 9
    stick = {name: {r: p for p, _, r, _ in tables.outcomes(natural, 0)} for name, tables in by_rules.items()}
    like_any_21 = {r: p for p, _, r, _ in by_rules["sab"].outcomes(dealer_ten, 0)}
    assert stick["sab"] == pytest.approx({1.0: 12 / 13, 0.0: 1 / 13})
    assert stick["plain"] == pytest.approx(like_any_21)
    assert stick["pays"] == pytest.approx({0.0: like_any_21[0.0], 1.5: like_any_21[1.0]})
    assert by_rules["sab"].observation[natural] == dealer_ten
    assert by_rules["sab"].initial[704:].sum() == pytest.approx(2 * 4 / 13 / 13)


def test_what_is_seen_is_what_gymnasium_shows() -> None:
    env, theirs = made("Blackjack"), gym.make("Blackjack-v1")
    assert env.observation_space == theirs.observation_space
    assert env.action_space == theirs.action_space
    seen = {env.reset(seed=seed)[0] for seed in range(300)}
    assert all(isinstance(part, int) for observation in seen for part in observation)
    assert seen <= {theirs.reset(seed=seed)[0] for seed in range(9000)}


Event = tuple[int, int, int, float]  # what was seen, the action, what was seen next, the reward


def expected_events(tables: TransitionTables) -> Counter[Event]:
    """How often an episode of random play has each event; none can happen twice, for a hand only grows."""
    chances: Any = Counter()  # of fractions
    reach = tables.initial.copy()
    seen = tables.observation
    while reach.sum() > 0:
        following = np.zeros(len(reach))
        for state in np.flatnonzero(reach):
            for action in range(2):
                for p, to, reward, discount in tables.outcomes(int(state), action):
                    chances[int(seen[state]), action, int(seen[to]), reward] += reach[state] / 2 * p
                    following[to] += reach[state] / 2 * p * discount
        reach = following
    events: Counter[Event] = chances
    return events


@pytest.mark.parametrize("rules", [{"sab": True}, {"sab": False}, {"natural": True, "sab": False}])
@pytest.mark.parametrize("num_episodes", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_gymnasiums_blackjack_happens_as_often_as_its_tables_say(rules: dict[str, bool], num_episodes: int) -> None:
    env = gym.make("Blackjack-v1", **rules).unwrapped
    tables = model_of(env)
    assert tables is not None
    counts: Counter[Event] = Counter()
    actions = np.random.default_rng(1).integers(2, size=10 * num_episodes).tolist()
    observation, _ = env.reset(seed=7)
    for _ in range(num_episodes):
        terminated = False
        while not terminated:
            action = actions.pop()
            following, reward, terminated, _, _ = env.step(action)
            counts[number(*observation), action, number(*following), float(reward)] += 1
            observation = following
        observation, _ = env.reset()
    expected = expected_events(tables)
    assert set(counts) <= set(expected)
    often = {event: p for event, p in expected.items() if p * num_episodes >= 25}
    assert len(often) > 50
    for event, p in often.items():
        assert abs(counts[event] / num_episodes - p) < 4 * np.sqrt(p * (1 - p) / num_episodes), event
    for value in (-1.0, 0.0, 1.0, 1.5):
        p = sum(chance for (_, action, _, reward), chance in expected.items() if action == 0 and reward == value)
        found = sum(n for (_, action, _, reward), n in counts.items() if action == 0 and reward == value) / num_episodes
        assert abs(found - p) <= 4 * np.sqrt(p * (1 - p) / num_episodes)


@pytest.mark.parametrize(
    ("rules", "value"), [({"sab": False}, -0.046556), ({"natural": True, "sab": False}, -0.025729)]
)
def test_gymnasiums_blackjack_has_its_own_start_value_by_its_rules(rules: dict[str, bool], value: float) -> None:
    tables = model_of(gym.make("Blackjack-v1", **rules))
    assert tables is not None
    assert start_value(tables) == pytest.approx(value, abs=1e-6)
    assert legal_actions(tables).all()


# --- Settings and words ---


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("JacksCarRental", {"max_cars": 0}, "max_cars must be at least 1, got 0"),
        ("Gambler", {"goal": 1}, "goal must be at least 2, got 1"),
        ("Gambler", {"probability_of_heads": 1.5}, r"probability_of_heads must be in \[0, 1\], got 1.5"),
        ("Gambler", {"capital": 100}, "capital must be 1 to 99, got 100"),
        ("AccessControl", {"num_servers": 0}, "num_servers must be at least 1, got 0"),
        ("AccessControl", {"freeing_probability": -0.1}, r"freeing_probability must be in \[0, 1\], got -0.1"),
        ("MaximizationBias", {"deviation": -1}, "deviation must be at least 0, got -1"),
        ("OpenGrid", {"size": 1}, "size must be at least 2, got 1"),
    ],
)
def test_a_wrong_setting_is_refused(name: str, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(name, **kwargs)


@pytest.mark.parametrize(
    ("name", "state", "words"),
    [
        ("JacksCarRental", 25, "1 cars at the first location, 4 at the second"),
        ("Gambler", 7, "capital 7"),
        ("AccessControl", 15, "3 servers free, a customer of priority 8"),
        ("MaximizationBias", 1, "B"),
        ("Blackjack", 704, "21 with a usable ace against an ace"),
        ("Blackjack", number(15, 10, 0), "15 against 10"),
    ],
)
def test_a_state_off_the_grid_is_shown_in_words(name: str, state: int, words: str) -> None:
    env = made(name, render_mode="ansi")
    env.s = state
    assert env.render() == words + "\n"
