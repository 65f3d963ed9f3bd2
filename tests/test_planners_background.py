"""Background planning and its search controls against slow twins, made of dicts and a sorted list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from control_twins import A, QLearningTwin, S, turns
from gymnasium.spaces import Discrete

from tengen.agents._learner_kernels import Linear, Outcome, StepSize, act, update
from tengen.agents._trees import reserve
from tengen.agents.dyna import DynaQConfig, DynaQPlusConfig, PrioritizedSweepingConfig
from tengen.agents.tabular._one_step_kernels import QLearning
from tengen.planners._background_kernels import (
    ExpectedUpdates,
    OneStepPlanner,
    Prioritized,
    RandomPairs,
    RandomStates,
    SampleUpdates,
    attend,
    choose,
    improve,
    look_ahead,
    wait,
)
from tengen.planners._dp_queue_kernels import make_queue
from tengen.planners._model_kernels import remember
from tengen.planners.models import empty_counts, empty_last_outcomes
from tengen.types import Bools, EnvSpec, Floats

Pair = tuple[int, int]
Seen = tuple[float, float, int]  # reward, discount, next state


class DynaTwin(QLearningTwin):
    """Remembers all that it saw of each pair, and plans as S&B's boxes of sections 8.2 to 8.4 say."""

    def __init__(self, config: Any, q: Floats) -> None:
        super().__init__(config, q)
        self.seen: dict[Pair, list[Seen]] = {}
        self.last_try: dict[Pair, int] = {}
        self.legal: dict[int, Bools] = {}
        self.waiting: list[tuple[float, Pair]] = []
        self.sweeps = isinstance(config, PrioritizedSweepingConfig)
        self.expected = self.sweeps or config.expected_updates
        self.kappa = getattr(config, "kappa", 0.0)
        self.updates = 0

    def act(self, row: int, s: int, legal: Bools, clock: int) -> int:
        self.legal[s] = legal
        return super().act(row, s, legal, clock)

    def update(self, row: int, outcome: Outcome, legal: Bools, clock: int) -> None:
        s, a, r, d, s_next, _ = outcome
        if d != 0:
            self.legal[s_next] = legal
        if not self.sweeps:
            super().update(row, outcome, legal, clock)
        seen = self.seen.setdefault((s, a), [])
        if self.config.model == "deterministic":
            seen.clear()
        seen.append((r, d, s_next))
        self.last_try[s, a] = clock
        if self.sweeps:
            self.insert((s, a))
        for _ in range(self.config.planning_steps):
            pair = self.look()
            if pair is None:
                break
            since = clock - self.last_try.get(pair, -1)
            self.move(*pair, self.aim(pair) + self.kappa * since**0.5, clock)
            self.updates += 1
            if self.sweeps:
                leading = [before for before, seen in self.seen.items() if any(d and n == pair[0] for _, d, n in seen)]
                for before in leading:
                    self.insert(before)

    def worth(self, seen: Seen) -> float:
        r, d, s_next = seen
        legal = self.legal.get(s_next, np.ones(A, np.bool_))
        return r + float(self.config.gamma * d * max(self.q[s_next, b] for b in self.allowed(legal)))

    def mean_worth(self, pair: Pair) -> float:
        return float(np.mean([self.worth(seen) for seen in self.seen.get(pair, [(0.0, 1.0, pair[0])])]))

    def aim(self, pair: Pair) -> float:
        """The target of an update; a draw takes kinds of outcomes from the newest on, each with its mean reward."""
        if self.expected or pair not in self.seen or self.config.model == "deterministic":
            return self.mean_worth(pair)
        k = int(self.rng.random() * len(self.seen[pair]))
        for _, d, s_next in reversed(list(dict.fromkeys((0.0, *seen[1:]) for seen in self.seen[pair]))):
            rewards = [seen[0] for seen in self.seen[pair] if seen[1:] == (d, s_next)]
            if k < len(rewards):
                return self.worth((float(np.mean(rewards)), d, s_next))
            k -= len(rewards)
        raise AssertionError

    def look(self) -> Pair | None:
        """The pair to update next."""
        if self.sweeps:
            return self.waiting.pop()[1] if self.waiting else None
        if self.config.__class__ is DynaQConfig and self.config.search_control == "pairs":
            return list(self.seen)[int(self.rng.random() * len(self.seen))]
        states = list(dict.fromkeys(s for s, _ in self.seen))
        s = states[int(self.rng.random() * len(states))]
        untried = self.allowed(self.legal[s]) if isinstance(self.config, DynaQPlusConfig) else []
        actions = [a for a in range(A) if (s, a) in self.seen or a in untried]
        return s, actions[int(self.rng.random() * len(actions))]

    def insert(self, pair: Pair) -> None:
        change = abs(self.mean_worth(pair) - self.q[pair])
        already = [priority for priority, other in self.waiting if other == pair]
        if change > max([self.config.theta, *already]):
            self.waiting = sorted([*(item for item in self.waiting if item[1] != pair), (change, pair)])


SETTINGS: dict[str, Any] = {
    "Dyna-Q": DynaQConfig(),
    "Dyna-Q, pairs": DynaQConfig(search_control="pairs"),
    "Dyna-Q, counts": DynaQConfig(model="counts"),
    "Dyna-Q, counts, pairs, expected": DynaQConfig(model="counts", expected_updates=True, search_control="pairs"),
    "Dyna-Q+": DynaQPlusConfig(kappa=0.05),
    "Dyna-Q+, counts": DynaQPlusConfig(kappa=0.05, model="counts"),
    "Dyna-Q+, counts, expected": DynaQPlusConfig(kappa=0.05, model="counts", expected_updates=True),
    # with a step size of 1 two that lead to the same state tie, and which is first is nobody's concern
    "sweeping": PrioritizedSweepingConfig(theta=0.05, step_size=0.9),
    "sweeping, last": PrioritizedSweepingConfig(theta=0.05, step_size=0.6, model="deterministic"),
}


@pytest.mark.parametrize(("num_envs", "masked"), [(1, False), (3, True)])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_dyna_agent_plans_as_its_slow_twin_does(name: str, num_envs: int, masked: bool) -> None:
    config = replace(SETTINGS[name], gamma=0.9, planning_steps=4, epsilon_start=0.5, epsilon_end=0.5, initial_value=0.3)
    if config.step_size == 0.1:
        config = replace(config, step_size=0.8, step_size_power=0.4)
    spec = EnvSpec("test", Discrete(S), Discrete(A), num_envs, has_legal=masked)
    learner = config.build(spec, np.random.default_rng(0), "cpu").learner
    twin = DynaTwin(config, np.full((S, A), config.initial_value))
    rng, twin.rng = np.random.default_rng(0), np.random.default_rng(0)
    clock = 0
    for now in turns(1, 150, num_envs, masked=masked):
        actions = [act(learner, turn.row, turn.s, turn.legal, clock, rng) for turn in now]
        assert actions == [twin.act(turn.row, turn.s, turn.legal, clock) for turn in now], clock
        learner = reserve(learner, num_envs)
        for turn, a in zip(now, actions, strict=True):
            outcome = Outcome(turn.s, a, turn.r_next, turn.discount, turn.s_next, turn.last)
            update(learner, turn.row, outcome, turn.legal_next, clock, rng)
            twin.update(turn.row, outcome, turn.legal_next, clock)
            np.testing.assert_allclose(learner.learner.q, twin.q, rtol=1e-9, atol=1e-9, err_msg=f"{clock}")
            assert learner.planner.done[0] == twin.updates
        clock += num_envs
    assert rng.random() == twin.rng.random()  # as many draws
    assert twin.updates > 100
    if twin.sweeps:
        assert twin.updates < 4 * clock  # the queue was empty, too


# --- The parts by themselves ---


def table_of(q: Floats, alpha: float = 1.0, gamma: float = 1.0) -> QLearning:
    constant = Linear(alpha, alpha, 0)
    return QLearning(q, StepSize(constant, 0.0, np.zeros((0, 0), np.int64)), Linear(0.1, 0.1, 0), gamma)


def corridor(num_states: int, empty: Callable[..., Any]) -> Any:
    """A model of one action that leads from each state to the next, with reward 1 at the end."""
    more = {"with_predecessors": True} if empty is empty_last_outcomes else {}
    model = reserve(empty(num_states, 1, **more), num_states)
    for s in range(num_states - 1):
        ends = s == num_states - 2
        remember(model, s, 0, float(ends), 0.0 if ends else 1.0, s + 1, s)
    return model


@pytest.mark.parametrize("empty", [empty_last_outcomes, empty_counts])
def test_prioritized_sweeping_carries_a_reward_back_in_one_update_for_each_state(empty: Callable[..., Any]) -> None:
    model, q = corridor(9, empty), np.zeros((9, 1))
    control, learner = Prioritized(1e-9, make_queue(9)), table_of(q, gamma=0.5)
    planner = OneStepPlanner(5, ExpectedUpdates(), 0.0, np.zeros(1, np.int64))
    rng = np.random.default_rng(0)
    attend(control, model, learner, 2, 0)  # nothing changes there, so that it does not wait
    attend(control, model, learner, 7, 0)
    improve(planner, learner, model, control, 9, rng)
    assert q[:, 0].tolist() == [0, 0, 0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 0]
    improve(planner, learner, model, control, 9, rng)
    assert q[:, 0].tolist() == [1 / 128, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 0]
    assert planner.done[0] == 8  # the second time three were left to do
    assert control.queue.size[0] == 0


def test_the_pair_of_the_greatest_change_comes_first_and_keeps_its_greatest_priority() -> None:
    control, model, rng = Prioritized(0.1, make_queue(6)), empty_last_outcomes(3, 2), np.random.default_rng(0)
    for pair, change in ((0, 0.3), (4, 0.9), (2, 0.5), (1, 0.1), (5, 0.7), (2, 0.2), (0, 0.8), (3, 0.05)):
        wait(control, pair, change)
    assert [choose(control, model, rng) for _ in range(5)] == [4, 0, 5, 2, -1]


def test_search_controls_choose_with_equal_chance() -> None:
    model = empty_last_outcomes(5, 3, has_legal=True)
    model.known.legal[2] = False  # action 2 of state 0
    rng, num = np.random.default_rng(0), 6_000
    for control in (RandomPairs(), RandomStates(False), RandomStates(True)):
        assert choose(control, model, rng) == -1  # there is nothing to choose yet
    for s, a in ((0, 1), (3, 0), (3, 1), (3, 2), (0, 1)):
        remember(model, s, a, 0.0, 1.0, 4, 0)
    third, half = 1 / 3, 1 / 2
    for control, expected in (
        (RandomPairs(), {1: 1 / 4, 9: 1 / 4, 10: 1 / 4, 11: 1 / 4}),
        (RandomStates(False), {1: half, 9: half * third, 10: half * third, 11: half * third}),
        (RandomStates(True), {0: half * half, 1: half * half, 9: half * third, 10: half * third, 11: half * third}),
    ):
        counts = np.bincount([choose(control, model, rng) for _ in range(num)], minlength=15) / num
        np.testing.assert_allclose(counts, [expected.get(pair, 0.0) for pair in range(15)], atol=0.025)


def test_an_expected_update_takes_the_mean_of_what_a_sample_update_draws() -> None:
    model = reserve(empty_counts(3, 1), 9)
    for r, discount, s_next in ((1.0, 1.0, 1), (3.0, 1.0, 1), (5.0, -1.0, 2), (-2.0, 0.0, 1)):
        remember(model, 0, 0, r, discount, s_next, 0)
    q = np.array([[0.0], [10.0], [20.0]])
    targets = [2 + 0.5 * 10, 2 + 0.5 * 10, 5 - 0.5 * 20, -2]  # rewards are the means of their outcome
    assert look_ahead(model, table_of(q, gamma=0.5), 0, 0) == pytest.approx(np.mean(targets))

    found = []
    rng = np.random.default_rng(0)
    for _ in range(2_000):
        q[0] = 0.0
        planner = OneStepPlanner(1, SampleUpdates(), 0.0, np.zeros(1, np.int64))
        improve(planner, table_of(q, gamma=0.5), model, RandomPairs(), 0, rng)
        found.append(q[0, 0])
    values, counts = np.unique(found, return_counts=True)
    assert values.tolist() == [-5, -2, 7]
    np.testing.assert_allclose(counts / 2_000, [0.25, 0.25, 0.5], atol=0.04)

    q[0] = 0.0
    planner = OneStepPlanner(1, ExpectedUpdates(), 0.0, np.zeros(1, np.int64))
    improve(planner, table_of(q, 0.5, 0.5), model, RandomPairs(), 0, rng)
    assert q[0, 0] == pytest.approx(0.5 * np.mean(targets))


def test_the_bonus_grows_with_the_root_of_the_steps_since_a_try_or_since_the_first_step() -> None:
    model, q = empty_last_outcomes(1, 2), np.zeros((1, 2))
    remember(model, 0, 0, 0.0, 0.0, 0, 20)
    planner = OneStepPlanner(30, SampleUpdates(), 0.5, np.zeros(1, np.int64))
    improve(planner, table_of(q, gamma=0.0), model, RandomStates(True), 20, np.random.default_rng(0))
    assert q.tolist() == [[0.0, pytest.approx(0.5 * 21**0.5)]]  # 21 steps were done, and none of them tried action 1
    improve(planner, table_of(q, gamma=0.0), model, RandomStates(True), 29, np.random.default_rng(0))
    assert q.tolist() == [[pytest.approx(0.5 * 9**0.5), pytest.approx(0.5 * 30**0.5)]]


def test_a_planner_without_anything_known_does_nothing() -> None:
    model, q = empty_counts(2, 2), np.ones((2, 2))
    for control in (RandomPairs(), RandomStates(True), Prioritized(0.0, make_queue(4))):
        planner = OneStepPlanner(3, ExpectedUpdates(), 1.0, np.zeros(1, np.int64))
        improve(planner, table_of(q), model, control, 5, np.random.default_rng(0))
        assert planner.done[0] == 0
    assert (q == 1).all()
