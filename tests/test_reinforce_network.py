"""REINFORCE with networks: its gradient against the policy gradient theorem, what it remembers, and CartPole."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from random_steps import Turn, discounted_return, ends
from reinforce_world import GAMMA, Course, courses, gradient_of_value
from run_helpers import digest, in_two

from tengen.agents._learner_kernels import Outcome
from tengen.agents.reinforce import ReinforceNetwork, ReinforceNetworkConfig
from tengen.agents.reinforce.network import Experience, returns_and_weights
from tengen.config import RunConfig
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.evaluate import evaluate
from tengen.loop import interact
from tengen.run import train
from tengen.types import Bools, Decision, EnvSpec, Floats, Metrics, State, TimeStep

LINEAR = ReinforceNetworkConfig(gamma=GAMMA, hidden=(), discount_updates=True)
LEARNS = ReinforceNetworkConfig(
    policy_learning_rate=3e-3, baseline_learning_rate=3e-3, baseline_updates=4, episodes_per_update=4
)


def agent_of(config: ReinforceNetworkConfig, spec: EnvSpec) -> ReinforceNetwork:
    agent = config.build(spec, np.random.default_rng(0), "cpu")
    assert isinstance(agent, ReinforceNetwork)
    return agent


def step_of(states: list[int], outcomes: list[Outcome] | None = None, legal: Bools | None = None) -> TimeStep:
    """What rows show: their states, and how they came there."""
    rows = len(states)
    reward, discount, last = np.zeros(rows), np.ones(rows), np.zeros(rows, np.bool_)
    for row, outcome in enumerate(outcomes or []):
        reward[row], discount[row], last[row] = outcome.r_t, outcome.discount_t, outcome.last
    return TimeStep(np.array(states), reward, discount, np.full(rows, outcomes is None), last, legal)


def feed(agent: ReinforceNetwork, outcome: Outcome) -> Metrics:
    return agent.update(
        step_of([outcome.s_tm1]), Decision(np.array([outcome.a_tm1])), step_of([outcome.s_t], [outcome])
    )


# --- The policy gradient theorem ---


def gradient_step(agent: ReinforceNetwork, start: State, batch: list[Course]) -> Floats:
    """What a step of size 1 adds to the weights [A, S] of a linear network, from a start."""
    agent.load_state_dict(start)
    network: Any = agent.policy().network  # type: ignore[attr-defined]
    agent.optimizer = torch.optim.SGD(network.parameters(), 1.0)
    before = network[1].weight.detach().clone()
    reported = [feed(agent, outcome) for course in batch for outcome in course.steps]
    assert [bool(metrics) for metrics in reported] == [False] * (len(reported) - 1) + [True]
    change: Floats = (network[1].weight.detach() - before).numpy().astype(np.float64)
    return change


@pytest.mark.parametrize("baseline", [False, True])
def test_the_expected_step_is_the_gradient_of_the_first_states_value_whatever_the_baseline(baseline: bool) -> None:
    """S&B eq. 13.11: averaged over all episodes, with gamma^t; the gradient is found by finite differences."""
    agent = agent_of(replace(LINEAR, baseline=baseline), EnvSpec("tiny", Discrete(4), Discrete(2), 1))
    adam, start = agent.optimizer, deepcopy(agent.state_dict())
    weight, bias = start["policy"]["1.weight"], start["policy"]["1.bias"]
    theta = (weight + bias[:, None]).T.astype(np.float64)  # [S, A]
    expected = np.zeros((2, 4))
    for course in courses():
        agent.optimizer = adam
        expected += course.odds(theta) * gradient_step(agent, start, [course])
    gradient = gradient_of_value(theta)
    assert np.abs(gradient).max() > 0.1
    np.testing.assert_allclose(expected.T, gradient, atol=2e-6)


def test_a_batch_counts_each_episode_alike_whatever_its_length() -> None:
    spec = EnvSpec("tiny", Discrete(4), Discrete(2), 1)
    single, double = (agent_of(replace(LINEAR, episodes_per_update=number), spec) for number in (1, 2))
    start = deepcopy(single.state_dict())
    long = max(courses(), key=lambda course: len(course.steps))
    short = next(course for course in courses() if len(course.steps) == 1)
    steps = []
    for course in (long, short):
        single = agent_of(LINEAR, spec)
        steps.append(gradient_step(single, start, [course]))
    np.testing.assert_allclose(gradient_step(double, start, [long, short]), (steps[0] + steps[1]) / 2, atol=1e-6)


# --- What it learns from ---


def test_returns_and_weights_are_as_they_are_defined() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        length = int(rng.integers(1, 8))
        rewards, discounts = rng.normal(size=length).tolist(), rng.choice([1.0, -1.0, 0.5], size=length).tolist()
        discounts[-1] = float(rng.choice([1.0, -1.0, 0.0]))
        v = float(rng.normal())
        steps = [
            Turn(0, 0, Outcome(0, 0, r, d, 0, False), np.ones(0, np.bool_), np.ones(0, np.bool_))
            for r, d in zip(rewards, discounts, strict=True)
        ]
        returns, weights = returns_and_weights(rewards, discounts, 0.9, 0.8, v)
        np.testing.assert_allclose(returns, [discounted_return(steps, t, 0.9, v) for t in range(length)])
        np.testing.assert_allclose(weights, [np.prod(0.8 * np.abs(discounts[:t])) for t in range(length)])


def test_each_row_remembers_its_own_episode_and_what_was_legal_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows, illegal actions, every kind of end; a cut episode counts on with the baseline of its final state."""
    spec = EnvSpec("masked", Discrete(5), Discrete(3), 2, has_legal=True)
    agent = agent_of(replace(LINEAR, hidden=(8,)), spec)
    learnt: list[Experience] = []

    def note(batch: Experience, num_episodes: int) -> Metrics:
        learnt.append(batch)
        return {"episodes": num_episodes}

    monkeypatch.setattr(agent, "learn", note)
    rng = np.random.default_rng(0)
    legal = rng.random((5, 3)) < 0.6
    legal[:, 0] |= ~legal.any(1)
    states = [0, 1]
    open_rows: list[list[Turn]] = [[], []]
    expected: list[list[Turn]] = []
    for clock in range(300):
        step = step_of(states, legal=legal[states])
        decision = agent.act(step)
        assert legal[states, decision.actions].all()
        outcomes = []
        for row, a in enumerate(decision.actions.tolist()):
            d, s_t = float(rng.choice([1, 1, 1, -1, 0])), int(rng.integers(5))
            outcome = Outcome(
                states[row], a, float(rng.normal()), d, s_t, bool(rng.random() < (0.7 if d == 0 else 0.1))
            )
            outcomes.append(outcome)
            open_rows[row].append(Turn(row, clock, outcome, legal[states[row]], legal[s_t]))
        states = [outcome.s_t for outcome in outcomes]
        before = len(learnt)
        metrics = agent.update(step, decision, step_of(states, outcomes, legal[states]))
        done = [row for row in range(2) if ends(open_rows[row][-1])]
        assert len(learnt) - before == bool(done)
        assert metrics == ({"episodes": len(done)} if done else {})
        for row in done:
            expected.append(open_rows[row])
            open_rows[row] = []
        states = [int(rng.integers(5)) if outcome.last else outcome.s_t for outcome in outcomes]
    merged = Experience(*(np.concatenate(parts) for parts in zip(*learnt, strict=True)))
    turns = [turn for episode in expected for turn in episode]
    np.testing.assert_array_equal(merged.observation, [turn.outcome.s_tm1 for turn in turns])
    np.testing.assert_array_equal(merged.action, [turn.outcome.a_tm1 for turn in turns])
    np.testing.assert_array_equal(merged.legal, [turn.legal for turn in turns])
    values = agent.baseline.values(np.arange(5))
    returns = [
        discounted_return(episode, t, GAMMA, values[episode[-1].outcome.s_t])
        for episode in expected
        for t in range(len(episode))
    ]
    np.testing.assert_allclose(merged.returns, returns, rtol=1e-6)
    ways = {(turn.outcome.discount_t, turn.outcome.last) for turn in turns if ends(turn)}
    assert ways == {(1.0, True), (-1.0, True), (0.0, True), (0.0, False)}


def test_illegal_actions_have_no_probability_and_no_gradient() -> None:
    spec = EnvSpec("masked", Discrete(2), Discrete(3), 1, has_legal=True)
    agent = agent_of(LINEAR, spec)
    legal = np.array([[True, False, True]])
    policy: Any = agent.policy()
    assert policy.probabilities(step_of([0], legal=legal))[0, 1] == 0.0
    batch = Experience(np.array([0]), np.array([2]), legal, np.array([1.0]), np.array([1.0]))
    agent.policy_loss(batch, np.array([2.0]), 1).backward()  # type: ignore[no-untyped-call]  # torch has none for it
    gradient = policy.network[1].weight.grad
    assert gradient[1].abs().sum() == 0
    assert gradient[0, 0] != 0
    assert torch.isfinite(gradient).all()


def test_a_step_is_as_large_as_the_return_was_better_than_the_baseline() -> None:
    agent = agent_of(LINEAR, EnvSpec("tiny", Discrete(4), Discrete(2), 1))
    start, policy = deepcopy(agent.state_dict()), agent.policy()
    v = agent.baseline.values(np.array([2]))[0]
    probability = policy.probabilities(step_of([2]))[0]  # type: ignore[attr-defined]  # a softmax has them
    step = gradient_step(agent, start, [Course(1.0, [Outcome(2, 1, 3.0, 0.0, 3, True)])])
    assert abs(v) > 0.01
    np.testing.assert_allclose(step[:, 2], (3.0 - v) * (np.array([0.0, 1.0]) - probability), atol=1e-6)


def test_more_updates_bring_the_baseline_nearer_to_the_return() -> None:
    errors = []
    for number in (1, 2, 5):
        agent = agent_of(replace(LINEAR, baseline_updates=number), EnvSpec("tiny", Discrete(4), Discrete(2), 1))
        feed(agent, Outcome(0, 0, 3.0, 0.0, 1, True))
        errors.append(3.0 - agent.baseline.values(np.array([0]))[0])
    assert errors[0] > errors[1] > errors[2] > 0


def test_episodes_that_wait_for_their_batch_are_in_its_state() -> None:
    spec, config = EnvSpec("tiny", Discrete(4), Discrete(2), 1), replace(LINEAR, episodes_per_update=3)
    first, second, third = (Outcome(s, 0, float(s), 0.0, 3, True) for s in range(3))
    straight = agent_of(config, spec)
    assert not feed(straight, first)
    assert not feed(straight, second)
    other = agent_of(config, spec)
    other.load_state_dict(deepcopy(straight.state_dict()))
    expected = feed(straight, third)
    assert expected
    assert {name: float(value) for name, value in feed(other, third).items()} == {
        name: float(value) for name, value in expected.items()
    }


def test_the_baseline_comes_to_the_mean_of_the_returns() -> None:
    agent = agent_of(
        replace(LINEAR, gamma=1.0, baseline_learning_rate=0.05), EnvSpec("tiny", Discrete(2), Discrete(2), 1)
    )
    for number in range(600):
        feed(agent, Outcome(0, 0, 3.0 if number % 2 else 1.0, 0.0, 1, True))
    assert agent.baseline.values(np.array([0]))[0] == pytest.approx(2.0, abs=0.15)


# --- Runs ---


def test_it_gets_better_at_cartpole() -> None:
    """A policy that knows nothing keeps the pole up for 22 steps."""
    returns, _ = train_on_cartpole(10_000)
    assert np.mean(returns[:20]) < 40
    assert np.mean(returns[-20:]) > 60


@pytest.mark.slow
def test_it_learns_cartpole() -> None:
    _, agent = train_on_cartpole(100_000)
    played = evaluate(agent.policy(), make_env(EnvConfig("CartPole-v1", 4), training=False), 100, 1_000)
    assert played is not None
    assert played.summary()["return_mean"] > 475


def train_on_cartpole(steps: int) -> tuple[list[float], ReinforceNetwork]:
    """The episodes' lengths, and the agent."""
    env = make_env(EnvConfig("CartPole-v1", 4), training=True)
    agent = agent_of(LEARNS, env.spec)
    lengths, returns = np.zeros(4), list[float]()
    for tick in interact(agent, env, steps, 1):
        lengths += 1
        returns.extend(lengths[tick.next_step.last].tolist())
        lengths[tick.next_step.last] = 0
    return returns, agent


@pytest.mark.parametrize("env_id", ["CartPole-v1", "FrozenLake-v1", "tengen/TicTacToe-v0"])
def test_a_run_goes_on_exactly_in_the_middle_of_episodes(env_id: str, tmp_path: Path) -> None:
    agent = ReinforceNetworkConfig(hidden=(16,), episodes_per_update=3, policy_learning_rate=1e-2, baseline_updates=2)
    config = RunConfig("reinforce_network", agent, EnvConfig(env_id, 2), 600, seed=3, checkpoint_period=0, device="cpu")
    train(config, tmp_path / "straight")
    in_two(config, 334, tmp_path / "two")
    assert digest(tmp_path / "two") == digest(tmp_path / "straight")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": -0.1}, "agent.gamma must be between 0 and 1, got -0.1"),
        ({"policy_learning_rate": 0.0}, "agent.policy_learning_rate must be greater than 0, and finite, got 0.0"),
        (
            {"baseline_learning_rate": float("inf")},
            "agent.baseline_learning_rate must be greater than 0, and finite, got inf",
        ),
        ({"baseline_updates": 0}, "agent.baseline_updates must be at least 1, got 0"),
        ({"episodes_per_update": 0}, "agent.episodes_per_update must be at least 1, got 0"),
        ({"hidden": (64, 0)}, "agent.hidden must be widths from 1 to 1,000,000, got (64, 0)"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        ReinforceNetworkConfig(**settings)
    assert str(caught.value) == message


def test_continuous_actions_are_refused() -> None:
    box = Box(-1.0, 1.0, (2,), np.float32)
    assert ReinforceNetworkConfig.refusal(EnvSpec("arm", box, Discrete(2), 1)) is None
    refused = ReinforceNetworkConfig.refusal(EnvSpec("arm", box, box, 1))
    assert refused == f"reinforce_network needs a discrete action space, arm has {box}"
