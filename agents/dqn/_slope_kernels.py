"""Kernels from a Q-network's outputs to the slopes of the loss by them: greedy action, target, loss and its derivative.

The formulas are those of `losses` and `heads`, which say where they are from; there autograd derives the slopes.

Shape letters: N transitions, A actions, M atoms.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit
from tengen.agents.dqn._q_kernels import best_action, q_loss

_Bools: TypeAlias = NDArray[np.bool_]
_Ints: TypeAlias = NDArray[np.int64]
_Singles: TypeAlias = NDArray[np.float32]


@njit(makes_arrays=False)
def expected_slopes(
    choosing_t: _Singles,
    values_t: _Singles,
    reward: _Singles,
    bootstrap: _Singles,
    legal_t: _Bools,
    values: _Singles,
    action: _Ints,
    weights: _Singles,
    loss: int,
    target: _Singles,
    slopes: _Singles,
    errors: _Singles,
) -> tuple[float, float]:
    """Return the mean loss of expected values, and the mean value of the actions.

    Args:
        choosing_t: Values that choose the next action, [N, A].
        values_t: What it is worth, [N, A].
        reward: [N].
        bootstrap: [N].
        legal_t: [N, A], or [0, 0] where all actions are legal.
        values: Predictions, [N, A].
        action: [N].
        weights: [N], of each transition in the mean, or [0].
        loss: HUBER or SQUARED of `_q_kernels`.
        target: Out, [N].
        slopes: Out, [N, A].
        errors: Out, [N], |target - value|.
    """
    for n in range(action.size):
        target[n] = reward[n] + bootstrap[n] * values_t[n, best_action(choosing_t, n, legal_t)]
    return q_loss(values, action, target, weights, loss, slopes, errors)


@njit(makes_arrays=False)
def categorical_slopes(
    choosing_t: _Singles,
    probability_t: _Singles,
    reward: _Singles,
    bootstrap: _Singles,
    legal_t: _Bools,
    logits: _Singles,
    action: _Ints,
    weights: _Singles,
    support: _Singles,
    target: _Singles,
    slopes: _Singles,
    errors: _Singles,
) -> tuple[float, float, float]:
    """Return the mean cross-entropy of C51 (Bellemare et al. 2017, algorithm 1), and the mean value of the actions.

    And the share of the targets that lies beyond the support.

    Args:
        choosing_t: Values that choose the next action, [N, A].
        probability_t: Of the atoms of its return, [N, A, M].
        reward: [N].
        bootstrap: [N].
        legal_t: [N, A], or [0, 0] where all actions are legal.
        logits: Predictions, [N, A, M].
        action: [N].
        weights: [N], of each transition in the mean, or [0].
        support: The atoms, evenly spaced and rising, [M].
        target: Scratch, [M].
        slopes: Out, [N, A, M].
        errors: Out, [N], the cross-entropies.
    """
    rows, num_atoms = action.size, support.size
    total, total_q, clipped, zero = 0.0, 0.0, 0.0, np.float32(0)
    slopes[:] = 0
    for n in range(rows):
        a_t, a = best_action(choosing_t, n, legal_t), action[n]
        clipped += _project(reward[n], bootstrap[n], probability_t[n, a_t], support, target)
        greatest = logits[n, a, 0]
        for m in range(1, num_atoms):
            greatest = max(greatest, logits[n, a, m])
        mass, mean = zero, zero  # of exponentials, which slopes keep for now
        for m in range(num_atoms):
            slopes[n, a, m] = np.exp(logits[n, a, m] - greatest)
            mass += slopes[n, a, m]
            mean += slopes[n, a, m] * support[m]
        log_mass, entropy, sum_of_target = greatest + np.log(mass), zero, zero
        for m in range(num_atoms):
            entropy -= target[m] * (logits[n, a, m] - log_mass)
            sum_of_target += target[m]
        weight = weights[n] if weights.size > 0 else np.float32(1)
        share = weight / np.float32(rows)
        for m in range(num_atoms):
            slopes[n, a, m] = share * (sum_of_target * slopes[n, a, m] / mass - target[m])
        errors[n] = entropy
        total += float(weight * entropy)
        total_q += float(mean / mass)
    return total / rows, total_q / rows, clipped / rows


@njit(makes_arrays=False)
def _project(
    reward: np.float32, bootstrap: np.float32, probability: _Singles, support: _Singles, target: _Singles
) -> float:
    """Share the atoms reward + bootstrap z with their probabilities [M] out to their neighbours: `losses.project`.

    Return the probability that lay beyond the support.
    """
    last = support.size - 1
    low, high = support[0], support[last]
    spacing = (high - low) / np.float32(last)
    target[:] = 0
    beyond = 0.0
    for m in range(support.size):
        position = reward + bootstrap * support[m]
        if np.isnan(position):
            target[:] = np.nan
            return beyond
        if position < low or position > high:
            beyond += float(probability[m])
        place = (min(max(position, low), high) - low) / spacing
        below = min(int(place), last - 1)
        target[below] += probability[m] * (np.float32(below + 1) - place)
        target[below + 1] += probability[m] * (place - np.float32(below))
    return beyond
