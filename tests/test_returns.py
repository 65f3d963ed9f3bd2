"""Returns and advantages, against sums written out step by step and by small examples worked out by hand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tengen.returns import generalized_advantages, lambda_returns, n_step_returns
from tengen.types import Array, Bools


class Window(NamedTuple):
    reward: Array  # [T, B]
    discount: Array
    next_value: Array
    last: Bools


@st.composite
def windows(draw: st.DrawFn) -> Window:
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    discount = rng.choice([1.0, -1.0, 0.0, 0.4], p=[0.5, 0.2, 0.2, 0.1], size=shape)
    next_value = np.where(discount == 0, np.nan, rng.normal(size=shape))  # nobody may look there
    return Window(rng.normal(size=shape), discount, next_value, rng.random(shape) < 0.2)


def window_end(window: Window, t: int, b: int, n: int) -> int:
    """The last step of the window of n steps that begins at t."""
    end = t
    while end < t + n - 1 and end < len(window.reward) - 1 and not window.last[end, b] and window.discount[end, b] != 0:
        end += 1
    return end


def n_step_return(window: Window, t: int, b: int, n: int, gamma: float) -> float:
    """Sum of discounted rewards to the window's end, and the value there."""
    end = window_end(window, t, b, n)
    total, factor = 0.0, 1.0
    for i in range(t, end + 1):
        total += factor * window.reward[i, b]
        factor *= gamma * window.discount[i, b]
    return total if window.discount[end, b] == 0 else total + factor * window.next_value[end, b]


def lambda_return(window: Window, t: int, b: int, gamma: float, lambda_: float) -> float:
    """The weighted sum of all n-step returns, the longest of which takes the weight that is left."""
    longest = window_end(window, t, b, len(window.reward)) - t + 1
    returns = [n_step_return(window, t, b, n, gamma) for n in range(1, longest + 1)]
    weights = [(1 - lambda_) * lambda_**i for i in range(longest - 1)] + [lambda_ ** (longest - 1)]
    return sum(weight * g for weight, g in zip(weights, returns, strict=True))


def advantage(window: Window, value: Array, t: int, b: int, gamma: float, lambda_: float) -> float:
    """The discounted sum of one-step errors to the window's end."""
    total, factor = 0.0, 1.0
    for i in range(t, window_end(window, t, b, len(window.reward)) + 1):
        total += factor * (n_step_return(window, i, b, 1, gamma) - value[i, b])
        factor *= gamma * lambda_ * window.discount[i, b]
    return total


def each(window: Window) -> list[tuple[int, int]]:
    return list(np.ndindex(*window.reward.shape))


unit = st.sampled_from([0.0, 0.3, 0.9, 1.0])


@given(windows(), st.integers(1, 14), unit)
def test_n_step_returns_are_the_sums_they_stand_for(window: Window, n: int, gamma: float) -> None:
    got = n_step_returns(*window, n=n, gamma=gamma)
    assert got.dtype == np.float64
    for t, b in each(window):
        np.testing.assert_allclose(got[t, b], n_step_return(window, t, b, n, gamma), rtol=1e-12, atol=1e-12)


@given(windows(), unit, unit)
def test_lambda_returns_are_the_weighted_sums_of_n_step_returns(window: Window, gamma: float, lambda_: float) -> None:
    got = lambda_returns(*window, gamma=gamma, lambda_=lambda_)
    assert got.dtype == np.float64
    for t, b in each(window):
        np.testing.assert_allclose(got[t, b], lambda_return(window, t, b, gamma, lambda_), rtol=1e-11, atol=1e-11)


@given(windows(), unit, unit)
def test_generalized_advantages_are_the_sums_of_errors(window: Window, gamma: float, lambda_: float) -> None:
    value = np.random.default_rng(0).normal(size=window.reward.shape)
    got = generalized_advantages(*window[:2], value, *window[2:], gamma=gamma, lambda_=lambda_)
    assert got.dtype == np.float64
    for t, b in each(window):
        np.testing.assert_allclose(got[t, b], advantage(window, value, t, b, gamma, lambda_), rtol=1e-11, atol=1e-11)


@given(windows(), unit, unit)
def test_advantages_and_values_make_lambda_returns_where_values_agree(
    window: Window, gamma: float, lambda_: float
) -> None:
    value = np.random.default_rng(0).normal(size=window.reward.shape)
    next_value = window.next_value.copy()
    next_value[:-1] = np.where(window.last[:-1], next_value[:-1], value[1:])
    window = window._replace(next_value=next_value)
    advantages = generalized_advantages(*window[:2], value, *window[2:], gamma=gamma, lambda_=lambda_)
    expected = lambda_returns(*window, gamma=gamma, lambda_=lambda_)
    np.testing.assert_allclose(advantages + value, expected, rtol=1e-11, atol=1e-11)


def column(*numbers: float) -> Array:
    return np.array(numbers, np.float64)[:, None]


def test_a_truncated_step_takes_the_value_of_its_own_final_observation() -> None:
    window = Window(column(1, 2, 4), column(1, 1, 1), column(10, 20, 40), np.array([[False], [True], [False]]))
    assert n_step_returns(*window, n=3, gamma=0.5).ravel().tolist() == [1 + 0.5 * (2 + 0.5 * 20), 2 + 0.5 * 20, 24.0]
    assert lambda_returns(*window, gamma=0.5, lambda_=1.0).ravel().tolist() == [7.0, 12.0, 24.0]


def test_a_life_loss_cuts_the_return_without_ending_the_episode() -> None:
    window = Window(column(1, 2, 4), column(1, 0, 1), column(10, 99, 40), np.zeros((3, 1), bool))
    assert n_step_returns(*window, n=3, gamma=0.5).ravel().tolist() == [2.0, 2.0, 24.0]


def test_the_other_sides_value_counts_against_the_mover() -> None:
    window = Window(column(0, 0, 1), column(-1, -1, 0), column(0, 0, 0), np.array([[False], [False], [True]]))
    assert n_step_returns(*window, n=3, gamma=1.0).ravel().tolist() == [1.0, -1.0, 1.0]


def test_columns_do_not_mix() -> None:
    window = Window(np.eye(3), np.ones((3, 3)), np.zeros((3, 3)), np.zeros((3, 3), bool))
    assert lambda_returns(*window, gamma=1.0, lambda_=1.0).tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]


def test_inputs_are_left_as_they_are() -> None:
    window = Window(column(1, 2), column(1, 0), column(3, 4), np.array([[False], [True]]))
    before = [array.copy() for array in window]
    n_step_returns(*window, n=2, gamma=0.5)
    lambda_returns(*window, gamma=0.5, lambda_=0.5)
    generalized_advantages(*window[:2], column(0, 0), *window[2:], gamma=0.5, lambda_=0.5)
    for array, copied in zip(window, before, strict=True):
        np.testing.assert_array_equal(array, copied)


def zeros(*shape: int) -> Window:
    return Window(np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape, np.bool_))


@pytest.mark.parametrize("name", ["discount", "next_value", "last"])
def test_arrays_of_another_shape_are_refused(name: str) -> None:
    window = Window(**{**zeros(3, 2)._asdict(), name: np.zeros((3, 1))})
    message = rf"{name} has the shape \(3, 1\), expected \(3, 2\)"
    with pytest.raises(ValueError, match=message):
        n_step_returns(*window, n=1, gamma=0.9)
    with pytest.raises(ValueError, match=message):
        lambda_returns(*window, gamma=0.9, lambda_=0.9)
    with pytest.raises(ValueError, match=message):
        generalized_advantages(*window[:2], np.zeros((3, 2)), *window[2:], gamma=0.9, lambda_=0.9)


def test_values_of_another_shape_are_refused() -> None:
    window = zeros(3, 2)
    with pytest.raises(ValueError, match=r"value has the shape \(2,\), expected \(3, 2\)"):
        generalized_advantages(*window[:2], np.zeros(2), *window[2:], gamma=0.9, lambda_=0.9)


def test_arrays_without_a_batch_are_refused() -> None:
    window = zeros(3)
    with pytest.raises(ValueError, match=r"rewards must be \[T, B\], got the shape \(3,\)"):
        n_step_returns(*window, n=1, gamma=0.9)


def test_numbers_out_of_range_are_refused() -> None:
    window = zeros(3, 2)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        n_step_returns(*window, n=0, gamma=0.9)
    with pytest.raises(ValueError, match=r"gamma must be from 0 to 1, got 1\.1"):
        n_step_returns(*window, n=1, gamma=1.1)
    with pytest.raises(ValueError, match=r"lambda must be from 0 to 1, got -0\.1"):
        lambda_returns(*window, gamma=0.9, lambda_=-0.1)
