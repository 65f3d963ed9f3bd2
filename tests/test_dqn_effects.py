"""What Rainbow's parts are known for, on problems so small that the exact answer is known.

Margins were set by a pilot on 2026-11-21; each test says what it saw. Seeds are fixed, so that a test is right or wrong
and not lucky.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from dqn_parts_helpers import build_dqn, build_torch_learner

from tengen.agents.dqn.agent import DQN
from tengen.config import default_settings, lay_over, make_run_config
from tengen.envs import EnvConfig, make_env
from tengen.loop import interact
from tengen.types import Array, Decision, EnvSpec, TimeStep, Transition


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def numbered(num_states: int, num_actions: int) -> EnvSpec:
    return EnvSpec("small", gym.spaces.Discrete(num_states), gym.spaces.Discrete(num_actions), 1)


def at(state: int, reward: float = 0.0, discount: float = 1.0, *, first: bool = False, last: bool = False) -> TimeStep:
    return TimeStep(np.array([state]), np.array([reward]), np.array([discount]), np.array([first]), np.array([last]))


def show(agent: DQN, state: int, action: int, reward: float, next_state: int, *, first: bool, last: bool) -> None:
    """Let an agent remember a step; `last` steps are terminal."""
    after = at(next_state, reward, 0.0 if last else 1.0, last=last)
    agent.update(at(state, first=first), Decision(np.array([action])), after)


# ---- n-step: value is carried back along a chain faster. ------------------------------------------------------------


def updates_to_carry_value_back(n_step: int, seed: int) -> int:
    """Return the updates until all values of a chain of 12 states, with a reward of 1 at its end, are right to 0.05."""
    length, gamma = 12, 0.9
    agent = build_dqn(
        numbered(length + 1, 1), seed, n_step=n_step, gamma=gamma, hidden=(), learn_start=10**6,
        learning_rate=0.03, target_period=10, batch_size=16, replay_capacity=400,
    )  # fmt: skip
    for _ in range(20):
        for s in range(length):
            show(agent, s, 0, float(s == length - 1), s + 1, first=s == 0, last=s == length - 1)
    exact = gamma ** np.arange(length - 1, -1, -1)
    for number in range(10_000):
        if np.abs(agent.learner.action_values(np.arange(length))[:, 0] - exact).max() < 0.05:
            return number
        agent.practice(agent.learner, 0)
    return 10_000


def test_rewards_of_several_steps_carry_value_back_in_fewer_updates() -> None:
    """Pilot: 370 to 2409 updates with n = 1, 101 to 116 with 3, 59 to 78 with 6."""
    one, three, six = (np.array([updates_to_carry_value_back(n, seed) for seed in range(5)]) for n in (1, 3, 6))
    assert (three < one / 2).all()
    assert six.mean() < 0.8 * three.mean()


# ---- Prioritized replay: what is rare and new is found among many copies of what is known. --------------------------


def updates_on_the_blind_cliffwalk(replay: str, seed: int) -> int:
    """Return the updates until values are right, with every episode in the replay (Schaul et al. 2016, appendix B.1).

    One of two actions goes on and the other ends the episode, in 9 states in turn; the last gives 1. Which is which
    differs from state to state. Only 2 of the 1,022 transitions have a reward.
    """
    length = 9
    gamma = 1 - 1 / length
    agent = build_dqn(
        numbered(length + 1, 2), seed, gamma=gamma, hidden=(), learn_start=10**6, learning_rate=0.02, target="none",
        batch_size=8, replay=replay, replay_capacity=2 ** (length + 2), gradient_clip=None,
        importance_start=0.0, importance_end=0.0,
    )  # fmt: skip
    for code in np.random.default_rng(seed).permutation(2**length):
        for s in range(length):
            goes_on = not code >> s & 1
            last = not goes_on or s == length - 1
            reward = float(goes_on and s == length - 1)
            show(agent, s, int(goes_on) ^ (s & 1), reward, s + 1 if goes_on else length, first=s == 0, last=last)
            if last:
                break
    exact = np.zeros((length, 2))
    for s in range(length):
        exact[s, 1 ^ (s & 1)] = gamma ** (length - 1 - s)
    for number in range(0, 20_000, 20):
        if np.mean((agent.learner.action_values(np.arange(length)) - exact) ** 2) < 1e-3:
            return number
        for _ in range(20):
            agent.practice(agent.learner, 0)
    return 20_000


def test_prioritized_replay_learns_the_blind_cliffwalk_in_fewer_updates() -> None:
    """Pilot: 920 to 4600 updates of uniform samples, 480 to 820 by priority."""
    uniform, prioritized = (
        np.array([updates_on_the_blind_cliffwalk(kind, seed) for seed in range(4)])
        for kind in ("uniform", "prioritized")
    )
    assert prioritized.mean() < 0.6 * uniform.mean()
    assert (prioritized < uniform).all()


# ---- Double Q-learning: less overestimation. ------------------------------------------------------------------------


def estimate_of_left(seed: int, *, double: bool) -> float:
    """Return q(A, left) in the maximization-bias MDP (Sutton & Barto 2018, example 6.7), a mean over the learning.

    Left leads to B, each of whose 10 actions ends it with a reward of mean -0.1 and deviation 1: so it is worth -0.1.
    """
    agent = build_dqn(
        numbered(2, 10), seed, double=double, hidden=(16,), learning_rate=0.03, target_period=50, gamma=1.0,
        loss="squared",
    )  # fmt: skip
    rng, learner, found = np.random.default_rng(seed), agent.learner, []
    for number in range(2_000):
        s = rng.integers(2, size=16)
        action = np.where(s == 0, 0, rng.integers(10, size=16))
        reward = np.where(s == 1, rng.normal(-0.1, 1, 16), 0).astype(np.float32)
        learner.update(Transition(s, action, reward, (s == 0).astype(np.float32), np.ones(16, np.int64)), number)
        if number > 500 and number % 10 == 0:
            found.append(learner.action_values(np.array([0]))[0, 0])
    return float(np.mean(found))


def test_double_q_learning_overestimates_less() -> None:
    """Pilot: 0.125 to 0.155 without, -0.010 to 0.007 with; the truth is -0.1."""
    single, double = (np.array([estimate_of_left(seed, double=d) for seed in range(4)]) for d in (False, True))
    assert (single > 0.05).all()
    assert (double < single - 0.08).all()
    assert (double > -0.2).all()


# ---- C51 and QR-DQN: the distribution of returns. -------------------------------------------------------------------

EXACT = ({0: 0.125, 1: 0.375, 4: 0.125, 5: 0.375}, {0: 0.25, 1: 0.75})
"""Of two steps: the first gives 0 or 4 with equal probability, the second 0 or 1 with 1/4 and 3/4."""

DISTRIBUTIONS: dict[str, tuple[dict[str, Any], float]] = {
    "c51": ({"distribution": "categorical", "num_atoms": 11, "v_min": -2.0, "v_max": 8.0}, 0.2),
    "qr": ({"distribution": "quantile", "num_quantiles": 20, "huber_kappa": 0.0}, 0.15),
}


def wasserstein(position: Array, weight: Array, exact: dict[int, float]) -> float:
    """Return the area between two cumulative distributions."""
    x = np.arange(-3, 9, 0.01) + 0.005
    learnt = (weight[:, None] * (position[:, None] <= x)).sum(0)
    truth = sum(p * (v <= x) for v, p in exact.items())
    return float(np.abs(learnt - truth).sum() * 0.01)


@pytest.mark.slow
@pytest.mark.parametrize("head", DISTRIBUTIONS)
def test_the_distribution_of_returns_is_learnt(head: str) -> None:
    """Pilot, area between the distributions: C51 up to 0.09, QR-DQN up to 0.052. Of a mean alone it is 2 and 0.375."""
    fields, margin = DISTRIBUTIONS[head]
    for seed in range(2):
        learner = build_torch_learner(
            numbered(3, 1), seed, hidden=(), gamma=1.0, target_period=20, gradient_clip=None,
            learning_rate=0.1, learning_rate_end=0.002, learning_rate_decay_steps=1_500, **fields,
        )  # fmt: skip
        rng = np.random.default_rng(seed)
        for number in range(1_500):
            s = rng.integers(2, size=64)
            reward = np.where(s == 0, 4 * (rng.random(64) < 0.5), rng.random(64) < 0.75).astype(np.float32)
            batch = Transition(s, np.zeros(64, np.int64), reward, (s == 0).astype(np.float32), np.where(s == 0, 1, 2))
            learner.update(batch, number)
        with torch.no_grad():
            position, weight = learner.head.particles(learner.network(torch.arange(2))[:, 0])
        for state, exact in enumerate(EXACT):
            assert wasserstein(position[state].numpy(), weight[state].numpy(), exact) < margin
        values = learner.action_values(np.arange(2))[:, 0]
        np.testing.assert_allclose(values, [2.75, 0.75], atol=0.1)


# ---- Pop-Art: the size of rewards makes no difference. --------------------------------------------------------------


def error_by_size(size: float, seed: int, *, pop_art: bool) -> float:
    """Return the error, in units of the rewards' size, after learning the rewards of 8 states and 2 actions."""
    learner = build_torch_learner(
        numbered(8, 2), seed, hidden=(16,), pop_art=pop_art, learning_rate=0.01, gradient_clip=None
    )
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(8, 2)) * size
    for number in range(800):
        s, a = rng.integers(8, size=32), rng.integers(2, size=32)
        batch = Transition(s, a, truth[s, a].astype(np.float32), np.zeros(32, np.float32), s)
        learner.update(batch, number)
    error = learner.action_values(np.arange(8)) - truth
    return float(np.sqrt(np.mean(error**2)) / size)


@pytest.mark.slow
def test_with_pop_art_rewards_of_any_size_are_learnt_equally_well() -> None:
    for size in (1e-3, 1.0, 1e3):
        assert error_by_size(size, 0, pop_art=True) < 0.05
    assert error_by_size(1e3, 0, pop_art=False) > 0.15


# ---- Noisy networks: exploration that goes deep. --------------------------------------------------------------------


def depth_was_found(seed: int, *, noisy: bool) -> bool:
    """Return whether the greedy policy goes through 10 states to a reward of 1, after 2,500 steps.

    One of two actions goes on, the other ends the episode with 0.1; which is which differs from state to state.
    """
    length = 10
    exploring = {"noise_start": 1.0, "epsilon_start": 0.0, "epsilon_end": 0.0} if noisy else {
        "epsilon_start": 0.1, "epsilon_end": 0.1,
    }  # fmt: skip
    agent = build_dqn(
        numbered(length + 1, 2), seed, hidden=(), learn_start=0, learn_period=2, learning_rate=0.02, target_period=20,
        batch_size=16, replay_capacity=5_000, noisy=noisy, **exploring,
    )  # fmt: skip
    s = 0
    for _ in range(2_500):
        step = at(s, first=s == 0)
        decision = agent.act(step)
        goes_on = int(decision.actions[0]) == 1 ^ (s & 1)
        last = not goes_on or s == length - 1
        reward = 0.1 if not goes_on else float(last)
        after = at(s + 1 if goes_on else length, reward, 0.0 if last else 1.0, last=last)
        agent.update(step, decision, after)
        s = 0 if last else s + 1
    greedy = agent.learner.greedy_actions(np.arange(length), None)
    return all(int(action) == 1 ^ (state & 1) for state, action in enumerate(greedy))


@pytest.mark.slow
def test_noisy_networks_find_what_lies_deeper_than_epsilon_greedy_gets() -> None:
    """Pilot, seeds 0 to 6: all 7 with noise, 3 of 7 with an epsilon of 0.1."""
    greedy, noisy = ([depth_was_found(seed, noisy=n) for seed in range(5)] for n in (False, True))
    assert sum(noisy) >= sum(greedy) + 2


# ---- Rainbow on pictures. -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_rainbow_learns_from_pictures_for_1000_updates() -> None:
    """With the paper's network and batch on Pong; smaller is the replay, and learning begins sooner. 77 s on a core."""
    env = make_env(EnvConfig("ALE/Pong-v5", 4), training=True)
    settings = default_settings("rainbow")
    sizes = {"hidden": [512], "replay_capacity": 2_000, "learn_start": 200, "target_period": 250}
    config = make_run_config("rainbow", lay_over("rainbow", settings, {"agent_config": sizes})).agent_config
    assert config.batch_size == 32
    agent = config.build(env.spec, np.random.default_rng(0), "cpu")
    before = {name: np.array(array) for name, array in agent.state_dict()["learner"]["network"].items()}
    assert before["1.weight"].shape == (32, 4, 8, 8)
    assert [array.shape for array in before.values()].count((512, 3136)) == 4  # value and advantages: weights and noise
    ticks = interact(agent, env, 4_200, seed=0)
    losses = [float(tick.metrics["losses/loss"]) for tick in ticks if "losses/loss" in tick.metrics]
    state = agent.state_dict()["learner"]
    env.close()
    assert state["num_updates"] == len(losses) == 1_000
    assert np.isfinite(losses).all()
    for name, array in state["network"].items():
        assert np.isfinite(array).all()
        assert (array != before[name]).any(), name
