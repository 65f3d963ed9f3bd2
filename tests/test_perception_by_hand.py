"""Networks computed by hand against autograd, from which they may differ by rounding only."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tengen.perception._noisy_kernels import mix, slopes_of_size
from tengen.perception._planes_kernels import convolve, convolve_backward
from tengen.perception.by_hand import ByHand, why_not_by_hand
from tengen.perception.convolution_stages import Blocks, BlocksConvolution, PlanesConvolution
from tengen.perception.layers import Noise
from tengen.perception.networks import q_network
from tengen.perception.normalised import normalised_q_network
from tengen.perception.optimizers import FlatAdam, Gradient
from tengen.perception.precision import Computation, Plain, Rounded
from tengen.perception.stages import Parameters
from tengen.perception.torch_state import load_optimizer_state, optimizer_state

PICTURES = gym.spaces.Box(0, 255, (4, 44, 36), np.uint8)
ODD_PICTURES = gym.spaces.Box(0, 255, (3, 36, 45), np.uint8)  # of which 4 columns can't be read as one
PLANES = gym.spaces.Box(0, 1, (5, 7, 6), np.uint8)
BOOLS = gym.spaces.Box(0, 1, (2, 10, 10), np.bool_)  # type: ignore[arg-type]  # gymnasium's annotation leaves it out
VECTORS = gym.spaces.Box(-1, 1, (7,), np.float32)
SPACES = pytest.mark.parametrize(
    "space", [PICTURES, ODD_PICTURES, PLANES, BOOLS, VECTORS, gym.spaces.Discrete(5)], ids=str
)
HEADS = pytest.mark.parametrize(
    "fields", [{}, {"num_outputs": 3}, {"dueling": True}, {"noise": 0.5}, {"dueling": True, "noise": 0.7}], ids=str
)


def network(space: gym.Space[Any], seed: int = 0, hidden: tuple[int, ...] = (12, 16), **fields: Any) -> nn.Sequential:
    return q_network(space, 3, hidden, torch.Generator().manual_seed(seed), **fields)


def observations(space: gym.Space[Any], seed: int = 0, num: int = 6) -> Tensor:
    space.seed(seed)
    return torch.from_numpy(np.stack([space.sample() for _ in range(num)]))


def gradient_of(compute: Computation, net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    gradient = Gradient(net.parameters())
    gradient.values.fill_(9.0)  # all of it must be written over
    outputs = compute(x).float()
    compute.differentiate(
        (outputs.cos() * torch.arange(1, 1 + outputs[0].numel()).view(outputs[0].shape)).sum(), gradient
    )
    return outputs.detach(), gradient.values


@HEADS
@SPACES
def test_outputs_and_gradients_are_those_of_autograd(space: gym.Space[Any], fields: dict[str, Any]) -> None:
    net = network(space, **fields)
    noise = Noise([net], torch.Generator().manual_seed(1))
    for seed in range(3):
        noise.draw()
        x = observations(space, seed)
        expected, slopes = gradient_of(Plain(net), net, x)
        found, own = gradient_of(ByHand(net), net, x)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(own, slopes, rtol=1e-3, atol=1e-4)
        assert slopes.abs().max() > 0.1
    noise.silence()
    torch.testing.assert_close(ByHand(net)(x), Plain(net)(x), rtol=1e-4, atol=1e-5)


@HEADS
@SPACES
def test_in_bfloat16_they_are_as_close_to_float32_as_autocasts(space: gym.Space[Any], fields: dict[str, Any]) -> None:
    net = network(space, **fields)
    Noise([net], torch.Generator().manual_seed(1)).draw()
    x = observations(space, num=32)
    exact, slopes = gradient_of(Plain(net), net, x)
    for compute in (Rounded(net), ByHand(net, in_bfloat16=True)):
        found, own = gradient_of(compute, net, x)
        assert (found - exact).norm() < 0.02 * exact.norm()
        assert (own - slopes).norm() < 0.06 * slopes.norm()


@pytest.mark.parametrize("in_bfloat16", [False, True])
@HEADS
@SPACES
def test_rows_that_were_asked_by_the_way_are_in_no_gradient(
    space: gym.Space[Any], fields: dict[str, Any], in_bfloat16: bool
) -> None:
    net = network(space, **fields)
    Noise([net], torch.Generator().manual_seed(1)).draw()
    compute, x = ByHand(net, in_bfloat16=in_bfloat16), observations(space, num=12)
    found = []
    with torch.no_grad():
        for narrows in (False, True):
            outputs = compute(x if narrows else x[:5])
            if narrows:
                compute.narrow(5)
            gradient = Gradient(net.parameters())
            compute.backward(torch.ones_like(outputs[:5]), gradient)
            found.append((outputs[:5].float(), gradient.values))
    for alone, among_others in zip(*found, strict=True):
        assert (alone - among_others).norm() <= (1e-2 if in_bfloat16 else 1e-5) * alone.norm()
        assert alone.norm() > 0.1


@pytest.mark.parametrize("in_bfloat16", [False, True])
def test_every_change_in_place_is_noticed(in_bfloat16: bool) -> None:
    net = network(PLANES, dueling=True, noise=0.5)
    noise = Noise([net], torch.Generator().manual_seed(1))
    kept, x = ByHand(net, in_bfloat16=in_bfloat16), observations(PLANES)
    seen = []
    with torch.no_grad():
        for change in (noise.draw, noise.draw, noise.silence, *(lambda p=p: p.mul_(1.5) for p in net.parameters())):
            change()
            with torch.inference_mode():
                seen.append(kept(x).clone())
            assert torch.equal(seen[-1], ByHand(net, in_bfloat16=in_bfloat16)(x))
    for one, other in pairwise(seen[:4]):
        assert not torch.equal(one, other)


def test_two_who_draw_noise_for_one_network_are_told_apart() -> None:
    net = network(VECTORS, noise=0.5)
    one, other = (Noise([net], torch.Generator().manual_seed(seed)) for seed in (1, 2))
    kept, x = ByHand(net), observations(VECTORS)
    with torch.no_grad():
        for noise in (one, other):
            noise.draw()
            assert torch.equal(kept(x), ByHand(net)(x))


def test_only_what_was_called_with_gradients_on_is_differentiated() -> None:
    net = network(VECTORS)
    compute, x = ByHand(net), observations(VECTORS)
    loss = compute(x).sum()
    with torch.no_grad():
        compute(x)
    with pytest.raises(AssertionError, match="with gradients off"):
        compute.differentiate(loss, Gradient(net.parameters()))


def test_what_can_not_be_computed_by_hand_is_named() -> None:
    assert why_not_by_hand(network(PICTURES, dueling=True, noise=0.5), "cpu") is None
    assert why_not_by_hand(network(PICTURES), "cuda") == "it is for the processor, not for cuda"
    norm = normalised_q_network(VECTORS, 3, (8,), torch.Generator())
    assert str(why_not_by_hand(norm, "cpu")).startswith("it does not know LayerNorm")
    for odd in (nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, padding="same"), nn.Linear(3, 3, bias=False)):
        assert str(why_not_by_hand(nn.Sequential(odd), "cpu")).startswith("it does not know")


# ---- Kernels. -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("filters", "kernel", "columns"), [(16, 3, 4), (3, 1, 1), (5, 2, 4), (2, 5, 8)])
def test_a_convolution_of_planes_is_torchs(filters: int, kernel: int, columns: int) -> None:
    rng = np.random.default_rng(kernel)
    planes = (rng.random((4, 3, 7, 6)) < 0.3).astype(np.uint8)
    weight = torch.from_numpy(rng.normal(size=(filters, 3, kernel, kernel)).astype(np.float32)).requires_grad_()
    bias = torch.from_numpy(rng.normal(size=filters).astype(np.float32)).requires_grad_()
    expected = nn.functional.conv2d(torch.from_numpy(planes).float(), weight, bias)  # [N, O, Y, X]
    by_place = np.zeros((3, kernel, columns, filters), np.float32)
    by_place[:, :, :kernel] = weight.detach().numpy().transpose(1, 2, 3, 0)[:, :, ::-1]
    flat, frame = by_place.reshape(3, kernel, -1), np.full((7 + kernel - 1, (6 + columns - 1) * filters), np.float32(9))
    features = np.empty((4, filters, (8 - kernel) * (7 - kernel)), np.float32)
    convolve(planes, flat, bias.detach().numpy(), frame, features)
    np.testing.assert_allclose(features, expected.detach().flatten(2).numpy(), rtol=1e-4, atol=1e-5)
    slopes = torch.from_numpy(rng.normal(size=expected.shape).astype(np.float32))
    expected.backward(slopes)  # type: ignore[no-untyped-call]  # torch has no annotation for it
    of_weight, of_bias = np.full(flat.shape, np.float32(9)), np.full(filters, np.float32(9))
    convolve_backward(planes, slopes.flatten(2).numpy(), frame, of_weight, of_bias)
    assert weight.grad is not None
    assert bias.grad is not None
    found = of_weight.reshape(by_place.shape)[:, :, :kernel][:, :, ::-1].transpose(3, 0, 1, 2)
    np.testing.assert_allclose(found, weight.grad.numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(of_bias, bias.grad.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kernel", "stride", "sides"), [(8, 4, (21, 30)), (4, 2, (9, 8)), (3, 3, (7, 11))])
def test_a_convolution_over_squares_is_torchs(kernel: int, stride: int, sides: tuple[int, int]) -> None:
    layer = nn.Conv2d(3, 5, kernel, stride)
    assert BlocksConvolution.can(layer)
    parameters, gradient = Parameters(layer, in_bfloat16=True), Gradient(layer.parameters())
    stage, pictures = BlocksConvolution(layer, parameters, relu=True), torch.randint(0, 256, (4, 3, *sides)).byte()
    with torch.no_grad():
        found = stage.forward(Blocks(layer)(pictures)).float()
        expected = layer(pictures.float() / 255).relu()
        assert found.shape == expected.shape
        assert (found - expected).norm() < 0.01 * expected.norm()
        slopes = torch.randn_like(expected)
        stage.backward(slopes.bfloat16(), gradient, onwards=False)
    passed = layer(pictures.float() / 255) * (found > 0)  # what is near zero may be rounded to either side
    exact = torch.autograd.grad((passed * slopes).sum(), list(layer.parameters()))
    for part, own in zip(layer.parameters(), exact, strict=True):
        assert (gradient.of(part) - own).norm() < 0.01 * own.norm()


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(1, 1, 3, 2), nn.Conv2d(1, 1, 2), nn.Conv2d(1, 1, 4, 2, padding=1)], ids=str
)
def test_other_convolutions_are_not_over_squares(layer: nn.Conv2d) -> None:
    assert not BlocksConvolution.can(layer)


def test_a_convolution_with_a_stride_is_not_one_of_planes() -> None:
    assert PlanesConvolution.can(nn.Conv2d(4, 16, 3))
    for odd in (nn.Conv2d(4, 16, 3, stride=2), nn.Conv2d(4, 16, 3, padding=1), nn.Conv2d(4, 16, (3, 2))):
        assert not PlanesConvolution.can(odd)


def test_noise_is_added_and_differentiated_as_written() -> None:
    rng = np.random.default_rng(0)
    mean, size = rng.normal(size=(2, 5, 4)).astype(np.float32)
    noise_in, noise_out = rng.normal(size=4).astype(np.float32), rng.normal(size=5).astype(np.float32)
    found = np.empty_like(mean)
    mix(mean, size, noise_in, noise_out, found)
    np.testing.assert_allclose(found, mean + size * np.outer(noise_out, noise_in), rtol=1e-5)
    slopes_of_size(mean, noise_in, noise_out, found)
    np.testing.assert_allclose(found, mean * np.outer(noise_out, noise_in), rtol=1e-5)


# ---- Adam in one vector. --------------------------------------------------------------------------------------------


def test_adam_in_one_vector_makes_the_steps_of_torchs_and_goes_on_from_its_states() -> None:
    net = network(PICTURES)
    theirs = copy.deepcopy(net)
    gradient = Gradient(net.parameters())
    settings: dict[str, Any] = {"lr": 0.01, "eps": 1e-3}
    own = FlatAdam(net.parameters(), gradient, **settings)
    torchs = torch.optim.Adam(theirs.parameters(), fused=True, **settings)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        gradient.set([torch.randn(p.shape, generator=generator) for p in net.parameters()])
        for parameter, same in zip(net.parameters(), theirs.parameters(), strict=True):
            assert parameter.grad is not None
            same.grad = parameter.grad.clone()
        own.step()
        torchs.step()

    assert optimizer_state(own) == {}
    for _ in range(3):
        step()
    before = copy.deepcopy(optimizer_state(own))
    assert before.keys() == optimizer_state(torchs).keys()
    load_optimizer_state(torchs, before)
    step()
    load_optimizer_state(own, before)  # back, and the same step again
    load_optimizer_state(torchs, before)
    assert float(optimizer_state(own)["0"]["step"]) == 3
    step()
    for parameter, same in zip(net.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(parameter, same, rtol=1e-6, atol=1e-7)
        assert parameter.stride() == same.stride()
    load_optimizer_state(own, {})
    load_optimizer_state(torchs, {})
    step()
    for parameter, same in zip(net.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(parameter, same, rtol=1e-6, atol=1e-7)
