"""The compiled learner of DQN against torch's, from which it may differ by rounding only, and its kernels' twins."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from tengen.agents.dqn import _q_kernels as kernels
from tengen.agents.dqn.build import build
from tengen.agents.dqn.compiled import MOST_PARAMETERS, CompiledLearner, why_not_compiled
from tengen.agents.dqn.config import DQNConfig
from tengen.agents.dqn.learner import TorchLearner
from tengen.errors import UserError
from tengen.types import Bools, EnvSpec, State, Transition

SPACE = gym.spaces.Box(-1, 1, (3,), np.float32)
NUM_ACTIONS = 3


def spec_of(space: gym.Space[Any] = SPACE) -> EnvSpec:
    return EnvSpec("toy", space, gym.spaces.Discrete(NUM_ACTIONS), num_envs=1)


def both(space: gym.Space[Any] = SPACE, seed: int = 0, **fields: Any) -> tuple[TorchLearner, CompiledLearner]:
    """Return two learners that begin with the same network."""
    config = DQNConfig(**{"hidden": (16, 8), "learning_rate": 0.01, "backend": "torch", **fields})
    assert why_not_compiled(config, spec_of(space), "cpu") is None
    kernels = dataclasses.replace(config, backend="compiled")
    learner, twin = (build(c, spec_of(space), np.random.default_rng(seed), "cpu").learner for c in (config, kernels))
    assert isinstance(learner, TorchLearner)
    assert isinstance(twin, CompiledLearner)
    return learner, twin


def copied(state: State) -> State:
    return copy.deepcopy(state)


def masks(rng: np.random.Generator, num_rows: int) -> Bools:
    legal = rng.random((num_rows, NUM_ACTIONS)) < 0.5
    legal[np.arange(num_rows), rng.integers(NUM_ACTIONS, size=num_rows)] = True
    return legal


def batch_of(rng: np.random.Generator, num_rows: int, space: gym.Space[Any] = SPACE, legal: bool = False) -> Transition:
    if isinstance(space, gym.spaces.Discrete):
        observations = rng.integers(space.start, space.start + space.n, size=(2, num_rows))
    else:
        observations = rng.normal(size=(2, num_rows, *(space.shape or ()))).astype(space.dtype)
    return Transition(
        observations[0],
        rng.integers(NUM_ACTIONS, size=num_rows),
        (rng.normal(size=num_rows) * 2).astype(np.float32),
        rng.choice([0.0, 0.9, -0.9], size=num_rows).astype(np.float32),
        observations[1],
        masks(rng, num_rows) if legal else None,
    )


def tensors_of(state: State) -> dict[str, Any]:
    """Return the leaves of a state by their path."""
    leaves: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, dict):
            leaves |= {f"{name}/{below}": leaf for below, leaf in tensors_of(value).items()}
        else:
            leaves[name] = value
    return leaves


def assert_alike(one: State, other: State, tolerance: float) -> None:
    ones, others = tensors_of(one), tensors_of(other)
    assert ones.keys() == others.keys()
    for name, value in ones.items():
        assert np.shape(value) == np.shape(others[name]), name
        np.testing.assert_allclose(others[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("target", ["periodic", "polyak", "none"])
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
@pytest.mark.parametrize(("loss", "clip"), [("huber", 0.5), ("squared", None)])
@pytest.mark.parametrize("double", [False, True])
def test_it_learns_what_torch_learns(loss: str, clip: float | None, double: bool, optimizer: str, target: str) -> None:
    fields: dict[str, Any] = {"loss": loss, "gradient_clip": clip, "double": double, "optimizer": optimizer}
    fields |= {"learning_rate": 1e-3, "learning_rate_end": 1e-4, "learning_rate_decay_steps": 100}
    for legal, weighted in ((False, True), (True, False)):
        torchs, compiled = both(**fields, target=target, target_period=7, target_rate=0.1, adam_epsilon=1e-5)
        rng = np.random.default_rng(1)
        for update in range(120):
            batch = batch_of(rng, 16, legal=legal)
            weights = rng.random(16).astype(np.float32) if weighted else None
            expected, found = torchs.update(batch, update, weights), compiled.update(batch, update, weights)
            for name, value in expected.metrics.items():
                assert float(found.metrics[name]) == pytest.approx(float(value), rel=2e-3, abs=2e-4), (name, update)
            np.testing.assert_allclose(found.errors, np.asarray(expected.errors), rtol=5e-3, atol=1e-3)
        assert_alike(torchs.state_dict(), compiled.state_dict(), 2e-3)
        observation, allowed = rng.normal(size=(64, 3)).astype(np.float32), masks(rng, 64)
        values = torchs.action_values(observation)
        np.testing.assert_allclose(compiled.action_values(observation), values, rtol=1e-3, atol=1e-3)
        gaps = np.diff(np.sort(np.where(allowed, values, np.finfo(float).min / 4)))[:, -1]  # of the best to the next
        same = compiled.greedy_actions(observation, allowed) == torchs.greedy_actions(observation, allowed)
        assert same[gaps > 1e-2].all()


@pytest.mark.parametrize("legal", [False, True])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("loss", ["huber", "squared"])
def test_the_gradient_of_an_update_is_that_of_autograd(loss: str, double: bool, legal: bool) -> None:
    torchs, compiled = both(loss=loss, double=double, gradient_clip=None)
    rng = np.random.default_rng(3)
    other = rng.normal(size=compiled._target.shape).astype(np.float32)  # a target network that is not the online one
    compiled._target[:] = other
    nn.utils.vector_to_parameters(torch.from_numpy(other.copy()), torchs.target.network.parameters())
    batch, weights = batch_of(rng, 32, legal=legal), rng.random(32).astype(np.float32)
    losses = torchs.losses_of(batch, weights)
    losses.mean.backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
    grads = [p.grad for p in torchs.network.parameters() if p.grad is not None]
    found = compiled.update(batch, 0, weights)
    np.testing.assert_allclose(compiled._gradient, nn.utils.parameters_to_vector(grads).numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.errors, losses.errors.numpy(), rtol=1e-4, atol=1e-6)
    assert float(found.metrics["losses/loss"]) == pytest.approx(losses.mean.item(), rel=1e-5)


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Discrete(5),
        gym.spaces.Discrete(4, start=-2),
        gym.spaces.Box(-9, 9, (2,), np.float64),
        gym.spaces.Box(-9, 9, (2, 3), np.float32),
        gym.spaces.Box(-9, 9, (2, 2), np.int64),
        gym.spaces.Box(0, 255, (4,), np.uint8),
    ],
    ids=str,
)
def test_it_takes_numbers_and_vectors_of_any_dtype(space: gym.Space[Any]) -> None:
    torchs, compiled = both(space, learning_rate=1e-4)
    rng = np.random.default_rng(0)
    for update in range(20):
        batch = batch_of(rng, 8, space)
        torchs.update(batch, update)
        compiled.update(batch, update)
    observation = batch_of(rng, 5, space).observation
    values = torchs.action_values(observation)
    np.testing.assert_allclose(compiled.action_values(observation), values, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(compiled.exploring_actions(observation, None), values.argmax(1))


@pytest.mark.parametrize("hidden", [(), (7,), (6, 5, 4)])
def test_it_has_as_many_layers_as_are_asked_for(hidden: tuple[int, ...]) -> None:
    torchs, compiled = both(hidden=hidden)
    rng = np.random.default_rng(0)
    for update in range(10):
        batch = batch_of(rng, 8)
        torchs.update(batch, update)
        compiled.update(batch, update)
    assert_alike(torchs.state_dict(), compiled.state_dict(), 1e-3)


def test_an_array_that_is_no_plain_one_gives_the_same_actions() -> None:
    _, compiled = both()
    rng = np.random.default_rng(0)
    observation, legal = rng.normal(size=(6, 3)).astype(np.float32), masks(rng, 6)
    expected = compiled.greedy_actions(observation, legal)
    odd, odd_legal = np.asfortranarray(observation), np.asfortranarray(legal)
    odd.flags.writeable = odd_legal.flags.writeable = False
    np.testing.assert_array_equal(compiled.greedy_actions(odd, odd_legal), expected)
    np.testing.assert_array_equal(
        [compiled.greedy_actions(o[None], m[None])[0] for o, m in zip(odd, legal, strict=True)], expected
    )
    assert all(legal[np.arange(6), expected])


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
@pytest.mark.parametrize("target", ["periodic", "none"])
@pytest.mark.parametrize("before", [0, 5])
def test_its_state_goes_on_exactly_in_another_one(before: int, target: str, optimizer: str) -> None:
    fields: dict[str, Any] = {"target": target, "optimizer": optimizer, "target_period": 4}
    (_, one), (_, other) = both(**fields), both(seed=1, **fields)
    rng = np.random.default_rng(0)
    for update in range(before):
        one.update(batch_of(rng, 8), update)
    other.load_state_dict(copied(one.state_dict()))
    for update in range(before, before + 6):
        batch = batch_of(rng, 8)
        one.update(batch, update)
        other.update(batch, update)
    assert_alike(one.state_dict(), other.state_dict(), 0.0)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
@pytest.mark.parametrize("first", ["torch", "compiled"])
def test_a_state_of_either_learner_goes_on_in_the_other(first: str, optimizer: str) -> None:
    fields: dict[str, Any] = {"optimizer": optimizer, "target_period": 4, "learning_rate": 1e-3}
    torchs, compiled = both(**fields)
    torchs_too, compiled_too = both(seed=1, **fields)
    one, same, other = (torchs, torchs_too, compiled_too) if first == "torch" else (compiled, compiled_too, torchs_too)
    rng = np.random.default_rng(0)
    for update in range(10):
        one.update(batch_of(rng, 8), update)
    state = copied(one.state_dict())
    same.load_state_dict(state)
    other.load_state_dict(state)
    assert_alike(state, other.state_dict(), 0.0)
    for update in range(10, 30):
        batch = batch_of(rng, 8)
        same.update(batch, update)
        other.update(batch, update)
    assert_alike(same.state_dict(), other.state_dict(), 1e-3)


def test_a_state_of_another_network_or_precision_is_refused() -> None:
    _, compiled = both()
    wider, _ = both(hidden=(9,))
    with pytest.raises(UserError, match="the saved network has the layers"):
        compiled.load_state_dict(wider.state_dict())
    with pytest.raises(UserError, match="bfloat16"):
        compiled.load_state_dict({**compiled.state_dict(), "autocast": True})


def test_an_observation_outside_a_discrete_space_is_not_taken_for_another() -> None:
    _, compiled = both(gym.spaces.Discrete(4, start=1))
    for outside in (0, 5):
        with pytest.raises(AssertionError, match="not in the space"):
            compiled.greedy_actions(np.array([outside]), None)


@pytest.mark.parametrize(
    ("fields", "device", "word"),
    [
        ({"dueling": True}, "cpu", "agent.dueling"),
        ({"noisy": True, "pop_art": True}, "cpu", "agent.noisy, agent.pop_art"),
        ({"distribution": "categorical"}, "cpu", "agent.distribution categorical"),
        ({"overlap": True}, "cpu", "agent.overlap"),
        ({"compile": True}, "cpu", "agent.compile"),
        ({"precision": "bfloat16"}, "cpu", "agent.precision bfloat16"),
        ({"hidden": (2000, 2000)}, "cpu", f"beyond {MOST_PARAMETERS:,}"),
        ({}, "cuda:1", "not for cuda:1"),
    ],
)
def test_what_it_can_not_do_is_said(fields: dict[str, Any], device: str, word: str) -> None:
    reason = why_not_compiled(DQNConfig(**fields), spec_of(), device)
    assert reason is not None
    assert word in reason


def test_pictures_are_not_for_it() -> None:
    reason = why_not_compiled(DQNConfig(), spec_of(gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)), "cpu")
    assert reason is not None
    assert "pictures" in reason


def test_the_best_action_is_the_first_greatest_of_the_legal_ones_and_a_nan_is_the_greatest() -> None:
    rng = np.random.default_rng(0)
    all_legal = np.zeros((0, 0), np.bool_)
    for _ in range(200):
        q = rng.integers(3, size=(4, 3)).astype(np.float32)
        q[rng.random(q.shape) < 0.1] = np.nan
        q[rng.random(q.shape) < 0.1] = -np.inf
        legal = masks(rng, 4)
        for n in range(4):
            assert kernels.best_action(q, n, all_legal) == q[n].argmax()
            allowed = np.flatnonzero(legal[n])
            assert kernels.best_action(q, n, legal) == allowed[q[n, allowed].argmax()]
