"""One-step control against slow twins, and the choice of actions that all control learners share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from control_twins import (
    ALL_LEGAL,
    A,
    DoubleQLearningTwin,
    ExpectedSarsaTwin,
    QLearningTwin,
    S,
    SarsaTwin,
    Twin,
    compare,
    learner_of,
    turns,
)

from tengen.agents._learner_kernels import Outcome, act, epsilon_greedy, update
from tengen.agents.tabular import DoubleQLearningConfig, ExpectedSarsaConfig, QLearningConfig, SarsaConfig
from tengen.agents.tabular._n_step_kernels import epsilon_greedy_probability

PAIRS: list[tuple[type[Any], type[Twin]]] = [
    (QLearningConfig, QLearningTwin),
    (SarsaConfig, SarsaTwin),
    (ExpectedSarsaConfig, ExpectedSarsaTwin),
    (DoubleQLearningConfig, DoubleQLearningTwin),
]
SETTINGS: list[dict[str, Any]] = [
    {"gamma": 0.9, "step_size": 0.3, "epsilon_start": 0.3, "epsilon_end": 0.3},
    {"gamma": 1.0, "step_size": 0.5, "step_size_end": 0.1, "step_size_decay_steps": 300, "epsilon_decay_steps": 400},
    {"gamma": 0.95, "step_size": 1.0, "step_size_power": 0.7, "initial_value": 2.0, "epsilon_start": 1.0},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(("config_class", "twin_class"), PAIRS)
def test_a_one_step_learner_does_what_its_slow_twin_does(
    config_class: type[Any], twin_class: type[Twin], settings: dict[str, Any]
) -> None:
    config = config_class(**settings)
    for num_envs, masked in ((1, False), (3, True)):
        learner = learner_of(config, num_envs)
        twin = twin_class(config, np.full((S, A), config.initial_value))
        compare(learner, twin, turns(1, 200, num_envs, masked=masked))


@pytest.mark.parametrize(("config_class", "_"), PAIRS)
def test_an_action_is_greedy_or_random_with_probability_epsilon_and_always_legal(
    config_class: type[Any], _: type[Twin]
) -> None:
    learner = learner_of(config_class(epsilon_start=0.4, epsilon_end=0.4))
    learner.q[2] = [1.0, 3.0, 2.0]
    rng = np.random.default_rng(0)
    num = 3_000
    counts = np.bincount([act(learner, 0, 2, ALL_LEGAL, 0, rng) for _ in range(num)], minlength=A) / num
    np.testing.assert_allclose(counts, [0.4 / 3, 0.6 + 0.4 / 3, 0.4 / 3], atol=0.03)  # 3 standard errors
    without_the_best = np.array([True, False, True])
    counts = np.bincount([act(learner, 0, 2, without_the_best, 0, rng) for _ in range(num)], minlength=A) / num
    np.testing.assert_allclose(counts, [0.2, 0.0, 0.8], atol=0.03)


def test_the_probability_of_an_action_is_how_often_epsilon_greedy_takes_it() -> None:
    rng, num = np.random.default_rng(0), 4_000
    for q, legal in (
        ([1.0, 1.0, 0.0, 1.0], ALL_LEGAL),
        ([1.0, 1.0, 0.0, 1.0], np.array([True, False, True, True])),
        ([-np.inf, -np.inf, -np.inf, 0.0], np.array([True, True, True, False])),
    ):
        values = np.array(q)
        taken = np.bincount([epsilon_greedy(values, legal, 0.3, rng) for _ in range(num)], minlength=4) / num
        allowed = range(4) if not len(legal) else np.flatnonzero(legal)
        told = [epsilon_greedy_probability(values, legal, 0.3, a) if a in allowed else 0.0 for a in range(4)]
        assert sum(told) == pytest.approx(1.0)
        np.testing.assert_allclose(taken, told, atol=0.025)


def test_sample_averages_are_a_step_size_of_one_over_the_visits() -> None:
    learner = learner_of(QLearningConfig(step_size=1.0, step_size_power=1.0, initial_value=9.0))
    rewards = np.random.default_rng(0).normal(size=20)
    for r in rewards.tolist():
        update(learner, 0, Outcome(3, 1, r, 0.0, 0, True), ALL_LEGAL, 0, np.random.default_rng(0))
    assert learner.q[3, 1] == pytest.approx(rewards.mean())


@pytest.mark.parametrize("config_class", [QLearningConfig, ExpectedSarsaConfig, SarsaConfig])
def test_the_other_sides_gain_is_the_movers_loss(config_class: type[Any]) -> None:
    for discount, expected in ((1.0, 2.9), (-1.0, -0.7), (0.0, 1.1)):
        learner = learner_of(config_class(gamma=0.9, step_size=1.0, epsilon_start=0.0, epsilon_end=0.0))
        learner.q[4] = [-5.0, 2.0, -1.0]
        update(learner, 0, Outcome(0, 0, 1.1, discount, 4, False), ALL_LEGAL, 0, np.random.default_rng(0))
        assert learner.q[0, 0] == pytest.approx(expected)


@pytest.mark.parametrize("config_class", [QLearningConfig, ExpectedSarsaConfig, SarsaConfig])
def test_a_truncated_episode_is_bootstrapped_from_its_final_observation(config_class: type[Any]) -> None:
    learner = learner_of(config_class(gamma=0.9, step_size=1.0, epsilon_start=0.0, epsilon_end=0.0))
    learner.q[4] = [-5.0, 2.0, -1.0]
    update(learner, 0, Outcome(0, 0, 1.1, 1.0, 4, True), ALL_LEGAL, 0, np.random.default_rng(0))
    assert learner.q[0, 0] == pytest.approx(2.9)


def test_double_q_learning_averages_samples_in_each_of_its_tables() -> None:
    learner = learner_of(DoubleQLearningConfig(step_size=1.0, step_size_power=1.0))
    rng = np.random.default_rng(0)
    for _ in range(10):
        update(learner, 0, Outcome(3, 1, 10.0, 0.0, 0, True), ALL_LEGAL, 0, rng)
    np.testing.assert_allclose(learner.tables[:, 3, 1], 10.0)
    assert learner.step_size.visits[[3, 3 + S], 1].sum() == 10
