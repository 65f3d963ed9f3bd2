"""The protocol sb3: stable-baselines3's own wrappers, byte for byte."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import VecFrameStack, VecTransposeImage

from tengen.contracts import Environment
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.testing import check_environment

BREAKOUT = EnvConfig("ALE/Breakout-v5", protocol="sb3")


def theirs(env_id: str, seed: int) -> Any:
    """Return stable-baselines3's own stack of wrappers."""
    return VecTransposeImage(VecFrameStack(make_atari_env(env_id, n_envs=1, seed=seed), 4))


def actions_of(num_actions: int, num_steps: int) -> list[int]:
    return [int(action) for action in np.random.default_rng(0).integers(num_actions, size=num_steps)]


@pytest.mark.parametrize(
    ("game", "num_steps"), [("Breakout", 400), pytest.param("Seaquest", 900, marks=pytest.mark.slow)]
)
def test_training_shows_the_bytes_rewards_and_ends_of_their_wrappers(game: str, num_steps: int) -> None:
    env = make_env(EnvConfig(f"ALE/{game}-v5", protocol="sb3"), training=True)
    reference = theirs(f"{game}NoFrameskip-v4", seed=7)
    step = env.reset(np.array([7]))
    assert np.array_equal(step.observation, reference.reset())
    lives = 0
    for action in actions_of(env.spec.num_actions, num_steps):
        step = env.step(np.array([action]))
        observation, reward, done, infos = reference.step(np.array([action]))
        assert step.reward[0] == reward[0]
        assert bool(step.last[0]) == bool(done[0])
        if done[0]:
            assert step.discount[0] == 0
            assert np.array_equal(step.observation[0], infos[0]["terminal_observation"])
            if infos[0]["lives"] == 0:
                break  # their next game goes on with their generator, ours has a seed of its own
            lives += 1
            step = env.reset_done()
            assert step.first[0]
        assert np.array_equal(step.observation, observation)
    assert lives >= 1, "no life was lost"
    env.close()
    reference.close()


def test_an_evaluation_plays_the_game_that_their_monitor_counts() -> None:
    env = make_env(BREAKOUT, training=False)
    reference = theirs("BreakoutNoFrameskip-v4", seed=3)
    step, observation, total = env.reset(np.array([3])), reference.reset(), 0.0
    for action in actions_of(env.spec.num_actions, 2_000):
        assert np.array_equal(step.observation, observation)
        step = env.step(np.array([action]))
        observation, _, _, infos = reference.step(np.array([action]))
        total += float(step.reward[0])
        assert bool(step.last[0]) == ("episode" in infos[0])
        if step.last[0]:
            break
    assert step.last[0]
    assert total == infos[0]["episode"]["r"]
    env.close()
    reference.close()


@pytest.mark.slow
def test_training_keeps_the_contract_and_is_restored_exactly() -> None:
    def make(num_envs: int) -> Environment:
        return make_env(EnvConfig("ALE/Breakout-v5", num_envs=num_envs, protocol="sb3"), training=True)

    check_environment(make, num_envs=2, num_steps=45)


@pytest.mark.parametrize("after", ["a lost life", "the next life's start"])
def test_a_state_around_a_lost_life_is_restored(after: str) -> None:
    env = make_env(BREAKOUT, training=True)
    step = env.reset(1)
    actions = iter(actions_of(env.spec.num_actions, 1_000))
    while not step.last[0]:
        step = env.step(np.array([next(actions)]))
    if after == "the next life's start":
        env.reset_done()
    again = make_env(BREAKOUT, training=True)
    again.load_state_dict(env.state_dict())
    for _ in range(20):
        ours, other = env.reset_done(), again.reset_done()
        assert np.array_equal(ours.observation, other.observation)
        assert np.array_equal(ours.first, other.first)
        action = np.array([next(actions)])
        ours, other = env.step(action), again.step(action)
        assert np.array_equal(ours.observation, other.observation)
    env.close()
    again.close()


@pytest.mark.parametrize("knob", ["max_pool", "grayscale", "fire_reset"])
def test_a_knob_that_their_wrapper_has_not_is_refused(knob: str) -> None:
    with pytest.raises(UserError, match="AtariWrapper has no such setting"):
        make_env(EnvConfig("ALE/Pong-v5", protocol="sb3", kwargs={knob: False}), training=True)


def test_missing_opencv_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from stable_baselines3.common import atari_wrappers

    monkeypatch.setattr(atari_wrappers, "cv2", None)
    with pytest.raises(UserError, match=r"tengen\[sb3-atari\]"):
        make_env(BREAKOUT, training=True)
