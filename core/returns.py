"""Returns and advantages over windows of time, for every agent; pure functions of numpy arrays, in float64.

Arrays are time-major [T, B]. `reward[t]`, `discount[t]` and `last[t]` are of the TimeStep that followed the action at
time t; `discount` is the TimeStep's own, before `gamma`: 1 when the same side is to move next, -1 when the other side
is, 0 when the episode has terminated. With -1 the values of the other side enter with their sign turned, so that each
backup is negamax.

`next_value[t]` is the value of the observation that followed the action at time t, by the side to move there: the
*final* observation where `last[t]`, never the one after a reset. Where `discount[t]` is 0 it is not read, so it may be
anything there.

Every window is cut where `discount` is 0 (nothing is bootstrapped), at `last` (a truncation bootstraps from the final
observation), and at the end of the arrays (bootstrapping from `next_value[T - 1]`).
"""

from __future__ import annotations

import numpy as np

from tengen.types import Array, Bools, Floats


def n_step_returns(reward: Array, discount: Array, next_value: Array, last: Bools, *, n: int, gamma: float) -> Floats:
    """Return the n-step returns [T, B] (Sutton & Barto 2018, eq. 7.1, with a discount for each step).

    G_t^(1) = r_t + gamma d_t v'_t, and G_t^(n) = r_t + gamma d_t G_{t+1}^(n-1), or G_t^(1) where the window is cut.

    Args:
        reward: [T, B].
        discount: [T, B], in [-1, 1].
        next_value: [T, B].
        last: [T, B].
        n: Rewards summed in each return, at least 1; T or more gives Monte Carlo returns.
        gamma: The discount factor of each step, in [0, 1].

    Raises:
        ValueError: Shapes differ or are not [T, B]; n or gamma is out of range.
    """
    reward, discount, next_value, last = _check(reward, discount, next_value, last)
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    factor = _unit("gamma", gamma) * discount
    one_step = reward + factor * next_value
    returns = one_step
    for _ in range(min(n, len(reward)) - 1):
        longer = one_step.copy()
        longer[:-1] = np.where(last[:-1], one_step[:-1], reward[:-1] + factor[:-1] * returns[1:])
        returns = longer
    return returns


def lambda_returns(
    reward: Array, discount: Array, next_value: Array, last: Bools, *, gamma: float, lambda_: float
) -> Floats:
    """Return the lambda-returns [T, B] (Sutton & Barto 2018, eq. 12.18 in its recursive form).

    G_t = r_t + gamma d_t ((1 - lambda) v'_t + lambda G_{t+1}), or r_t + gamma d_t v'_t where the window is cut.

    Args:
        reward: [T, B].
        discount: [T, B], in [-1, 1].
        next_value: [T, B].
        last: [T, B].
        gamma: The discount factor of each step, in [0, 1].
        lambda_: In [0, 1]: 0 gives one-step returns, 1 Monte Carlo returns.

    Raises:
        ValueError: Shapes differ or are not [T, B]; gamma or lambda is out of range.
    """
    reward, discount, next_value, last = _check(reward, discount, next_value, last)
    factor = _unit("gamma", gamma) * discount
    lambda_ = _unit("lambda", lambda_)
    returns = reward + factor * next_value
    for t in range(len(reward) - 2, -1, -1):
        mixed = reward[t] + factor[t] * ((1.0 - lambda_) * next_value[t] + lambda_ * returns[t + 1])
        returns[t] = np.where(last[t], returns[t], mixed)
    return returns


def generalized_advantages(
    reward: Array, discount: Array, value: Array, next_value: Array, last: Bools, *, gamma: float, lambda_: float
) -> Floats:
    """Return the generalized advantage estimates [T, B] (GAE; Schulman et al. 2016, eq. 16).

    A_t = delta_t + gamma lambda d_t A_{t+1}, where delta_t = r_t + gamma d_t v'_t - v_t, or A_t = delta_t where the
    window is cut. Where `next_value[t]` is `value[t + 1]` within episodes, A_t + v_t are the lambda-returns.

    Args:
        reward: [T, B].
        discount: [T, B], in [-1, 1].
        value: [T, B], of the observations acted upon.
        next_value: [T, B].
        last: [T, B].
        gamma: The discount factor of each step, in [0, 1].
        lambda_: In [0, 1]: 0 gives one-step errors, 1 Monte Carlo returns less values.

    Raises:
        ValueError: Shapes differ or are not [T, B]; gamma or lambda is out of range.
    """
    reward, discount, next_value, last = _check(reward, discount, next_value, last)
    value = np.asarray(value, np.float64)
    if value.shape != reward.shape:
        raise ValueError(f"value has the shape {value.shape}, expected {reward.shape} like the rewards")
    factor = _unit("gamma", gamma) * discount
    lambda_ = _unit("lambda", lambda_)
    advantages = reward + factor * next_value - value
    for t in range(len(reward) - 2, -1, -1):
        advantages[t] += np.where(last[t], 0.0, factor[t] * lambda_ * advantages[t + 1])
    return advantages


def _check(reward: Array, discount: Array, next_value: Array, last: Array) -> tuple[Floats, Floats, Floats, Bools]:
    """Return the arrays as float64 and bool, `next_value` with 0 where nothing follows."""
    if reward.ndim != 2:
        raise ValueError(f"rewards must be [T, B], got the shape {reward.shape}")
    for name, array in (("discount", discount), ("next_value", next_value), ("last", last)):
        if array.shape != reward.shape:
            raise ValueError(f"{name} has the shape {array.shape}, expected {reward.shape} like the rewards")
    discount = np.asarray(discount, np.float64)
    next_value = np.where(discount == 0.0, 0.0, np.asarray(next_value, np.float64))
    return np.asarray(reward, np.float64), discount, next_value, np.asarray(last, np.bool_)


def _unit(name: str, number: float) -> float:
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{name} must be from 0 to 1, got {number}")
    return number
