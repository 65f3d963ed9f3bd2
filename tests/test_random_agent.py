"""The random agent: legal, uniform, restorable, and refusing what it can't do."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tengen.actions import random_actions
from tengen.agents.random.agent import RandomPolicy
from tengen.agents.random.config import RandomConfig
from tengen.contracts import Agent, Policy
from tengen.envs import EnvConfig, make_env
from tengen.loop import interact
from tengen.registry import resolve_agent
from tengen.types import Bools, EnvSpec, TimeStep


def a_step(num_envs: int, legal: Bools | None = None) -> TimeStep:
    zeros, flags = np.zeros(num_envs), np.zeros(num_envs, np.bool_)
    return TimeStep(np.zeros((num_envs, 1)), zeros, zeros + 1, flags, flags, legal)


def a_spec(env_id: str) -> EnvSpec:
    return make_env(EnvConfig(env_id), training=True).spec


def agent(seed: int = 0, env_id: str = "CartPole-v1") -> Agent:
    return RandomConfig().build(a_spec(env_id), np.random.default_rng(seed), "cpu")


def test_it_is_registered_and_meets_the_contract() -> None:
    assert resolve_agent("random") == (RandomConfig, {})
    assert isinstance(agent(), Agent)
    assert isinstance(agent().policy(), Policy)


def test_only_legal_actions_are_chosen_and_each_as_often() -> None:
    rng = np.random.default_rng(1)
    rows = np.array(
        [[0, 1, 0, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [1, 0, 0, 0, 0], [1, 0, 1, 1, 0]], np.bool_
    )  # [5, A]
    num_draws = 20_000
    actions = random_actions(a_step(5 * num_draws, np.repeat(rows, num_draws, axis=0)), 5, rng).reshape(5, num_draws)
    for row, drawn in zip(rows, actions, strict=True):
        counts = np.bincount(drawn, minlength=5)
        assert not counts[~row].any()
        expected = num_draws / row.sum()
        chi_squared = ((counts[row] - expected) ** 2 / expected).sum()
        assert chi_squared < 18.5  # 0.1% at 4 degrees of freedom; the seed is fixed


def test_without_a_mask_every_action_is_as_likely() -> None:
    actions = random_actions(a_step(50_000), 5, np.random.default_rng(2))
    assert actions.dtype == np.int64
    assert actions.shape == (50_000,)
    counts = np.bincount(actions, minlength=5)
    assert len(counts) == 5
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 18.5


def test_rows_are_drawn_independently() -> None:
    legal = np.ones((3, 4), np.bool_)
    rng = np.random.default_rng(3)
    draws = np.array([random_actions(a_step(3, legal), 4, rng) for _ in range(2000)])
    agreement = (draws[:, 0] == draws[:, 1]).mean()
    assert abs(agreement - 0.25) < 0.05


def test_it_never_plays_an_illegal_move_of_a_whole_game() -> None:
    env = make_env(EnvConfig("tengen/TicTacToe-v0", num_envs=8), training=True)
    games = 0
    for tick in interact(agent(env_id="tengen/TicTacToe-v0"), env, num_steps=4_000, seed=0):
        assert tick.step.legal is not None
        assert tick.step.legal[np.arange(8), tick.decision.actions].all()
        assert tick.metrics == {}
        games += int(tick.next_step.last.sum())
    assert games > 300


def test_the_policy_draws_from_the_generator_it_is_given_and_leaves_the_agents_alone() -> None:
    one, two = agent(), agent()
    step = a_step(20)
    drawn = [one.policy().act(step, np.random.default_rng(7)) for _ in range(2)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(one.act(step).actions, two.act(step).actions)
    assert isinstance(one.policy(), RandomPolicy)


def test_a_restored_agent_goes_on_exactly() -> None:
    one, other = agent(0), agent(1)
    step = a_step(20)
    one.act(step)
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(one.act(step).actions, other.act(step).actions)
    assert one.state_dict() == other.state_dict()


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Taxi-v4", "tengen/TicTacToe-v0"])
def test_discrete_actions_are_taken(env_id: str) -> None:
    assert RandomConfig.refusal(a_spec(env_id)) is None


def test_continuous_actions_are_refused() -> None:
    refusal = RandomConfig.refusal(a_spec("Pendulum-v1"))
    assert refusal is not None
    assert "needs a discrete action space, Pendulum-v1 has Box(-2.0, 2.0, (1,), float32)" in refusal


def test_its_config_needs_the_standard_library_only() -> None:
    code = "import sys, tengen.agents.random.config; print({'numpy', 'gymnasium', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
