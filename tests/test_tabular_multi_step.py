"""n-step and trace control against slow twins, and where they must agree with other learners exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from control_twins import (
    ALL_LEGAL,
    A,
    NStepSarsaTwin,
    OnPolicyTwin,
    QLambdaTwin,
    QSigmaTwin,
    S,
    SarsaLambdaTwin,
    compare,
    learner_of,
    turns,
)

from tengen.agents._learner_kernels import Outcome, act, update
from tengen.agents.tabular import (
    ExpectedSarsaConfig,
    NStepSarsaConfig,
    QLambdaConfig,
    QLearningConfig,
    QSigmaConfig,
    SarsaConfig,
    SarsaLambdaConfig,
    TreeBackupConfig,
)
from tengen.agents.tabular._trace_kernels import most_traces
from tengen.errors import UserError
from tengen.returns import lambda_returns, n_step_returns
from tengen.types import Bools, Floats

COMMON: dict[str, Any] = {"gamma": 0.9, "step_size": 0.3, "epsilon_start": 0.3, "epsilon_end": 0.2}
MOVING: dict[str, Any] = {
    "step_size": 0.9,
    "step_size_end": 0.4,
    "step_size_decay_steps": 300,
    "step_size_power": 0.5,
    "epsilon_start": 0.9,
    "epsilon_decay_steps": 300,
}


# --- n steps ---


@pytest.mark.parametrize("settings", [COMMON, MOVING])
@pytest.mark.parametrize("expected", [False, True])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_n_step_sarsa_learns_the_returns_of_the_library(n: int, expected: bool, settings: dict[str, Any]) -> None:
    config = NStepSarsaConfig(n_step=n, expected=expected, **settings)
    for num_envs, masked in ((1, False), (3, True)):
        learner = learner_of(config, num_envs, values_seed=3)
        compare(learner, NStepSarsaTwin(config, learner.q), turns(n, 150, num_envs, masked=masked))


@pytest.mark.parametrize("settings", [COMMON, MOVING])
@pytest.mark.parametrize("target_epsilon", [0.0, 0.1, None])
@pytest.mark.parametrize("n", [1, 6])
def test_tree_backup_is_the_equation_of_the_book(
    n: int, target_epsilon: float | None, settings: dict[str, Any]
) -> None:
    config = TreeBackupConfig(n_step=n, target_epsilon=target_epsilon, **settings)
    for num_envs, masked in ((1, False), (3, True)):
        learner = learner_of(config, num_envs, values_seed=3)
        compare(learner, QSigmaTwin(config, learner.q, 0.0), turns(n, 150, num_envs, masked=masked))


@pytest.mark.parametrize("target_epsilon", [0.0, None])
@pytest.mark.parametrize("sigma", [0.0, 0.4, 1.0])
def test_q_sigma_is_the_equation_of_the_book(sigma: float, target_epsilon: float | None) -> None:
    config = QSigmaConfig(n_step=4, sigma=sigma, target_epsilon=target_epsilon, **COMMON)
    learner = learner_of(config, 2, values_seed=3)
    compare(learner, QSigmaTwin(config, learner.q, sigma), turns(4, 150, 2), tolerance=1e-9)


def test_a_tie_shares_the_greedy_policy_of_tree_backup() -> None:
    config = TreeBackupConfig(gamma=1.0, step_size=1.0, n_step=2)
    learner = learner_of(config)
    learner.q[1] = [4.0, 4.0, 1.0]
    rng = np.random.default_rng(0)
    update(learner, 0, Outcome(0, 0, 0.0, 1.0, 1, False), ALL_LEGAL, 0, rng)
    update(learner, 0, Outcome(1, 0, 10.0, 0.0, 0, True), ALL_LEGAL, 1, rng)
    assert learner.q[0, 0] == 0.5 * 4.0 + 0.5 * 10.0


@pytest.mark.parametrize("discount", [1.0, -1.0, 0.0])
@pytest.mark.parametrize("last", [True, False])
def test_a_window_waits_for_n_steps_and_no_longer_than_a_cut(discount: float, last: bool) -> None:
    n, gamma = 4, 0.9
    learner = learner_of(NStepSarsaConfig(n_step=n, gamma=gamma, step_size=1.0, epsilon_start=0.0, epsilon_end=0.0))
    learner.q[6] = [0.0, 7.0, 0.0]
    rewards, discounts, lasts = [1.0, 2.0, 3.0], [1.0, -1.0, discount], [False, False, last]
    for t in range(3):
        assert not learner.q[:3].any()
        outcome = Outcome(t, 0, rewards[t], discounts[t], 6 if t == 2 else t + 1, lasts[t])
        update(learner, 0, outcome, ALL_LEGAL, t, np.random.default_rng(0))
    columns = [np.array([x]).T for x in (rewards, discounts, [0.0, 0.0, 7.0], lasts)]
    returns = n_step_returns(*columns, n=n, gamma=gamma)[:, 0]
    cut = last or discount == 0.0
    assert learner.q[:3, 0] == pytest.approx(returns if cut else np.zeros(3))
    assert learner.window.length[0] == (0 if cut else 3)


# --- Equal to others, bit for bit ---


def run_through(config: Any, seed: int = 5, num_envs: int = 2) -> tuple[Floats, list[int]]:
    """The values and the actions of a learner after random experience."""
    learner = learner_of(config, num_envs, values_seed=3)
    rng, clock, actions = np.random.default_rng(seed), 0, []
    for now in turns(seed, 200, num_envs):
        chosen = [act(learner, turn.row, turn.s, turn.legal, clock, rng) for turn in now]
        for turn, a in zip(now, chosen, strict=True):
            outcome = Outcome(turn.s, a, turn.r_next, turn.discount, turn.s_next, turn.last)
            update(learner, turn.row, outcome, turn.legal_next, clock, rng)
        clock += num_envs
        actions += chosen
    return learner.q, actions


@pytest.mark.parametrize("settings", [COMMON, MOVING])
@pytest.mark.parametrize(
    ("special", "plain"),
    [
        (NStepSarsaConfig(n_step=1), SarsaConfig()),
        (NStepSarsaConfig(n_step=1, expected=True), ExpectedSarsaConfig()),
        (TreeBackupConfig(n_step=1, target_epsilon=None), ExpectedSarsaConfig()),
        (TreeBackupConfig(n_step=1), QLearningConfig()),
        (QSigmaConfig(n_step=1, sigma=0.7), ExpectedSarsaConfig()),
        (SarsaLambdaConfig(trace_decay=0.0, traces="accumulating"), SarsaConfig()),
        (SarsaLambdaConfig(trace_decay=0.0, traces="replacing"), SarsaConfig()),
        (SarsaLambdaConfig(trace_decay=0.0, traces="dutch"), SarsaConfig()),
        (QLambdaConfig(trace_decay=0.0, traces="accumulating"), QLearningConfig()),
        (QLambdaConfig(trace_decay=0.0, traces="replacing"), QLearningConfig()),
    ],
)
def test_one_step_or_lambda_0_is_the_one_step_learner_bit_for_bit(
    special: Any, plain: Any, settings: dict[str, Any]
) -> None:
    mine, own_actions = run_through(replace(special, **settings))
    theirs, actions = run_through(replace(plain, **settings))
    assert own_actions == actions
    assert mine.tobytes() == theirs.tobytes()


# --- Traces ---


@pytest.mark.parametrize("trace_decay", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("traces", ["accumulating", "replacing", "dutch"])
def test_sarsa_lambda_does_what_dense_traces_do(traces: Any, trace_decay: float) -> None:
    config = SarsaLambdaConfig(trace_decay=trace_decay, traces=traces, **COMMON)
    for num_envs, masked in ((1, False), (3, True)):
        learner = learner_of(config, num_envs, values_seed=3)
        compare(learner, SarsaLambdaTwin(config, learner.q), turns(2, 200, num_envs, masked=masked), tolerance=1e-10)


@pytest.mark.parametrize("trace_decay", [0.7, 1.0])
@pytest.mark.parametrize("traces", ["accumulating", "replacing"])
def test_q_lambda_does_what_dense_traces_do(traces: Any, trace_decay: float) -> None:
    config = QLambdaConfig(trace_decay=trace_decay, traces=traces, **COMMON)
    for num_envs, masked in ((1, False), (3, True)):
        learner = learner_of(config, num_envs, values_seed=3)
        compare(learner, QLambdaTwin(config, learner.q), turns(2, 200, num_envs, masked=masked), tolerance=1e-10)


def test_only_an_action_that_is_not_greedy_cuts_the_traces_of_q_lambda() -> None:
    for values, cut in (([1.0, 0.0, 0.0], False), ([1.0, 1.0, 1.0], False), ([1.0, 2.0, 2.0], True)):
        learner = learner_of(QLambdaConfig(epsilon_start=1.0, epsilon_end=1.0))
        update(learner, 0, Outcome(0, 0, 1.0, 1.0, 1, False), ALL_LEGAL, 0, np.random.default_rng(0))
        learner.q[1] = values
        only_the_first = np.array([True, True, False])
        rng = np.random.default_rng(0)
        while act(learner, 0, 1, only_the_first, 0, rng) != 0:
            learner.traces.length[0] = 1
        assert learner.traces.length[0] == (0 if cut else 1)


class OnlineLambdaReturns(OnPolicyTwin):
    """The online lambda-return algorithm (S&B section 12.4): at every step all updates of the episode anew."""

    def __init__(self, config: Any, q: Floats) -> None:
        super().__init__(config, q)
        self.episode: list[tuple[Outcome, float, float]] = []  # with the value behind it and the step size
        self.at_start = q.copy()

    def update(self, row: int, outcome: Outcome, legal: Bools, clock: int) -> None:
        next_value = self.next_value(row, outcome, legal, clock)
        self.episode.append((outcome, next_value, self.alpha(outcome.s_tm1, outcome.a_tm1, clock)))
        columns = [(o.r_t, o.discount_t, value, o.last) for o, value, _ in self.episode]
        reward, discount, value, last = (np.array([x]).T for x in zip(*columns, strict=True))
        c = self.config
        targets = lambda_returns(reward, discount, value, last, gamma=c.gamma, lambda_=c.trace_decay)
        self.q[:] = self.at_start
        for (o, _, alpha), target in zip(self.episode, targets[:, 0], strict=True):
            self.q[o.s_tm1, o.a_tm1] += alpha * (target - self.q[o.s_tm1, o.a_tm1])
        if outcome.last or outcome.discount_t == 0:
            self.episode, self.at_start = [], self.q.copy()


@pytest.mark.parametrize("settings", [COMMON, MOVING])
@pytest.mark.parametrize("trace_decay", [0.6, 1.0])
def test_dutch_traces_are_the_online_lambda_return_algorithm(trace_decay: float, settings: dict[str, Any]) -> None:
    config = SarsaLambdaConfig(trace_decay=trace_decay, traces="dutch", **settings)
    learner = learner_of(config, values_seed=3)
    compare(learner, OnlineLambdaReturns(config, learner.q), turns(7, 300, 1), tolerance=1e-10)


@pytest.mark.parametrize("trace_decay", [0.0, 0.8, 1.0])
@pytest.mark.parametrize("traces", ["accumulating", "replacing", "dutch"])
def test_where_no_pair_comes_twice_every_trace_gives_the_lambda_return(traces: Any, trace_decay: float) -> None:
    num_steps, gamma, alpha = 30, 0.95, 0.4
    config = SarsaLambdaConfig(gamma=gamma, step_size=alpha, trace_decay=trace_decay, traces=traces)
    for seed in range(5):
        draws = np.random.default_rng(seed)
        learner = learner_of(config, num_states=num_steps + 1, values_seed=seed)
        before = learner.q.copy()
        reward, discount = draws.normal(size=num_steps), draws.choice([1.0, -1.0, 0.5], size=num_steps)
        discount[-1] = draws.choice([0.0, 1.0])
        rng, taken, next_value = np.random.default_rng(seed), [], []
        for t in range(num_steps):
            taken.append(act(learner, 0, t, ALL_LEGAL, t, rng))
            last = t == num_steps - 1
            outcome = Outcome(t, taken[-1], reward[t], discount[t], t + 1, last)
            update(learner, 0, outcome, ALL_LEGAL, t, rng)
            if not last:
                next_value.append(before[t + 1, act(learner, 0, t + 1, ALL_LEGAL, t, rng)])
        if discount[-1] != 0:  # which action was drawn behind a truncation shows in the last pair's own error
            before_last = before[num_steps - 1, taken[-1]]
            moved = (learner.q[num_steps - 1, taken[-1]] - before_last) / alpha + before_last
            next_value.append((moved - reward[-1]) / (gamma * discount[-1]))
            assert np.isclose(next_value[-1], before[num_steps]).any()
        else:
            next_value.append(0.0)
        columns = [np.array([x]).T for x in (reward, discount, next_value, [False] * (num_steps - 1) + [True])]
        returns = lambda_returns(*columns, gamma=gamma, lambda_=trace_decay)[:, 0]
        rows = np.arange(num_steps)
        old = before[rows, taken]
        np.testing.assert_allclose(learner.q[rows, taken], old + alpha * (returns - old), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("traces", ["accumulating", "replacing", "dutch"])
def test_dropping_negligible_traces_changes_no_more_than_rounding(traces: Any) -> None:
    config = SarsaLambdaConfig(**{**COMMON, "trace_decay": 0.4, "traces": traces})  # 0.36 a step: some 36 pairs
    learner = learner_of(config, num_states=60, values_seed=3)
    room = learner.traces.pair.shape[1]
    assert room < 60 * A / 3
    experience = (
        [turn._replace(discount=1.0 if turn.discount == 0.0 else turn.discount, last=False)]
        for now in turns(9, 400, 1, 60)
        for turn in now
    )
    compare(learner, SarsaLambdaTwin(config, learner.q), experience, tolerance=1e-13)
    assert 0 < learner.traces.length[0] < room


@pytest.mark.parametrize("decay", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("alpha", [1e-3, 1.0])
def test_there_is_room_for_all_the_traces_that_can_be(alpha: float, decay: float) -> None:
    config = SarsaLambdaConfig(gamma=decay, trace_decay=1.0, step_size=alpha, traces="accumulating")
    learner = learner_of(config, num_states=6_000)
    room, most = learner.traces.pair.shape[1], 0
    assert room + 1 < 6_000  # which therefore doesn't limit it
    rng = np.random.default_rng(0)
    for t in range(300 + room):  # first one pair again and again, then ever new ones
        s = max(0, t - 300 + 1)
        update(learner, 0, Outcome(s, 0, 0.0, 1.0, s, False), ALL_LEGAL, t, rng)
        most = max(most, int(learner.traces.length[0]))
    assert int(np.log(1e-16 / alpha) / np.log(decay)) <= most <= room


def test_the_room_for_traces_is_no_more_than_there_are_pairs() -> None:
    assert most_traces(12, 0.99, 0.1) == 12
    assert most_traces(12, 1.0, 0.1) == 12
    assert most_traces(12, 0.0, 0.1) == 1
    assert most_traces(12, 0.9, 0.0) == 1


# --- Wrong settings ---


@pytest.mark.parametrize(
    ("config_class", "settings", "message"),
    [
        (NStepSarsaConfig, {"n_step": 0}, "agent.n_step must be from 1 to 10000, got 0"),
        (TreeBackupConfig, {"n_step": 20_000}, "take monte_carlo"),
        (TreeBackupConfig, {"target_epsilon": 1.5}, "agent.target_epsilon must be between 0 and 1, got 1.5"),
        (QSigmaConfig, {"sigma": -0.1}, "agent.sigma must be between 0 and 1, got -0.1"),
        (SarsaLambdaConfig, {"trace_decay": 2.0}, "agent.trace_decay must be between 0 and 1, got 2.0"),
        (QLambdaConfig, {"trace_decay": float("nan")}, "agent.trace_decay"),
    ],
)
def test_a_wrong_setting_is_refused(config_class: type[Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config_class(**settings)


def test_a_tied_start_is_compared_too() -> None:
    config = QLambdaConfig(**{**COMMON, "trace_decay": 0.9})
    compare(learner_of(config, 2), QLambdaTwin(config, np.zeros((S, A))), turns(11, 100, 2), tolerance=1e-10)
