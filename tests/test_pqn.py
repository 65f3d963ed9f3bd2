"""PQN: its targets against a slow twin, what it learns on small problems, exact resume, and its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from run_helpers import digest, in_two

from tengen.agents.pqn import PQN, PQNConfig
from tengen.config import RunConfig
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.evaluate import evaluate
from tengen.loop import interact
from tengen.run import train
from tengen.types import Array, Bools, Decision, EnvSpec, Floats, Metrics, TimeStep

BOX = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)


def agent_of(config: PQNConfig, num_envs: int = 1, num_actions: int = 2, *, space: Any = BOX) -> PQN:
    spec = EnvSpec("toy", space, gym.spaces.Discrete(num_actions), num_envs)
    return config.build(spec, np.random.default_rng(0), "cpu")


def small(**fields: Any) -> PQNConfig:
    return PQNConfig(**{"rollout_length": 4, "hidden": (8,), "batch_size": 4, **fields})


def step_of(value: float, *, reward: float = 0.0, discount: float = 1.0, last: bool = False) -> TimeStep:
    row = np.full((1, 3), value, np.float32)
    return TimeStep(row, np.array([reward]), np.array([discount]), np.array([False]), np.array([last]))


# --- What it learns from ---


class Given:
    """What the learner was told to fit, instead of fitting it."""

    def __init__(self, agent: PQN) -> None:
        self.calls: list[tuple[Array, Array, Array, list[Array]]] = []
        agent.learner.fit = self.fit  # type: ignore[method-assign]

    def fit(self, observation: Array, action: Array, target: Array, batches: Any, num_steps: int) -> Metrics:
        self.calls.append((observation.copy(), action.copy(), target.copy(), list(batches)))
        return {}


class Nonsense:
    """Random steps of B rows: every kind of discount, ends of all kinds, and random legal actions."""

    def __init__(self, num_envs: int, num_actions: int) -> None:
        self.rng = np.random.default_rng(1)
        self.num_envs, self.num_actions = num_envs, num_actions

    def step(self, first: Bools) -> TimeStep:
        discount = self.rng.choice([1.0, 1.0, 1.0, -1.0, 0.0], size=self.num_envs)
        last = self.rng.random(self.num_envs) < np.where(discount == 0.0, 0.7, 0.2)
        legal = self.rng.random((self.num_envs, self.num_actions)) < 0.5
        legal[np.arange(self.num_envs), self.rng.integers(self.num_actions, size=self.num_envs)] = True
        observation = self.rng.normal(size=(self.num_envs, 3)).astype(np.float32)
        return TimeStep(observation, self.rng.normal(size=self.num_envs), discount, first, last & ~first, legal)


def slow_target(agent: PQN, turns: list[tuple[TimeStep, Decision, TimeStep]], t: int, b: int) -> float:
    """G_t = r + gamma d ((1 - lambda) V(what followed) + lambda G_t+1), by itself; cut at ends and at the last turn."""
    _, _, next_step = turns[t]
    assert next_step.legal is not None
    q = agent.learner.network(torch.from_numpy(next_step.observation[b : b + 1])).detach().numpy()[0]
    value = max(float(q[action]) for action in range(len(q)) if next_step.legal[b, action])
    reward, factor = float(next_step.reward[b]), agent.gamma * float(next_step.discount[b])
    if factor == 0.0:
        return reward
    if next_step.last[b] or t == len(turns) - 1:
        return reward + factor * value
    rest = slow_target(agent, turns, t + 1, b)
    return reward + factor * ((1 - agent.trace_decay) * value + agent.trace_decay * rest)


@pytest.mark.parametrize("trace_decay", [0.0, 0.65, 1.0])
def test_targets_are_the_lambda_returns_of_a_slow_twin(trace_decay: float) -> None:
    num_envs, length = 4, 6
    agent = agent_of(small(rollout_length=length, trace_decay=trace_decay, gamma=0.9), num_envs, 5)
    given, world = Given(agent), Nonsense(num_envs, 5)
    step = world.step(np.ones(num_envs, np.bool_))
    for rollout in range(3):
        turns = []
        for _ in range(length):
            decision = agent.act(step)
            next_step = world.step(np.zeros(num_envs, np.bool_))
            assert agent.update(step, decision, next_step).keys() <= {"charts/epsilon"}
            turns.append((step, decision, next_step))
            fresh = world.step(next_step.last)  # where the loop has reset a row, another observation comes next
            assert fresh.legal is not None
            assert next_step.legal is not None
            rows = next_step.last[:, None]
            step = next_step._replace(
                observation=np.where(rows, fresh.observation, next_step.observation),
                legal=np.where(rows, fresh.legal, next_step.legal),
            )
        observation, action, target, _ = given.calls[rollout]
        expected = [slow_target(agent, turns, t, b) for t in range(length) for b in range(num_envs)]
        np.testing.assert_allclose(target, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(observation, np.concatenate([turn[0].observation for turn in turns]))
        np.testing.assert_array_equal(action, np.concatenate([turn[1].actions for turn in turns]))
    assert len(given.calls) == 3


def test_each_epoch_goes_through_every_transition_once_in_a_new_order() -> None:
    agent = agent_of(small(rollout_length=10, num_epochs=3, batch_size=4))
    given = Given(agent)
    for _ in range(10):
        agent.update(step_of(0.0), agent.act(step_of(0.0)), step_of(0.0))
    batches = given.calls[0][3]
    assert [len(batch) for batch in batches] == [4, 3, 3] * 3
    epochs = [np.concatenate(batches[start : start + 3]) for start in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_it_learns_when_the_rollout_is_full_and_only_then() -> None:
    agent = agent_of(small(rollout_length=4, num_epochs=2, batch_size=2))
    learnt = [bool(agent.update(step_of(0.0), agent.act(step_of(0.0)), step_of(0.0))) for _ in range(8)]
    assert learnt == [False, False, False, True] * 2
    assert agent.learner.num_updates == 2 * 2 * 2


def test_an_update_descends_the_mean_of_half_the_squared_error() -> None:
    agent = agent_of(small())
    rng = np.random.default_rng(0)
    observation = torch.from_numpy(rng.normal(size=(6, 3)).astype(np.float32))
    action, target = torch.tensor([0, 1, 1, 0, 1, 0]), torch.from_numpy(rng.normal(size=6)).float()
    loss, q_tm1 = agent.learner.loss_of(observation, action, target)
    q = agent.learner.network(observation).detach().numpy()
    expected = [q[i, a] for i, a in enumerate(action.tolist())]
    np.testing.assert_allclose(q_tm1.detach().numpy(), expected)
    assert loss.item() == pytest.approx(np.mean([0.5 * (e - t) ** 2 for e, t in zip(expected, target, strict=True)]))


def test_the_step_size_goes_to_its_end_by_environment_steps() -> None:
    agent = agent_of(small(learning_rate=1.0, learning_rate_end=0.0, learning_rate_decay_steps=8))
    rates = []
    for _ in range(12):
        agent.update(step_of(0.0), agent.act(step_of(0.0)), step_of(0.0))
        rates.append(agent.learner.optimizer.param_groups[0]["lr"])
    assert rates[3::4] == [0.5, 0.0, 0.0]


def test_clipped_rewards_are_what_is_learnt_from() -> None:
    agent = agent_of(small(reward_clip=1.0, rollout_length=1))
    given = Given(agent)
    agent.update(step_of(0.0), agent.act(step_of(0.0)), step_of(0.0, reward=7.0, discount=0.0, last=True))
    assert given.calls[0][2].tolist() == [1.0]


def test_bfloat16_gives_the_loss_of_float32_within_its_precision() -> None:
    space = gym.spaces.Box(0, 1, (4, 10, 10), np.uint8)
    observation = torch.randint(0, 2, (16, 4, 10, 10), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    action, target = torch.zeros(16, dtype=torch.int64), torch.ones(16)
    exact, rounded = (
        agent_of(PQNConfig(hidden=(32,), precision=precision), space=space).learner
        for precision in ("float32", "bfloat16")
    )
    expected = exact.loss_of(observation, action, target)[0].item()
    assert rounded.loss_of(observation, action, target)[0].item() != expected
    assert rounded.loss_of(observation, action, target)[0].item() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("here", [False, True])
def test_a_run_keeps_the_precision_that_it_began_with_on_another_machine(
    here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: not here)
    began = agent_of(small(precision="auto"))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: here)
    goes_on = agent_of(small(precision="auto"))
    assert goes_on.learner.autocast is here
    goes_on.load_state_dict(began.state_dict())
    assert goes_on.learner.autocast is not here


# --- Acting ---


def test_it_explores_legal_actions_only_and_is_greedy_among_them_otherwise() -> None:
    step = step_of(0.3)._replace(legal=np.array([[False, True, False, True]]))
    exploring = agent_of(small(epsilon_start=1.0, epsilon_end=1.0), num_actions=4)
    assert {int(exploring.act(step).actions[0]) for _ in range(60)} == {1, 3}
    greedy = agent_of(small(epsilon_start=0.0, epsilon_end=0.0), num_actions=4)
    q = greedy.learner.action_values(step.observation)[0]
    best = 1 if q[1] > q[3] else 3
    assert {int(greedy.act(step).actions[0]) for _ in range(20)} == {best}
    assert greedy.policy().act(step, np.random.default_rng(0)).tolist() == [best]
    assert greedy.act(step).extras["value"].tolist() == [q[best]]


def test_epsilon_falls_in_a_straight_line() -> None:
    agent = agent_of(small(epsilon_end=0.2, epsilon_decay_steps=8))
    seen = [agent.update(step_of(0.0), agent.act(step_of(0.0)), step_of(0.0)) for _ in range(12)]
    assert [metrics["charts/epsilon"] for metrics in seen if metrics] == pytest.approx([0.6, 0.2, 0.2])


# --- Small problems with known answers ---


def distances(width: int) -> Floats:
    """Steps to the nearer of two opposite corners [S], the states being the squares of a grid."""
    row, column = np.divmod(np.arange(width * width), width)
    nearer: Floats = np.minimum(row + column, 2 * (width - 1) - row - column).astype(np.float64)
    return nearer


def test_one_step_targets_give_a_linear_network_the_optimal_values_of_a_gridworld() -> None:
    """S & B, example 4.1, discounted: v* = -(1 + gamma + ... + gamma^(d - 1)) at a distance of d steps."""
    env = make_env(EnvConfig("tengen/SmallGridworld-v0", 16), training=True)
    config = PQNConfig(
        gamma=0.9, trace_decay=0.0, rollout_length=8, batch_size=64, hidden=(), learning_rate=0.05,
        learning_rate_end=0.0, learning_rate_decay_steps=40_000, epsilon_end=0.5, epsilon_decay_steps=20_000,
    )  # fmt: skip
    agent = config.build(env.spec, np.random.default_rng(0), "cpu")
    for _ in interact(agent, env, 40_000, 0):
        pass
    expected = -(1 - 0.9 ** distances(4)) / (1 - 0.9)
    inner = slice(1, 15)  # the corners end the episode
    np.testing.assert_allclose(agent.learner.action_values(np.arange(16)).max(1)[inner], expected[inner], atol=0.03)


def test_lambda_returns_and_normalised_layers_give_the_shortest_paths_of_a_gridworld() -> None:
    env = make_env(EnvConfig("tengen/SmallGridworld-v0", 16), training=True)
    config = PQNConfig(
        gamma=0.9, rollout_length=8, batch_size=64, hidden=(32,), learning_rate=5e-3, learning_rate_end=0.0,
        learning_rate_decay_steps=24_000, epsilon_end=0.3, epsilon_decay_steps=12_000,
    )  # fmt: skip
    agent = config.build(env.spec, np.random.default_rng(0), "cpu")
    for _ in interact(agent, env, 24_000, 0):
        pass
    evaluation = evaluate(agent.policy(), make_env(EnvConfig("tengen/SmallGridworld-v0"), training=False), 60, 0)
    assert evaluation is not None
    starts = make_env(EnvConfig("tengen/SmallGridworld-v0", 60), training=False).reset(np.arange(60)).observation
    np.testing.assert_array_equal(-evaluation.returns, distances(4)[starts])


def test_each_side_of_a_game_chooses_for_itself() -> None:
    """The first side gives the other a choice of 0 and 0.2, or of 0 and 0.6, which for the first is -0.2, or -0.6."""
    config = small(trace_decay=0.0, rollout_length=2, batch_size=32, gamma=1.0, hidden=(), learning_rate=0.03)
    agent = agent_of(config, 16, space=gym.spaces.Discrete(3))
    rng = np.random.default_rng(0)
    running, over = np.zeros(16, np.bool_), np.ones(16, np.bool_)
    for _ in range(400):
        given, taken = rng.integers(2, size=(2, 16))
        start = TimeStep(np.zeros(16, np.int64), np.zeros(16), np.ones(16), over, running)
        reply = TimeStep(1 + given, np.zeros(16), np.full(16, -1.0), running, running)
        end = TimeStep(np.zeros(16, np.int64), taken * np.array([0.2, 0.6])[given], np.zeros(16), running, over)
        agent.update(start, agent.act(start)._replace(actions=given), reply)
        agent.update(reply, agent.act(reply)._replace(actions=taken), end)
    q = agent.learner.action_values(np.arange(3))
    np.testing.assert_allclose(q, [[-0.2, -0.6], [0.0, 0.2], [0.0, 0.6]], atol=0.02)


@pytest.mark.slow
def test_it_learns_to_balance_a_pole_for_long() -> None:
    env = make_env(EnvConfig("CartPole-v1", 8), training=True)
    config = PQNConfig(
        trace_decay=0.95, batch_size=64, num_epochs=4, hidden=(128,), learning_rate=1e-3, learning_rate_end=0.0,
        learning_rate_decay_steps=60_000, epsilon_decay_steps=20_000,
    )  # fmt: skip
    agent = config.build(env.spec, np.random.default_rng(0), "cpu")
    for _ in interact(agent, env, 60_000, 0):
        pass
    evaluation = evaluate(agent.policy(), make_env(EnvConfig("CartPole-v1", 8), training=False), 20, 1000)
    assert evaluation is not None
    assert evaluation.returns.mean() > 200  # a random policy's is 22


# --- Exact resume ---


@pytest.mark.parametrize(
    ("env", "half"), [(EnvConfig("MinAtar/Asterix-v1", 4), 444), (EnvConfig("tengen/TicTacToe-v0", 3), 300)]
)
def test_a_run_resumed_in_the_middle_of_a_rollout_is_the_same_bit_for_bit(
    tmp_path: Path, env: EnvConfig, half: int
) -> None:
    agent = PQNConfig(rollout_length=16, hidden=(16,), batch_size=32, learning_rate_end=0.0, epsilon_decay_steps=500)
    config = RunConfig("pqn", agent, env, 2 * half, checkpoint_period=0, log_period=100)
    train(config, tmp_path / "whole")
    in_two(config, half, tmp_path / "halves")
    assert digest(tmp_path / "whole") == digest(tmp_path / "halves")


# --- Settings ---


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rollout_length": 0}, "agent.rollout_length must be at least 1, got 0"),
        ({"num_epochs": 0}, "agent.num_epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "agent.batch_size must be at least 1, got 0"),
        ({"gamma": 1.1}, "agent.gamma must be between 0 and 1, got 1.1"),
        ({"trace_decay": -0.1}, "agent.trace_decay must be between 0 and 1, got -0.1"),
        ({"epsilon_start": 2}, "agent.epsilon_start must be between 0 and 1, got 2"),
        ({"epsilon_end": float("nan")}, "agent.epsilon_end must be between 0 and 1, got nan"),
        ({"learning_rate": 0}, "agent.learning_rate must be greater than 0, and finite, got 0"),
        ({"learning_rate": float("inf")}, "agent.learning_rate must be greater than 0, and finite, got inf"),
        ({"learning_rate_end": -1}, "agent.learning_rate_end must not be negative, and finite, got -1"),
        ({"rollout_length": 10**18}, "agent.rollout_length must be at most 1,000,000,000, got 1000000000000000000"),
        ({"epsilon_decay_steps": -1}, "agent.epsilon_decay_steps must not be negative, got -1"),
        ({"learning_rate_decay_steps": -1}, "agent.learning_rate_decay_steps must not be negative, got -1"),
        ({"reward_clip": 0}, "agent.reward_clip must be greater than 0, or none, got 0"),
        ({"gradient_clip": -1}, "agent.gradient_clip must be greater than 0, or none, got -1"),
        ({"hidden": (8, 0)}, r"agent.hidden must be widths from 1 to 1,000,000, got \(8, 0\)"),
    ],
)
def test_a_wrong_setting_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        PQNConfig(**fields)


@pytest.mark.parametrize(
    ("observation", "action"),
    [(BOX, gym.spaces.Box(-1, 1, (2,))), (gym.spaces.MultiDiscrete([2, 3]), gym.spaces.Discrete(2))],
)
def test_spaces_that_it_cannot_take_are_refused(observation: Any, action: Any) -> None:
    refusal = PQNConfig.refusal(EnvSpec("odd", observation, action, 1))
    assert refusal is not None
    assert refusal.startswith("pqn needs")
    assert "odd has" in refusal
