"""Pictures and networks in bfloat16, with copies of parameters that are kept, and the gradient in one tensor."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tengen.agents.dqn.config import DQNConfig
from tengen.agents.dqn.learner import TorchLearner
from tengen.perception.layers import Noise
from tengen.perception.networks import Pixels, q_network
from tengen.perception.optimizers import Gradient
from tengen.perception.precision import Autocast, Plain, Rounded, computation
from tengen.types import EnvSpec, Transition

PICTURES = gym.spaces.Box(0, 255, (4, 36, 36), np.uint8)
VARIANTS: list[dict[str, Any]] = [
    {},
    {"double": True, "dueling": True},
    {"noisy": True, "distribution": "categorical", "num_atoms": 11},
    {"pop_art": True, "double": True},
    {"target": "none", "distribution": "quantile", "num_quantiles": 7},
]


def network(**fields: Any) -> nn.Sequential:
    return q_network(PICTURES, 3, (16,), torch.Generator().manual_seed(0), **fields)


def frames(seed: int, num: int = 5, channels: int = 4) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (num, channels, 36, 36), dtype=np.uint8))


def learner(precision: str, **fields: Any) -> TorchLearner:
    config = DQNConfig(hidden=(16,), learning_rate=1e-3, replay_capacity=100, precision=precision, **fields)  # type: ignore[arg-type]  # one of its values
    spec = EnvSpec("pictures", PICTURES, gym.spaces.Discrete(3), 1, frame_stack=4)
    found = config.build(spec, np.random.default_rng(0), "cpu").learner
    assert isinstance(found, TorchLearner)
    return found


def batch(seed: int) -> Transition:
    rng = np.random.default_rng(seed)
    return Transition(
        frames(seed, 16).numpy(),
        rng.integers(3, size=16),
        rng.normal(size=16).astype(np.float32),
        np.full(16, 0.99, np.float32),
        frames(seed + 1000, 16).numpy(),
    )


def gradients(compute: Plain | Autocast | Rounded, x: Tensor) -> list[Tensor]:
    return [g.float() for g in torch.autograd.grad(compute(x).float().square().mean(), list(compute.leaves))]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("in_bfloat16", [False, True])
def test_pixels_are_those_of_torch_in_both_precisions(in_bfloat16: bool, channels: int) -> None:
    pictures = frames(0, channels=channels)
    expected = pictures.float() * (1 / 255)
    with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16):
        found = Pixels()(pictures)
        of_a_view = Pixels()(pictures.transpose(2, 3))
    expected = expected.bfloat16() if in_bfloat16 else expected
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)
    assert torch.equal(of_a_view, expected.transpose(2, 3))


@pytest.mark.parametrize("fields", [{}, {"dueling": True}, {"noise": 0.5}])
def test_rounded_copies_give_the_outputs_and_gradients_of_autocast(fields: dict[str, Any]) -> None:
    net = network(**fields)
    Noise([net], torch.Generator().manual_seed(1)).draw()
    with torch.no_grad():
        assert torch.equal(Rounded(net)(frames(0)), Autocast(net, "cpu")(frames(0)))
    for own, theirs in zip(gradients(Rounded(net), frames(0)), gradients(Autocast(net, "cpu"), frames(0)), strict=True):
        assert torch.equal(own, theirs)


def test_bfloat16_gives_the_outputs_and_gradients_of_float32_within_its_precision() -> None:
    net = network()
    with torch.no_grad():
        torch.testing.assert_close(Rounded(net)(frames(0)).float(), Plain(net)(frames(0)), rtol=0.03, atol=3e-3)
    exact = torch.cat([g.flatten() for g in gradients(Plain(net), frames(0))])
    rounded = torch.cat([g.flatten() for g in gradients(Rounded(net), frames(0))])
    assert (rounded - exact).norm() < 0.03 * exact.norm()


def test_copies_follow_every_change_in_place() -> None:
    net = network()
    rounded = Rounded(net)
    with torch.no_grad():
        before = rounded(frames(0))
        next(net.parameters()).mul_(2)
        changed = rounded(frames(0))
        assert not torch.equal(before, changed)
        assert torch.equal(changed, Autocast(net, "cpu")(frames(0)))


def test_copies_made_while_acting_can_be_learnt_from() -> None:
    net = network()
    with torch.inference_mode():
        rounded = Rounded(net)
        next(net.parameters()).mul_(2)
        rounded(frames(0))
    assert all(g.abs().sum() > 0 for g in gradients(rounded, frames(0)))


def test_a_layer_that_autocast_leaves_in_float32_keeps_its_parameters() -> None:
    net = nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4))
    rounded = Rounded(net)
    assert [leaf.dtype for leaf in rounded.leaves] == [torch.bfloat16] * 2 + [torch.float32] * 2
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(rounded(x), Autocast(net, "cpu")(x))


@pytest.mark.parametrize(
    ("device_type", "in_bfloat16", "compiles", "expected"),
    [
        ("cpu", False, False, Plain),
        ("cpu", True, False, Rounded),
        ("cpu", True, True, Autocast),
        ("cuda", True, False, Autocast),
    ],
)
def test_copies_are_kept_where_nothing_else_does_it(
    device_type: str, in_bfloat16: bool, compiles: bool, expected: type
) -> None:
    found = computation(network(), device_type, in_bfloat16=in_bfloat16, compiles=compiles)
    assert isinstance(found, expected)


@pytest.mark.parametrize("fields", VARIANTS)
def test_updates_in_bfloat16_are_those_of_autocast_bit_for_bit(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = learner("bfloat16", target_period=2, backend="torch", **fields)
    monkeypatch.setattr("tengen.agents.dqn.learner.computation", lambda network, *_, **__: Autocast(network, "cpu"))
    plain = learner("bfloat16", target_period=2, backend="torch", **fields)
    observation = frames(7).numpy()
    for seed in range(5):
        found, expected = kept.update(batch(seed), 0), plain.update(batch(seed), 0)
        assert float(found.metrics["losses/loss"]) == float(expected.metrics["losses/loss"])
        np.testing.assert_array_equal(kept.action_values(observation), plain.action_values(observation))
    for own, theirs in zip(kept.network.parameters(), plain.network.parameters(), strict=True):
        assert torch.equal(own, theirs)


@pytest.mark.parametrize("backend", ["torch", "by_hand"])
@pytest.mark.parametrize("fields", VARIANTS)
def test_bfloat16_gives_the_losses_and_gradients_of_float32_on_the_same_batches(
    fields: dict[str, Any], backend: str
) -> None:
    exact, rounded = (learner(p, gradient_clip=None, backend=backend, **fields) for p in ("float32", "bfloat16"))
    for seed in range(3):
        expected, found = (one.update(batch(seed), 0).metrics["losses/loss"] for one in (exact, rounded))
        assert float(found) == pytest.approx(float(expected), rel=0.02)
        difference = (rounded.gradient.values - exact.gradient.values).norm()
        assert difference < 0.06 * exact.gradient.values.norm()
        rounded.load_state_dict({**exact.state_dict(), "autocast": True})  # so that rounding does not pile up


@pytest.mark.parametrize("backend", ["torch", "by_hand"])
@pytest.mark.parametrize("fields", VARIANTS)
def test_a_learner_in_bfloat16_goes_on_exactly_from_its_state(fields: dict[str, Any], backend: str) -> None:
    through, resumed = (learner("bfloat16", target_period=2, backend=backend, **fields) for _ in range(2))
    for seed in range(3):
        through.update(batch(seed), 0)
    resumed.load_state_dict(copy.deepcopy(through.state_dict()))
    for seed in range(3, 6):
        for one in (through, resumed):
            one.update(batch(seed), 0)
    for own, theirs in zip(resumed.network.parameters(), through.network.parameters(), strict=True):
        assert torch.equal(own, theirs)
    np.testing.assert_array_equal(resumed.action_values(frames(9).numpy()), through.action_values(frames(9).numpy()))


@pytest.mark.parametrize("largest", [0.01, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gradient_is_taken_and_clipped_as_by_torch(dtype: torch.dtype, largest: float) -> None:
    net = network()
    theirs = copy.deepcopy(net)
    generator = torch.Generator().manual_seed(0)
    found = [torch.randn(p.shape, generator=generator).to(dtype) for p in net.parameters()]
    for parameter, part in zip(theirs.parameters(), found, strict=True):
        parameter.grad = part.float()
    nn.utils.clip_grad_norm_(theirs.parameters(), largest)
    gradient = Gradient(net.parameters())
    for _ in range(2):  # the second must take the place of the first
        gradient.set(found)
    gradient.clip(largest)
    for own, their in zip(net.parameters(), theirs.parameters(), strict=True):
        assert own.grad is not None
        assert own.grad.stride() == own.stride()
        torch.testing.assert_close(own.grad, their.grad)
