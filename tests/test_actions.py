from __future__ import annotations

import numpy as np
import pytest

from tengen.actions import epsilon_greedy, random_actions
from tengen.types import Array, Bools, Ints, TimeStep


def step_of(num_envs: int, legal: Bools | None = None) -> TimeStep:
    flags = np.zeros(num_envs, np.bool_)
    observation = np.arange(num_envs, dtype=np.float32)[:, None]
    return TimeStep(observation, np.zeros(num_envs), np.ones(num_envs), flags, flags, legal)


@pytest.mark.parametrize("num_actions", [1, 2, 3, 1000])
def test_one_row_draws_the_same_as_an_array_of_one(num_actions: int) -> None:
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    for _ in range(200):
        actions = random_actions(step_of(1), num_actions, rng)
        expected = other.integers(num_actions, size=1)
        np.testing.assert_array_equal(actions, expected)
        assert actions.dtype == expected.dtype == np.int64
        assert rng.random() == other.random()  # what is drawn by halves stays in step, too


@pytest.mark.parametrize("num_envs", [1, 5])
@pytest.mark.parametrize("masked", [False, True])
def test_a_row_explores_with_probability_epsilon_and_is_greedy_otherwise(num_envs: int, masked: bool) -> None:
    legal = np.tile([True, False, True, True], (num_envs, 1)) if masked else None
    seen: list[tuple[Array, Bools | None]] = []

    def greedy(observation: Array, allowed: Bools | None) -> Ints:
        seen.append((observation, allowed))
        return np.full(num_envs, 2)

    step, rng, counts = step_of(num_envs, legal), np.random.default_rng(0), np.zeros(4)
    for _ in range(4000 // num_envs):
        np.add.at(counts, epsilon_greedy(step, 4, 0.3, greedy, rng), 1)
    assert all(observation is step.observation and allowed is legal for observation, allowed in seen)
    each = 0.3 * counts.sum() / (3 if masked else 4)
    expected = [each, 0.0 if masked else each, counts.sum() - (2 if masked else 3) * each, each]
    np.testing.assert_allclose(counts, expected, atol=60)


def test_where_every_row_explores_nobody_asks_what_is_greedy() -> None:
    def greedy(observation: Array, allowed: Bools | None) -> Ints:
        raise AssertionError

    assert epsilon_greedy(step_of(3), 2, 1.0, greedy, np.random.default_rng(0)).shape == (3,)


def test_one_row_acts_as_a_row_of_many_does() -> None:
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    for _ in range(200):
        action = epsilon_greedy(step_of(1), 3, 0.5, lambda observation, _: np.array([7]), rng)
        explore, random = other.random(1) < 0.5, other.integers(3, size=1)
        np.testing.assert_array_equal(action, np.where(explore, random, 7))


@pytest.mark.parametrize("num_envs", [1, 4])
def test_the_draws_of_a_step_do_not_depend_on_epsilon(num_envs: int) -> None:
    states = []
    for epsilon in (0.0, 0.5, 1.0):
        rng = np.random.default_rng(0)
        epsilon_greedy(step_of(num_envs), 3, epsilon, lambda observation, _: np.zeros(len(observation), np.int64), rng)
        states.append(rng.random())
    assert len(set(states)) == 1
