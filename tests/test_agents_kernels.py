"""The kernels that all learners in tables share: choosing actions, step sizes, draws, and all rows in one call."""

from __future__ import annotations

import numpy as np
import pytest
from control_twins import ALL_LEGAL, A, S, learner_of

from tengen.agents._learner_kernels import (
    Outcome,
    act,
    greedy_action,
    max_value,
    mean_value,
    step_size,
    update,
    value_at,
)
from tengen.agents._loop_kernels import first_above
from tengen.agents._row_kernels import act_rows, update_rows
from tengen.agents.tabular import QLearningConfig, SarsaConfig

SOME_LEGAL = [ALL_LEGAL, np.array([True, False, True, True]), np.array([False, False, True, False])]


@pytest.mark.parametrize("legal", SOME_LEGAL)
def test_the_greatest_and_the_mean_value_are_those_of_legal_actions(legal: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        q = rng.integers(-2, 3, 4).astype(float)
        allowed = q[legal] if len(legal) else q
        assert max_value(q, legal) == allowed.max()
        assert mean_value(q, legal) == pytest.approx(allowed.mean())


@pytest.mark.parametrize("legal", SOME_LEGAL)
def test_greedy_actions_that_tie_are_equally_likely(legal: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for q in ([1.0, 1.0, 1.0, 0.0], [0.0, 2.0, 0.0, 0.0], [-np.inf, -np.inf, -np.inf, -np.inf]):
        values = np.array(q)
        allowed = np.flatnonzero(legal) if len(legal) else np.arange(4)
        best = [a for a in allowed if values[a] == values[allowed].max()]
        counts = np.bincount([greedy_action(values, legal, rng) for _ in range(600)], minlength=4) / 600
        np.testing.assert_allclose(counts, np.isin(np.arange(4), best) / len(best), atol=0.08)


def test_a_single_greedy_action_takes_no_random_number() -> None:
    rng, untouched = np.random.default_rng(0), np.random.default_rng(0)
    assert greedy_action(np.array([0.0, 2.0, 1.0]), ALL_LEGAL, rng) == 1
    assert rng.random() == untouched.random()


def test_a_schedule_is_a_line_and_then_flat_and_a_step_size_counts_visits() -> None:
    config = QLearningConfig(step_size=0.8, step_size_end=0.4, step_size_decay_steps=10, step_size_power=0.5)
    size = learner_of(config).step_size
    assert [value_at(size.schedule, clock) for clock in (0, 5, 10, 11)] == pytest.approx([0.8, 0.6, 0.4, 0.4])
    assert [step_size(size, 1, 2, 20) for _ in range(3)] == pytest.approx([0.4, 0.4 / 2**0.5, 0.4 / 3**0.5])
    assert step_size(size, 1, 1, 20) == pytest.approx(0.4)
    assert size.visits[1].tolist() == [0, 1, 3]


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 10, 100, 501])
def test_a_draw_finds_the_first_outcome_above_it_as_argmax_does(size: int) -> None:
    rng = np.random.default_rng(size)
    cumulative = np.round(np.cumsum(rng.dirichlet(np.full(size, 0.3))), 3)  # with steps of zero, and a sum below one
    start, stop = 3, 3 + size
    padded = np.concatenate([np.ones(3), cumulative, np.zeros(3)])
    for u in [0.0, *cumulative, *rng.random(50), 1.0]:
        assert first_above(padded, start, stop, u) == start + np.argmax(cumulative > u)


@pytest.mark.parametrize("config", [QLearningConfig(epsilon_start=0.5), SarsaConfig(epsilon_start=0.5)])
@pytest.mark.parametrize("masked", [False, True])
def test_all_rows_in_one_call_are_the_rows_one_after_the_other(config: QLearningConfig, masked: bool) -> None:
    together, apart = learner_of(config, 3), learner_of(config, 3)
    rng, its_rng = np.random.default_rng(0), np.random.default_rng(0)
    none = np.ones((0, 0), np.bool_)
    draw = np.random.default_rng(1)
    for clock in range(0, 60, 3):
        states, next_states = draw.integers(S, size=(2, 3))
        legal = draw.random((3, A)) < 0.7
        legal[:, 0] = True
        shown = legal if masked else none
        actions = act_rows(together, states, shown, clock, rng)
        own = [legal[row] if masked else ALL_LEGAL for row in range(3)]
        assert actions.tolist() == [act(apart, row, states[row], own[row], clock, its_rng) for row in range(3)]
        reward, discount, last = draw.normal(size=3), np.array([1.0, 0.0, -1.0]), np.array([False, True, False])
        update_rows(together, states, actions, reward, discount, next_states, last, shown, clock, rng)
        for row in range(3):
            outcome = Outcome(states[row], actions[row], reward[row], discount[row], next_states[row], last[row])
            update(apart, row, outcome, own[row], clock, its_rng)
        np.testing.assert_array_equal(together.q, apart.q)
    assert rng.bit_generator.state == its_rng.bit_generator.state
