"""Every two options of DQN together learn the values of a small world."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from dqn_parts_helpers import build_dqn
from two_steps import TwoSteps, true_values

from tengen.agents.dqn.agent import DQN
from tengen.loop import interact
from tengen.types import Array

OPTIONS: dict[str, dict[str, Any]] = {
    "double": {"double": True},
    "dueling": {"dueling": True},
    "n-step": {"n_step": 3},
    "prioritized": {"replay": "prioritized"},
    "categorical": {"distribution": "categorical", "num_atoms": 11, "v_min": -3.0, "v_max": 3.0},
    "quantile": {"distribution": "quantile", "num_quantiles": 5},
    "noisy": {"noisy": True},
    "pop-art": {"pop_art": True, "pop_art_rate": 0.01},
    "polyak": {"target": "polyak", "target_rate": 0.2},
    "no target": {"target": "none"},
    "rmsprop": {"optimizer": "rmsprop", "learning_rate": 5e-3},
    "squared": {"loss": "squared"},
    "reward-clip": {"reward_clip": 1.0},
    "overlap": {"overlap": True},
    "bfloat16": {"precision": "bfloat16"},
    "torch": {"backend": "torch"},
    "no replay": {"replay": "none"},
    "two sides": {},  # with legal actions and negative discounts
}
SETTINGS: dict[str, Any] = {
    "gamma": 0.5,
    "hidden": (16,),
    "learning_rate": 0.02,
    "batch_size": 16,
    "learn_start": 16,
    "learn_period": 8,
    "target_period": 5,
    "epsilon_end": 1.0,  # it sees all, whatever it thinks of it
    "replay_capacity": 400,
}
AGAINST_EACH_OTHER = [("categorical", "quantile"), ("polyak", "no target"), ("no replay", "prioritized")]
REFUSED = [("n-step", "no replay")]
NUM_ENVS, NUM_TICKS = 8, 150


def pairs() -> list[tuple[str, str]]:
    without = [set(pair) for pair in (*AGAINST_EACH_OTHER, *REFUSED)]
    return [pair for pair in combinations(OPTIONS, 2) if set(pair) not in without]


def parameters(agent: DQN) -> list[Array]:
    return [np.array(array) for array in agent.state_dict()["learner"]["network"].values()]


def learns(one: str, two: str, **fields: Any) -> None:
    sides = 2 if "two sides" in (one, two) else 1
    env = TwoSteps(NUM_ENVS, sides)
    settings = {**SETTINGS, **OPTIONS.get(one, {}), **OPTIONS.get(two, {}), **fields}
    agent = build_dqn(env.spec, **settings)
    before = parameters(agent)
    for tick in interact(agent, env, NUM_ENVS * NUM_TICKS, seed=0):
        if tick.step.legal is not None:
            assert tick.step.legal[np.arange(NUM_ENVS), tick.decision.actions].all()
        assert all(np.isfinite(float(value)) for value in tick.metrics.values())
    assert all((then != now).any() for then, now in zip(before, parameters(agent), strict=True))
    assert agent.learner.num_updates == NUM_TICKS - 2
    truth = true_values(0.5, sides, settings.get("reward_clip"))
    error = np.abs(agent.learner.action_values(np.eye(2, dtype=np.float32)) - truth)
    assert np.nanmax(error) < 0.3
    greedy = agent.policy().act(env.reset(0), np.random.default_rng(0))
    np.testing.assert_array_equal(greedy, 1)


@pytest.mark.parametrize(("one", "two"), pairs())
def test_any_two_options_learn_together(one: str, two: str) -> None:
    learns(one, two)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of torch's own compiler
@pytest.mark.parametrize("other", ["pop-art", "categorical", "quantile", "noisy", "prioritized", "two sides"])
def test_a_compiled_loss_learns_with_other_options(other: str) -> None:
    learns("compile", other, compile=True)
