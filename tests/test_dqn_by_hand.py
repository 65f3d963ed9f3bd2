"""DQN with gradients by hand against DQN with autograd, from which it may differ by rounding only."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from test_dqn_compiled import assert_alike

from tengen.agents.dqn.config import DQNConfig
from tengen.agents.dqn.learner import TorchLearner
from tengen.types import EnvSpec, Transition

PLANES = gym.spaces.Box(0, 1, (4, 6, 6), np.bool_)  # type: ignore[arg-type]  # gymnasium's annotation leaves it out
NUM_ACTIONS = 3
ATOMS = {"distribution": "categorical", "num_atoms": 11, "v_min": -2.0, "v_max": 2.0}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"double": True, "loss": "squared", "gradient_clip": 0.1},
    {"dueling": True, "optimizer": "rmsprop"},
    {"target": "polyak", **ATOMS},
    {"target": "none", "double": True, **ATOMS},
    {"double": True, "dueling": True, "noisy": True, **ATOMS},
    {"pop_art": True, "dueling": True},
    {"distribution": "quantile", "num_quantiles": 7, "noisy": True},
]


def learner(backend: str, seed: int = 0, **fields: Any) -> TorchLearner:
    settings = {"hidden": (16,), "learning_rate": 1e-3, "adam_epsilon": 1e-4, "replay_capacity": 100, **fields}
    config = DQNConfig(**{"target_period": 4, **settings}, backend=backend)  # type: ignore[arg-type]  # one of its values
    spec = EnvSpec("planes", PLANES, gym.spaces.Discrete(NUM_ACTIONS), 1)
    found = config.build(spec, np.random.default_rng(seed), "cpu").learner
    assert isinstance(found, TorchLearner)
    assert found.by_hand == (backend == "by_hand")
    return found


def batch(seed: int, num: int = 16, legal: bool = False) -> Transition:
    rng = np.random.default_rng(seed)
    mask = rng.random((num, NUM_ACTIONS)) < 0.5
    mask[np.arange(num), rng.integers(NUM_ACTIONS, size=num)] = True
    return Transition(
        rng.random((num, *PLANES.shape)) < 0.2,
        rng.integers(NUM_ACTIONS, size=num),
        (rng.normal(size=num) * 2).astype(np.float32),
        rng.choice([0.0, 0.9, -0.9], size=num).astype(np.float32),
        rng.random((num, *PLANES.shape)) < 0.2,
        mask if legal else None,
    )


@pytest.mark.parametrize("fields", VARIANTS, ids=str)
def test_it_learns_what_torch_learns(fields: dict[str, Any]) -> None:
    torchs, own = learner("torch", **fields), learner("by_hand", **fields)
    rng = np.random.default_rng(0)
    for seed in range(30):
        given = batch(seed, legal=seed % 2 == 0)
        weights = rng.random(16).astype(np.float32) if seed % 3 else None
        expected, found = torchs.update(given, seed, weights), own.update(given, seed, weights)
        for name, value in expected.metrics.items():
            assert float(found.metrics[name]) == pytest.approx(float(value), rel=2e-3, abs=2e-4), (name, seed)
        np.testing.assert_allclose(np.asarray(found.errors), np.asarray(expected.errors), rtol=5e-3, atol=1e-3)
    assert_alike(torchs.state_dict(), own.state_dict(), 3e-3)
    observation = batch(99, 64).observation
    np.testing.assert_allclose(own.action_values(observation), torchs.action_values(observation), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("fields", VARIANTS, ids=str)
@pytest.mark.parametrize("then", ["torch", "by_hand"])
def test_its_state_goes_on_exactly_in_another_one_and_to_rounding_in_torchs(then: str, fields: dict[str, Any]) -> None:
    one, other = learner("by_hand", **fields), learner(then, seed=1, **fields)
    for seed in range(5):
        one.update(batch(seed), seed)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    assert_alike(one.state_dict(), other.state_dict(), 0.0)
    for seed in range(5, 11):
        one.update(batch(seed), seed)
        other.update(batch(seed), seed)
        observation = batch(seed + 100).observation
        actions = [learner.exploring_actions(observation, None) for learner in (one, other)]
        if then == "by_hand":
            np.testing.assert_array_equal(actions[0], actions[1])
    assert_alike(one.state_dict(), other.state_dict(), 0.0 if then == "by_hand" else 2e-3)


@pytest.mark.parametrize("legal", [False, True])
@pytest.mark.parametrize(
    "fields", [{}, {"loss": "squared", "double": True}, {**ATOMS}, {**ATOMS, "double": True}], ids=str
)
def test_slopes_of_kernels_are_autograds(fields: dict[str, Any], legal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    one = learner("by_hand", **fields)
    assert one.slopes is not None
    generator = torch.Generator().manual_seed(0)
    for seed in range(5):
        outputs, outputs_t, choosing_t = torch.randn(3, 16, NUM_ACTIONS, one.head.num_outputs, generator=generator) * 2
        weights = np.random.default_rng(seed).random(16).astype(np.float32) if seed else None
        tensors = one.upload.batch(batch(seed, legal=legal), weights)
        choosing_t = choosing_t if "double" in fields else outputs_t
        found = one.slopes(outputs, outputs_t, choosing_t, tensors)
        leaf = outputs.clone().requires_grad_()
        monkeypatch.setattr(one, "_outputs_t", lambda _, given=(outputs_t, choosing_t): given)
        monkeypatch.setattr(one, "_online", lambda _, given=leaf: given)
        losses = one._losses(tensors)
        (slopes,) = torch.autograd.grad(losses.mean, leaf)
        torch.testing.assert_close(found.slopes, slopes, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.errors, losses.errors.numpy(), rtol=1e-4, atol=1e-5)
        assert found.loss == pytest.approx(losses.mean.item(), rel=1e-5)
        assert found.q_tm1 == pytest.approx(losses.q_tm1.mean().item(), rel=1e-4)


def test_a_reward_that_is_no_number_makes_the_loss_none() -> None:
    for fields in VARIANTS[0], VARIANTS[3]:
        one = learner("by_hand", **fields)
        given = batch(0)
        given.reward[3] = np.nan
        learnt = one.update(given, 0)
        assert np.isnan(float(learnt.metrics["losses/loss"]))
        assert np.flatnonzero(np.isnan(np.asarray(learnt.errors))).tolist() == [3]


def test_what_has_no_kernel_is_left_to_autograd() -> None:
    for fields in VARIANTS:
        kernel = "pop_art" not in fields and fields.get("distribution") != "quantile"
        assert (learner("by_hand", **fields).slopes is not None) == kernel
