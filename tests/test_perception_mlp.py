"""The kernels of multi-layer perceptrons against plain twins, and against torch and its autograd."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from tengen.perception import _mlp_kernels as kernels
from tengen.perception.networks import mlp
from tengen.perception.optimizers import CentredRMSprop

SHAPES = [(3, 2), (4, 7, 2), (3, 8, 5, 4), (1, 2, 3, 4, 1)]
Singles = NDArray[np.float32]


class Case:
    """A network of torch with random parameters, the same parameters as one vector, and random inputs and slopes."""

    def __init__(self, sizes: tuple[int, ...], num_rows: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.sizes = np.array(sizes)
        count = kernels.count_parameters(self.sizes)
        self.parameters = rng.normal(size=count).astype(np.float32)
        self.network = nn.Sequential(*mlp(sizes[0], sizes[1:-1], sizes[-1]))
        nn.utils.vector_to_parameters(torch.from_numpy(self.parameters.copy()), self.network.parameters())
        self.inputs = rng.normal(size=(num_rows, sizes[0])).astype(np.float32)
        self.slopes_last = rng.normal(size=(num_rows, sizes[-1])).astype(np.float32)
        self.outputs = np.full(num_rows * sum(sizes[1:]), np.nan, np.float32)
        self.slopes = np.full_like(self.outputs, np.nan)
        self.slopes[-num_rows * sizes[-1] :] = self.slopes_last.ravel()
        self.gradient = np.full_like(self.parameters, np.nan)

    def last_outputs(self) -> Singles:
        kernels.forward(self.parameters, self.sizes, self.inputs, self.outputs)
        return self.outputs[-self.slopes_last.size :].reshape(self.slopes_last.shape)


def layers_of(case: Case) -> list[tuple[Singles, Singles]]:
    """Return weights [M, K] and biases [M] of each layer, as they lie in the vector."""
    layers, start = [], 0
    for k, m in zip(case.sizes[:-1], case.sizes[1:], strict=True):
        weights = case.parameters[start : start + k * m].reshape(m, k)
        layers.append((weights, case.parameters[start + k * m : start + (k + 1) * m]))
        start += (k + 1) * m
    assert start == len(case.parameters)
    return layers


@pytest.mark.parametrize("num_rows", [1, 6])
@pytest.mark.parametrize("sizes", SHAPES)
def test_the_outputs_of_all_layers_are_those_of_sums_over_inputs(sizes: tuple[int, ...], num_rows: int) -> None:
    case = Case(sizes, num_rows)
    case.last_outputs()
    x, expected = case.inputs.astype(float), []
    for number, (weights, biases) in enumerate(layers_of(case), start=1):
        x = np.array([[sum(w * v for w, v in zip(row, x_n, strict=True)) for row in weights] for x_n in x]) + biases
        x = x if number == len(sizes) - 1 else np.maximum(x, 0)
        expected.append(x.ravel())
    np.testing.assert_allclose(case.outputs, np.concatenate(expected), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("sizes", SHAPES)
def test_the_gradient_is_that_of_autograd(sizes: tuple[int, ...]) -> None:
    case = Case(sizes, num_rows=9, seed=1)
    outputs = case.network(torch.from_numpy(case.inputs))
    np.testing.assert_allclose(case.last_outputs(), outputs.detach().numpy(), rtol=2e-5, atol=2e-5)
    outputs.backward(torch.from_numpy(case.slopes_last))
    kernels.backward(case.parameters, case.sizes, case.inputs, case.outputs, case.slopes, case.gradient)
    expected = nn.utils.parameters_to_vector([p.grad for p in case.network.parameters() if p.grad is not None])
    np.testing.assert_allclose(case.gradient, expected.numpy(), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("silent", [(0,), (1, 4), (0, 1, 2, 3, 4, 5), (5,)])
def test_units_that_are_silent_in_the_whole_batch_have_no_gradient_and_change_no_other(silent: tuple[int, ...]) -> None:
    case = Case((3, 6, 6, 2), num_rows=5, seed=4)
    for _, biases in layers_of(case)[:2]:
        biases[list(silent)] = -100.0  # far below zero whatever comes in
    nn.utils.vector_to_parameters(torch.from_numpy(case.parameters.copy()), case.network.parameters())
    case.last_outputs()
    kernels.backward(case.parameters, case.sizes, case.inputs, case.outputs, case.slopes, case.gradient)
    case.network(torch.from_numpy(case.inputs)).backward(torch.from_numpy(case.slopes_last))
    expected = nn.utils.parameters_to_vector([p.grad for p in case.network.parameters() if p.grad is not None])
    np.testing.assert_allclose(case.gradient, expected.numpy(), rtol=1e-4, atol=2e-5)
    assert np.all(case.gradient[: 3 * 6].reshape(6, 3)[list(silent)] == 0)


def test_the_gradient_is_the_change_of_the_sum() -> None:
    case = Case((3, 6, 2), num_rows=4, seed=2)
    case.last_outputs()
    kernels.backward(case.parameters, case.sizes, case.inputs, case.outputs, case.slopes, case.gradient)
    gradient, size = case.gradient.copy(), np.float32(1e-2)
    for i in range(len(case.parameters)):
        around = []
        for sign in (1, -1):
            case.parameters[i] += sign * size
            around.append(float((case.last_outputs() * case.slopes_last).sum()))
            case.parameters[i] -= sign * size
        assert gradient[i] == pytest.approx((around[0] - around[1]) / (2 * size), rel=0.02, abs=0.02)


def test_a_diverged_network_gives_nan_as_torch_does() -> None:
    case = Case((2, 3, 1), num_rows=1)
    case.inputs[0, 0] = np.nan
    assert np.isnan(case.last_outputs()).all()
    assert np.isnan(case.network(torch.from_numpy(case.inputs)).detach().numpy()).all()


@pytest.mark.parametrize("largest", [0.5, 1e4])
def test_a_gradient_is_clipped_as_torch_clips_it(largest: float) -> None:
    gradient = np.random.default_rng(0).normal(size=50).astype(np.float32)
    parameters = [nn.Parameter(torch.zeros(20)), nn.Parameter(torch.zeros(30))]
    for parameter, part in zip(parameters, np.split(gradient, [20]), strict=True):
        parameter.grad = torch.from_numpy(part.copy())
    nn.utils.clip_grad_norm_(parameters, largest)
    kernels.clip_norm(gradient, largest)
    grads = [p.grad for p in parameters if p.grad is not None]
    np.testing.assert_allclose(gradient, torch.cat(grads).numpy(), rtol=1e-5)


def descend(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, gradients: Singles) -> None:
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient.copy())
        optimizer.step()


def test_adam_is_torchs() -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=40).astype(np.float32), rng.normal(size=(50, 40)).astype(np.float32)
    gradients[:, :10] *= 1e-6  # where epsilon counts
    parameter = nn.Parameter(torch.from_numpy(start.copy()))
    descend(torch.optim.Adam([parameter], 0.01, betas=(0.8, 0.95), eps=1e-4), parameter, gradients)
    mean, square = np.zeros_like(start), np.zeros_like(start)
    for count, gradient in enumerate(gradients, start=1):
        kernels.adam(start, gradient, mean, square, count, 0.01, 0.8, 0.95, 1e-4)
    np.testing.assert_allclose(start, parameter.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_centred_rmsprop_is_that_of_the_torch_optimizer() -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=40).astype(np.float32), rng.normal(size=(50, 40)).astype(np.float32)
    parameter = nn.Parameter(torch.from_numpy(start.copy()))
    descend(CentredRMSprop([parameter], 0.01, decay=0.9, epsilon=0.01), parameter, gradients)
    mean, square = np.zeros_like(start), np.zeros_like(start)
    for gradient in gradients:
        kernels.centred_rmsprop(start, gradient, mean, square, 0.01, 0.9, 0.01)
    np.testing.assert_allclose(start, parameter.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_blending_is_torchs_lerp(share: float) -> None:
    rng = np.random.default_rng(0)
    here, there = rng.normal(size=(2, 20)).astype(np.float32)
    expected = torch.from_numpy(here.copy()).lerp_(torch.from_numpy(there), share).numpy()
    kernels.blend(here, there, share)
    np.testing.assert_allclose(here, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_scipys_blas_computes_in_one_thread_once_it_was_told_to() -> None:
    asked = """
import ctypes
from tengen.perception import blas
found = blas.use_one_thread()
import scipy.linalg
libraries = {line.split()[-1] for line in open("/proc/self/maps") if "scipy_openblas-" in line}
print(found, [ctypes.CDLL(path).scipy_openblas_get_num_threads() for path in libraries])
"""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True)
    found, threads = done.stdout.split(maxsplit=1)
    if found != "True":
        pytest.skip("scipy was not installed with OpenBLAS")
    assert threads.strip() == "[1]"
