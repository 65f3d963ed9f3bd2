"""Kernels of deep Q-learning with a multi-layer perceptron: choose actions, and make one whole update.

The network's layout is that of `tengen.perception._mlp_kernels`. An update is one call with plain arrays: to unbox a
NamedTuple of them takes longer than all but the products of matrices.

Shape letters: B rows acted for, N transitions, A actions, P parameters, L layers, D = sum of all layers' outputs.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit
from tengen.perception._mlp_kernels import adam, backward, blend, centred_rmsprop, clip_norm, forward

_Bools: TypeAlias = NDArray[np.bool_]
_Ints: TypeAlias = NDArray[np.int64]
_Singles: TypeAlias = NDArray[np.float32]

HUBER, SQUARED = range(2)
ADAM, RMSPROP = range(2)


@njit(makes_arrays=False)
def best_action(q: _Singles, n: int, legal: _Bools) -> int:
    """Return the first of the legal actions of the greatest value in row n of q [N, A]; a NaN counts as the greatest.

    Args:
        q: [N, A].
        n: The row.
        legal: [N, A], or [0, 0] where all actions are legal.
    """
    masked = legal.size > 0
    best, value = -1, np.float32(0)
    for a in range(q.shape[1]):
        if masked and not legal[n, a]:
            continue
        if best < 0 or q[n, a] > value or (np.isnan(q[n, a]) and not np.isnan(value)):
            best, value = a, q[n, a]
    return best


@njit
def values(parameters: _Singles, sizes: _Ints, inputs: _Singles, outputs: _Singles) -> _Singles:
    """Return the network's last outputs [N, A], which lie in `outputs`.

    Args:
        parameters: [P].
        sizes: [L + 1].
        inputs: [N, K].
        outputs: Modified, at least [N * D].
    """
    forward(parameters, sizes, inputs, outputs)
    rows, num_actions = inputs.shape[0], sizes[-1]
    start = 0
    for layer in range(1, sizes.size - 1):
        start += rows * sizes[layer]
    return outputs[start : start + rows * num_actions].reshape((rows, num_actions))


@njit
def act(parameters: _Singles, sizes: _Ints, inputs: _Singles, outputs: _Singles, legal: _Bools, actions: _Ints) -> None:
    """Choose the greedy action of each row.

    Args:
        parameters: [P].
        sizes: [L + 1].
        inputs: [B, K].
        outputs: Modified, at least [B * D].
        legal: [B, A], or [0, 0].
        actions: Out, [B].
    """
    q = values(parameters, sizes, inputs, outputs)
    for n in range(actions.size):
        actions[n] = best_action(q, n, legal)


@njit(makes_arrays=False)
def q_loss(
    q: _Singles,
    action: _Ints,
    target: _Singles,
    weights: _Singles,
    loss: int,
    slopes: _Singles,
    errors: _Singles,
) -> tuple[float, float]:
    """Return the mean of weight * f(target - q of its action), and the mean q of the actions.

    f is Huber's loss, the error clipped to [-1, 1] in its slope, or the square.

    Args:
        q: [N, A].
        action: [N].
        target: [N].
        weights: [N], or [0] where all are 1.
        loss: HUBER or SQUARED.
        slopes: Out, [N, A], the loss's derivatives by q.
        errors: Out, [N], |target - q|.
    """
    rows, num_actions = q.shape
    share = np.float32(1) / np.float32(rows)
    total, total_q = 0.0, 0.0
    for n in range(rows):
        chosen = q[n, action[n]]
        difference = chosen - target[n]
        size = abs(difference)
        if loss == SQUARED:
            cost, slope = difference * difference, np.float32(2) * difference
        elif size < 1:
            cost, slope = np.float32(0.5) * difference * difference, difference
        else:
            cost, slope = size - np.float32(0.5), difference / size
        weight = weights[n] if weights.size > 0 else np.float32(1)
        for a in range(num_actions):
            slopes[n, a] = 0
        slopes[n, action[n]] = weight * slope * share
        errors[n] = size
        total += weight * cost
        total_q += chosen
    return total / rows, total_q / rows


@njit
def update(
    parameters: _Singles,
    target_parameters: _Singles,
    sizes: _Ints,
    observation: _Singles,
    action: _Ints,
    reward: _Singles,
    bootstrap: _Singles,
    next_observation: _Singles,
    next_legal: _Bools,
    weights: _Singles,
    double: bool,
    loss: int,
    gradient_clip: float,
    optimizer: int,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    count: int,
    mean: _Singles,
    square: _Singles,
    renewed: float,
    outputs: _Singles,
    slopes: _Singles,
    gradient: _Singles,
    target: _Singles,
    errors: _Singles,
) -> tuple[float, float]:
    """Make one update of Q-learning: targets, gradient, optimizer's step, target network. Return (loss, mean q).

    target = reward + bootstrap * q(next, a; target network) (Mnih et al. 2015, equation 2), where a is the greedy
    action of the target network, or with `double` of the online one (van Hasselt et al. 2016, equation 4).

    Args:
        parameters: [P], modified.
        target_parameters: [P], modified; the same array as `parameters` where there is no target network.
        sizes: [L + 1].
        observation: [N, K].
        action: [N].
        reward: [N].
        bootstrap: [N].
        next_observation: [N, K].
        next_legal: [N, A], or [0, 0] where all actions are legal.
        weights: [N], of each transition in the mean, or [0].
        double: Whether the online network chooses.
        loss: HUBER or SQUARED.
        gradient_clip: The gradient's largest norm, or infinity.
        optimizer: ADAM or RMSPROP.
        learning_rate: Step size.
        beta_1: Adam's decay of first moments; RMSProp's of both.
        beta_2: Adam's decay of second moments.
        epsilon: The optimizer's.
        count: The number of this update, from 1.
        mean: [P], first moments, modified.
        square: [P], second moments, modified.
        renewed: The share of the network that goes into the target network after it; 1 copies, 0 leaves it.
        outputs: Scratch, at least [N * D].
        slopes: Scratch, at least [N * D].
        gradient: Out, [P].
        target: Out, [N].
        errors: Out, [N], |target - q|.
    """
    rows = action.size
    if double:
        chooser = values(parameters, sizes, next_observation, outputs)
        valuer = values(target_parameters, sizes, next_observation, slopes)
    else:
        chooser = values(target_parameters, sizes, next_observation, outputs)
        valuer = chooser
    for n in range(rows):
        target[n] = reward[n] + bootstrap[n] * valuer[n, best_action(chooser, n, next_legal)]
    q = values(parameters, sizes, observation, outputs)
    start = 0
    for layer in range(1, sizes.size - 1):
        start += rows * sizes[layer]
    last = slopes[start : start + q.size].reshape(q.shape)
    found = q_loss(q, action, target, weights, loss, last, errors)
    backward(parameters, sizes, observation, outputs, slopes, gradient)
    if gradient_clip < np.inf:
        clip_norm(gradient, gradient_clip)
    if optimizer == ADAM:
        adam(parameters, gradient, mean, square, count, learning_rate, beta_1, beta_2, epsilon)
    else:
        centred_rmsprop(parameters, gradient, mean, square, learning_rate, beta_1, epsilon)
    if renewed == 1.0:
        target_parameters[:] = parameters
    elif renewed > 0.0:
        blend(target_parameters, parameters, renewed)
    return found
