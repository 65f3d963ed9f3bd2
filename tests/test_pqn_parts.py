"""PQN's parts: normalised networks, and rectified Adam against a slow twin and torch's own."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tengen.perception.normalised import ChannelNorm, normalised_q_network, with_layer_norm
from tengen.perception.radam import RAdam, rectification
from tengen.perception.torch_state import load_optimizer_state, optimizer_state

VECTOR = gym.spaces.Box(-1, 1, (3,), np.float32)
PLANES = gym.spaces.Box(0, 1, (4, 10, 10), np.uint8)
PIXELS = gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def kinds(network: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in network.modules() if not list(layer.children())]


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (VECTOR, ["Flatten", "Linear", "LayerNorm", "ReLU", "Linear", "LayerNorm", "ReLU", "Linear"]),
        (
            PLANES,
            ["Planes", "Conv2d", "LayerNorm", "ReLU", "Flatten", *["Linear", "LayerNorm", "ReLU"] * 2, "Linear"],
        ),
        (
            PIXELS,
            ["Pixels", *["Conv2d", "LayerNorm", "ReLU"] * 3, "Flatten", *["Linear", "LayerNorm", "ReLU"] * 2, "Linear"],
        ),
        (gym.spaces.Discrete(5), ["OneHot", *["Linear", "LayerNorm", "ReLU"] * 2, "Linear"]),
    ],
)
def test_each_hidden_layer_is_normalised_before_its_relu_and_the_output_is_not(space: Any, expected: list[str]) -> None:
    network = normalised_q_network(space, 6, (16, 8), generator())
    assert kinds(network) == expected
    without = normalised_q_network(space, 6, (16, 8), generator(), layer_norm=False)
    assert kinds(without) == [kind for kind in expected if kind != "LayerNorm"]
    space.seed(0)
    observation = torch.from_numpy(np.stack([space.sample() for _ in range(7)]))
    assert network(observation).shape == without(observation).shape == (7, 6)


def test_a_pictures_channels_are_normalised_at_each_position() -> None:
    pictures = torch.randn(2, 16, 3, 5, generator=generator())
    norm = ChannelNorm(16)
    nn.init.constant_(norm.norm.weight, 2.0)
    nn.init.constant_(norm.norm.bias, 1.0)
    mean, var = pictures.mean(1, keepdim=True), pictures.var(1, keepdim=True, unbiased=False)
    torch.testing.assert_close(norm(pictures), 2 * (pictures - mean) / (var + 1e-5).sqrt() + 1)


def test_the_size_of_a_hidden_layers_weights_does_not_matter() -> None:
    first, *rest = with_layer_norm([nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 2)])
    network, x = nn.Sequential(first, *rest), torch.randn(5, 3, generator=generator())
    before = network(x)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.mul_(100)
    torch.testing.assert_close(network(x), before, atol=1e-3, rtol=1e-3)


def test_weights_are_drawn_by_the_generator_with_the_variances_of_he_and_lecun() -> None:
    network, again = (normalised_q_network(VECTOR, 400, (500, 400), generator()) for _ in range(2))
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    for layer, gain in zip(linear, (2, 2, 1), strict=True):
        assert layer.weight.var().item() == pytest.approx(gain / layer.in_features, rel=0.1)
        assert not layer.bias.any()
    assert all(torch.equal(one, two) for one, two in zip(network.parameters(), again.parameters(), strict=True))


# --- Rectified Adam ---


def slow_radam(theta: float, gradients: list[float], rates: list[float]) -> list[float]:
    """Liu et al. (2020), algorithm 2, with Adam's epsilon of 1e-8."""
    beta1, beta2, m, v, path = 0.9, 0.999, 0.0, 0.0, []
    rho_inf = 2 / (1 - beta2) - 1
    for t, (g, alpha) in enumerate(zip(gradients, rates, strict=True), 1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        m_hat = m / (1 - beta1**t)
        rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        if rho > 5:
            r = ((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5
            theta -= alpha * r * m_hat / ((v / (1 - beta2**t)) ** 0.5 + 1e-8)
        else:
            theta -= alpha * m_hat
        path.append(theta)
    return path


def parameters(seed: int = 0) -> list[Tensor]:
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.normal(size=shape)).float().requires_grad_() for shape in ((3, 2), (4,))]


def test_it_is_the_papers_algorithm() -> None:
    rng = np.random.default_rng(0)
    gradients, rates = rng.normal(size=40), rng.uniform(0.1, 0.2, size=40)
    theta = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    optimizer, path = RAdam([theta], 0.1), []
    for gradient, rate in zip(gradients, rates, strict=True):
        theta.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        assert optimizer.param_groups[0]["lr"] == rate
        path.append(theta.item())
    np.testing.assert_allclose(path, slow_radam(0.5, gradients.tolist(), rates.tolist()), rtol=1e-6)


def test_it_agrees_with_torchs_own() -> None:
    ours, theirs, rng = parameters(), parameters(), np.random.default_rng(1)
    optimizers = RAdam(ours, 1e-2), torch.optim.RAdam(theirs, 1e-2)
    for _ in range(60):
        for one, two in zip(ours, theirs, strict=True):
            one.grad = torch.from_numpy(rng.normal(size=one.shape)).float()
            two.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("half", [3, 5, 20])
def test_it_goes_on_from_a_state_bit_for_bit(half: int) -> None:
    def go(theta: list[Tensor], optimizer: RAdam, start: int, stop: int) -> None:
        for t in range(start, stop):
            for parameter in theta:
                parameter.grad = torch.full_like(parameter, float(t % 7) - 2.5)
            optimizer.step()

    whole = parameters()
    go(whole, RAdam(whole, 1e-2), 0, 2 * half)
    first = parameters()
    began = RAdam(first, 1e-2)
    go(first, began, 0, half)
    second = [parameter.detach().clone().requires_grad_() for parameter in first]
    goes_on = RAdam(second, 1e-2)
    goes_on.step()  # without gradients: nothing moves
    load_optimizer_state(goes_on, optimizer_state(began))
    go(second, goes_on, half, 2 * half)
    assert all(torch.equal(one, two) for one, two in zip(whole, second, strict=True))


def test_the_step_size_is_rectified_from_the_sixth_step_on() -> None:
    factors = [rectification(t, 0.999) for t in range(1, 20_001)]
    assert factors[:5] == [0.0] * 5
    assert all(0 < one < two < 1 for one, two in pairwise(factors[5:10_000]))
    assert factors[-1] == pytest.approx(1.0, abs=1e-4)
