"""Kernels of a multi-layer perceptron on the processor: forward, backward, and the optimizers' steps.

All parameters lie in one vector of float32, layer after layer, each its weights [M, K] and then its biases [M], in the
order and layout of torch's `nn.Linear`. So do gradients and moments: an optimizer is one loop over P numbers. Between
two layers there is a ReLU. The products are BLAS's, by `np.dot`; buffers are the caller's and are reused.

Shape letters: N rows of a batch, K inputs of a layer, M outputs, P parameters, L layers, D = sum of all layers' M.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit

_Ints: TypeAlias = NDArray[np.int64]
_Singles: TypeAlias = NDArray[np.float32]

# Sums may be taken in any order, so that they go in vectors. NaN and infinity stay what they are.
_SUMS = {"reassoc", "contract", "nsz"}


@njit
def count_parameters(sizes: _Ints) -> int:
    """Return P of layers of `sizes` [L + 1]: the inputs, and each layer's outputs."""
    total = 0
    for layer in range(sizes.size - 1):
        total += (sizes[layer] + 1) * sizes[layer + 1]
    return total


@njit(fastmath=_SUMS)
def forward(parameters: _Singles, sizes: _Ints, inputs: _Singles, outputs: _Singles) -> None:
    """Compute each layer's outputs, ReLU applied except to the last.

    Args:
        parameters: [P].
        sizes: [L + 1].
        inputs: [N, K of the first layer].
        outputs: Out, at least [N * D]: layer after layer, each [N, M].
    """
    rows = inputs.shape[0]
    num_layers = sizes.size - 1
    x = inputs
    weight, start = 0, 0
    for layer in range(num_layers):
        k, m = sizes[layer], sizes[layer + 1]
        bias = weight + k * m
        y = outputs[start : start + rows * m].reshape((rows, m))
        np.dot(x, parameters[weight:bias].reshape((m, k)).T, y)
        b = parameters[bias : bias + m]
        if layer + 1 < num_layers:
            for n in range(rows):
                for j in range(m):
                    value = y[n, j] + b[j]
                    y[n, j] = value if value > 0 else np.float32(0) * value  # a NaN stays one, as in torch
        else:
            for n in range(rows):
                for j in range(m):
                    y[n, j] += b[j]
        x = y
        weight, start = bias + m, start + rows * m


@njit(fastmath=_SUMS)
def backward(
    parameters: _Singles, sizes: _Ints, inputs: _Singles, outputs: _Singles, slopes: _Singles, gradient: _Singles
) -> None:
    """Compute the gradient of a sum over rows whose slopes by the network's outputs are given.

    Units that are silent in the whole batch (a third of those of a trained network's last hidden layer, on CartPole)
    are left out of the products: what they would add is zero.

    Args:
        parameters: [P].
        sizes: [L + 1].
        inputs: [N, K of the first layer].
        outputs: At least [N * D], as `forward` left them; then scratch.
        slopes: At least [N * D], laid out like `outputs`. In: the last layer's, [N, M]. Out: all layers' before ReLU.
        gradient: Out, [P].
    """
    rows = inputs.shape[0]
    num_layers = sizes.size - 1
    weight, start = gradient.size, 0
    for layer in range(1, sizes.size):
        start += rows * sizes[layer]
    for layer in range(num_layers - 1, -1, -1):
        k, m = sizes[layer], sizes[layer + 1]
        start -= rows * m
        weight -= (k + 1) * m
        bias = weight + k * m
        slope = slopes[start : start + rows * m].reshape((rows, m))
        _sum_rows(slope, gradient[bias : bias + m])
        x = inputs if layer == 0 else outputs[start - rows * k : start].reshape((rows, k))
        weights = parameters[weight:bias].reshape((m, k))
        product = gradient[weight:bias].reshape((m, k))
        heard = np.arange(m)
        if layer + 1 < num_layers:
            heard = _heard(slope)
            if heard.size < m:
                slope = _pack(slope, heard, outputs[start : start + rows * heard.size])  # no longer needed
                weights = product[: heard.size]  # scratch until the product is there
                for i in range(heard.size):
                    weights[i] = parameters[weight + heard[i] * k : weight + (heard[i] + 1) * k]
                product = product[: heard.size]
        if layer > 0:
            before = slopes[start - rows * k : start].reshape((rows, k))
            np.dot(slope, weights, before)
            for n in range(rows):
                for i in range(k):
                    before[n, i] = before[n, i] if x[n, i] > 0 else np.float32(0)
        np.dot(slope.T, x, product)
        if heard.size < m:
            _spread(gradient[weight:bias].reshape((m, k)), heard)


@njit
def _heard(slope: _Singles) -> _Ints:
    """Return the columns of a matrix [N, M] that are not all zeros, in order; the first one if all are."""
    some = np.zeros(slope.shape[1], np.bool_)
    for n in range(slope.shape[0]):
        for j in range(some.size):
            some[j] |= slope[n, j] != 0
    some[0] |= not some.any()
    return np.flatnonzero(some)


@njit
def _pack(matrix: _Singles, columns: _Ints, room: _Singles) -> _Singles:
    """Return some columns of a matrix [N, M] as a matrix of their own, written to `room`."""
    packed = room.reshape((matrix.shape[0], columns.size))
    for n in range(matrix.shape[0]):
        for i in range(columns.size):
            packed[n, i] = matrix[n, columns[i]]
    return packed


@njit(makes_arrays=False)
def _spread(matrix: _Singles, rows: _Ints) -> None:
    """Move the first rows of a matrix [M, K] to `rows`, which are in order, and make the others zero, in place."""
    i = rows.size - 1
    for j in range(matrix.shape[0] - 1, -1, -1):
        moved = i >= 0 and rows[i] == j
        for k in range(matrix.shape[1]):
            matrix[j, k] = matrix[i, k] if moved else np.float32(0)
        if moved:
            i -= 1


@njit
def _sum_rows(matrix: _Singles, total: _Singles) -> None:
    """Write the sum of a matrix's rows [N, M] to `total` [M]."""
    total[:] = 0
    for n in range(matrix.shape[0]):
        for j in range(total.size):
            total[j] += matrix[n, j]


@njit(fastmath=_SUMS, makes_arrays=False)
def clip_norm(gradient: _Singles, largest: float) -> None:
    """Scale a gradient [P] down to a norm of at most `largest`, as torch's `clip_grad_norm_` does, in place."""
    square = np.float32(0)
    for i in range(gradient.size):
        square += gradient[i] * gradient[i]
    factor = np.float32(largest) / (np.sqrt(square) + np.float32(1e-6))
    if factor < 1 or np.isnan(factor):
        for i in range(gradient.size):
            gradient[i] *= factor


@njit(makes_arrays=False)
def adam(
    parameters: _Singles,
    gradient: _Singles,
    mean: _Singles,
    square: _Singles,
    count: int,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None:
    """Make a step of Adam (Kingma and Ba 2015, algorithm 1), epsilon outside the root, in place.

    Args:
        parameters: [P].
        gradient: [P].
        mean: [P], the first moments.
        square: [P], the second moments.
        count: The number of this step, from 1.
        learning_rate: Step size.
        beta_1: Decay of the first moments.
        beta_2: Decay of the second moments.
        epsilon: Added to the root of the corrected second moments.
    """
    size = np.float32(learning_rate / (1 - beta_1**count))
    root = np.float32(1 / np.sqrt(1 - beta_2**count))
    keep_1, take_1 = np.float32(beta_1), np.float32(1 - beta_1)
    keep_2, take_2 = np.float32(beta_2), np.float32(1 - beta_2)
    small = np.float32(epsilon)
    for i in range(parameters.size):
        g = gradient[i]
        mean[i] = keep_1 * mean[i] + take_1 * g
        square[i] = keep_2 * square[i] + take_2 * g * g
        parameters[i] -= size * mean[i] / (np.sqrt(square[i]) * root + small)


@njit(makes_arrays=False)
def centred_rmsprop(
    parameters: _Singles,
    gradient: _Singles,
    mean: _Singles,
    square: _Singles,
    learning_rate: float,
    decay: float,
    epsilon: float,
) -> None:
    """Make a step of RMSProp with centred second moments, epsilon under the root, in place.

    The formula and its source are those of `tengen.perception.optimizers.CentredRMSprop`.

    Args:
        parameters: [P].
        gradient: [P].
        mean: [P], of the gradient.
        square: [P], of the gradient's squares.
        learning_rate: Step size.
        decay: Of both moments.
        epsilon: Added to the variance.
    """
    size, keep, take = np.float32(learning_rate), np.float32(decay), np.float32(1 - decay)
    small = np.float32(epsilon)
    for i in range(parameters.size):
        g = gradient[i]
        mean[i] = mean[i] + take * (g - mean[i])
        square[i] = keep * square[i] + take * g * g
        parameters[i] -= size * g / np.sqrt(square[i] - mean[i] * mean[i] + small)


@njit(makes_arrays=False)
def blend(parameters: _Singles, others: _Singles, share: float) -> None:
    """Move parameters [P] towards others by a share of the way, in place: torch's `lerp_`, whose formula this is."""
    weight = np.float32(share)
    if weight < np.float32(0.5):
        for i in range(parameters.size):
            parameters[i] += weight * (others[i] - parameters[i])
    else:
        for i in range(parameters.size):
            parameters[i] = others[i] - (others[i] - parameters[i]) * (np.float32(1) - weight)
