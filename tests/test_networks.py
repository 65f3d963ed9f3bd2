"""Noisy layers, dueling streams, and what Pop-Art needs of them."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tengen.perception.layers import Dueling, Noise, NoisyLinear, output_layers
from tengen.perception.networks import initialise, q_network

VECTORS = gym.spaces.Box(-1, 1, (6,), np.float32)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noisy_layer(in_features: int = 6, out_features: int = 5, sigma: float = 0.5) -> NoisyLinear:
    layer = NoisyLinear(in_features, out_features, sigma)
    initialise(layer, generator())
    with torch.no_grad():  # sizes that differ, so that a transposed or a missing one shows
        layer.weight_sigma.mul_(torch.rand(layer.weight_sigma.shape, generator=generator(1)) + 0.5)
        layer.bias_sigma.mul_(torch.rand(layer.bias_sigma.shape, generator=generator(2)) + 0.5)
    return layer


def network(**fields: Any) -> nn.Sequential:
    return q_network(VECTORS, 3, (8, 4), generator(), **fields)


def noise_of(layer: NoisyLinear) -> tuple[Tensor, Tensor]:
    assert layer.noise is not None
    return layer.noise[0].clone(), layer.noise[1].clone()


def test_a_noisy_layer_is_linear_with_the_noisy_matrix_written_out() -> None:
    """Fortunato et al. (2018), equation 9: y = (mu_w + sigma_w * eps_w) x + mu_b + sigma_b * eps_b, 10 and 11."""
    layer = noisy_layer()
    Noise([layer], generator(3)).draw()
    f_in, f_out = noise_of(layer)
    weight = torch.empty(5, 6)
    for j in range(5):
        for i in range(6):
            weight[j, i] = layer.weight[j, i] + layer.weight_sigma[j, i] * f_in[i] * f_out[j]
    bias = layer.bias + layer.bias_sigma * f_out
    x = torch.randn(7, 6, generator=generator(4))
    torch.testing.assert_close(layer(x), x @ weight.T + bias)


def test_noise_reaches_the_gradients_of_means_and_sizes() -> None:
    layer = noisy_layer()
    Noise([layer], generator(3)).draw()
    f_in, f_out = noise_of(layer)
    x = torch.randn(7, 6, generator=generator(4))
    layer(x).sum().backward()
    torch.testing.assert_close(layer.weight.grad, x.sum(0).expand(5, 6))
    torch.testing.assert_close(layer.weight_sigma.grad, f_out[:, None] * (x.sum(0) * f_in))
    torch.testing.assert_close(layer.bias_sigma.grad, 7 * f_out)


def test_silence_leaves_the_means() -> None:
    layer = noisy_layer()
    noise = Noise([layer], generator())
    x = torch.randn(7, 6, generator=generator(4))
    noise.draw()
    assert not torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))
    noise.silence()
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


def test_noise_is_a_normal_number_whose_root_was_taken_with_its_sign() -> None:
    """f(x) = sgn(x) sqrt(|x|): f keeps the sign, and f^2 is |x|, of mean sqrt(2 / pi) and of second moment 1."""
    wide, tall = NoisyLinear(20_000, 1, 0.5), NoisyLinear(1, 20_000, 0.5)
    Noise([wide, tall], generator()).draw()
    for f in (noise_of(wide)[0], noise_of(tall)[1]):
        assert f.mean().item() == pytest.approx(0, abs=5 * 0.8**0.5 / 20_000**0.5)
        assert (f**2).mean().item() == pytest.approx((2 / np.pi) ** 0.5, abs=5 * 0.61 / 20_000**0.5)
        assert (f**4).mean().item() == pytest.approx(1, abs=5 * 2**0.5 / 20_000**0.5)


def test_noise_of_inputs_and_outputs_of_layers_of_networks_and_of_draws_is_independent() -> None:
    first, second = (nn.Sequential(NoisyLinear(500, 500, 0.5), NoisyLinear(500, 500, 0.5)) for _ in range(2))
    noise = Noise([first, second], generator())
    values = []
    for _ in range(2):
        noise.draw()
        values += [part for layer in noise.layers for part in noise_of(layer)]
    correlation = np.corrcoef(torch.stack(values).numpy())
    assert correlation.shape == (16, 16)  # 2 networks of 2 layers of 2 parts, drawn twice
    assert np.abs(correlation - np.eye(16)).max() < 5 / 500**0.5


def test_the_same_generator_gives_the_same_noise() -> None:
    layers = [noisy_layer(), noisy_layer()]
    for layer in layers:
        Noise([layer], generator(7)).draw()
    assert all(torch.equal(a, b) for a, b in zip(noise_of(layers[0]), noise_of(layers[1]), strict=True))


def test_a_noisy_layer_begins_as_the_paper_says() -> None:
    """Section 3.2, factorised: means uniform in +-1/sqrt(p), sizes sigma_0/sqrt(p), with p inputs."""
    layer = NoisyLinear(100, 50, 0.4)
    initialise(layer, generator())
    torch.testing.assert_close(layer.weight_sigma, torch.full((50, 100), 0.04))
    torch.testing.assert_close(layer.bias_sigma, torch.full((50,), 0.04))
    for mean in (layer.weight, layer.bias):
        assert 0.09 < mean.abs().max().item() <= 0.1
    assert layer.weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.05)


def test_every_fully_connected_layer_of_a_noisy_network_is_noisy() -> None:
    for dueling, number in ((False, 3), (True, 5)):
        layers = network(noise=0.5, dueling=dueling).modules()
        assert [type(layer) for layer in layers if hasattr(layer, "in_features")] == [NoisyLinear] * number


def test_the_dueling_output_is_equation_9() -> None:
    """Wang et al. (2016): Q(s, a) = V(s) + A(s, a) - mean over a' of A(s, a'), for each of the M outputs."""
    features, num_actions, num_outputs = torch.randn(5, 6, generator=generator()), 3, 2
    value, advantage = nn.Sequential(nn.Linear(6, num_outputs)), nn.Sequential(nn.Linear(6, num_actions * num_outputs))
    got = Dueling(value, advantage, num_actions)(features)
    v, u = value(features), advantage(features)
    for n in range(5):
        for a in range(num_actions):
            for m in range(num_outputs):
                of_actions = [u[n, b * num_outputs + m].item() for b in range(num_actions)]
                expected = v[n, m].item() + of_actions[a] - sum(of_actions) / num_actions
                assert got[n, a, m].item() == pytest.approx(expected, abs=1e-6)


def test_a_dueling_network_has_a_hidden_layer_of_its_own_in_each_stream() -> None:
    shapes = [tuple(p.shape) for name, p in network(dueling=True, num_outputs=5).named_parameters() if "weight" in name]
    assert shapes == [(8, 6), (4, 8), (5, 4), (4, 8), (15, 4)]


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("num_outputs", [1, 4])
def test_outputs_are_one_row_for_each_action(dueling: bool, num_outputs: int) -> None:
    assert network(dueling=dueling, num_outputs=num_outputs)(torch.zeros(2, 6)).shape == (2, 3, num_outputs)


@pytest.mark.parametrize("noise", [None, 0.5])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("num_outputs", [1, 4])
def test_rescaled_output_layers_give_the_outputs_times_the_factor_plus_the_shift(
    noise: float | None, dueling: bool, num_outputs: int
) -> None:
    q = network(noise=noise, dueling=dueling, num_outputs=num_outputs)
    Noise([q], generator(1)).draw()
    x = torch.randn(9, 6, generator=generator(2))
    before = q(x).detach()
    for layer in output_layers(q):
        layer.rescale(torch.tensor(2.5), torch.tensor(-7.0))
    torch.testing.assert_close(q(x), 2.5 * before - 7.0)


@pytest.mark.parametrize("dueling", [False, True])
def test_a_copy_of_a_noisy_network_has_no_noise_in_common_with_it(dueling: bool) -> None:
    online = network(noise=0.5, dueling=dueling)
    frozen = copy.deepcopy(online)
    x = torch.randn(4, 6, generator=generator(2))
    torch.testing.assert_close(online(x), frozen(x))
    Noise([online, frozen], generator()).draw()
    assert (online(x) - frozen(x)).abs().min() > 1e-4
