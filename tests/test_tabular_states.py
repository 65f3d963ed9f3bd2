from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from tengen.agents.tabular.states import States, UniformBins, states_of
from tengen.errors import UserError
from tengen.types import EnvSpec


def numbering(space: gym.Space[Any], discretiser: str = "none", **ends: tuple[float, ...]) -> States | UniformBins:
    bins = tuple(int(n) for n in ends.get("bins", (10,)))
    spec = EnvSpec("toy", space, Discrete(2), 1)
    return states_of(spec, "q_learning", discretiser, bins, ends.get("low", ()), ends.get("high", ()))


def test_discrete_observations_are_their_own_numbers_from_wherever_they_start() -> None:
    states = numbering(Discrete(5, start=-2))
    assert states.num_states == 5
    assert states(np.array([-2, 0, 2])).tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    "space", [MultiDiscrete([3, 4], start=[1, -1]), Box(np.array([1, -1]), np.array([3, 2]), dtype=np.int64)]
)
def test_rows_of_whole_numbers_are_numbered_with_the_last_part_fastest(space: gym.Space[Any]) -> None:
    states = numbering(space)
    rows = [(a, b) for a in range(1, 4) for b in range(-1, 3)]
    assert states.num_states == 12
    assert states(np.array(rows)).tolist() == list(range(12))


def test_uniform_bins_take_what_lies_outside_to_the_outermost() -> None:
    states = numbering(Box(-np.inf, np.inf, (2,)), "uniform", bins=(4, 2), low=(0.0, -1.0), high=(4.0, 1.0))
    observations = np.array([[-9.0, -9.0], [0.5, -0.5], [1.0, 0.0], [3.999, 0.5], [9.0, 9.0]])
    assert states.num_states == 8
    assert states(observations).tolist() == [0, 0, 3, 7, 7]


def test_one_number_of_bins_serves_all_parts_and_bounds_come_from_the_space() -> None:
    assert numbering(Box(-1, 1, (3,)), "uniform", bins=(5,)).num_states == 125


@pytest.mark.parametrize(
    ("space", "wrong"),
    [
        (Discrete(4), np.array([4_000_001])),
        (Discrete(4), np.array([-1])),
        (Discrete(4, start=3), np.array([2])),
        (MultiDiscrete([3, 4]), np.array([[0, 4]])),
    ],
)
def test_an_observation_outside_its_space_is_refused_rather_than_used_as_a_row(
    space: gym.Space[Any], wrong: np.ndarray
) -> None:
    with pytest.raises(UserError, match="an observation is none of the"):
        numbering(space)(wrong)


def test_an_observation_that_is_no_number_falls_into_no_bin() -> None:
    states = numbering(Box(-1, 1, (2,)), "uniform")
    with pytest.raises(UserError, match="an observation is none of the 100 states"):
        states(np.array([[0.0, np.nan]]))


@pytest.mark.parametrize(
    ("space", "discretiser", "settings", "message"),
    [
        (Box(-(2**63), 2**63 - 1, (1,), np.int64), "none", {}, "a table for toy would have 1.84e"),
        (Box(0, 2**64 - 1, (1,), np.uint64), "none", {}, "q_learning keeps a table"),
        (Box(-1, 1, (1,)), "uniform", {"low": (-1e308,), "high": (1e308,)}, "must be finite and low < high"),
        (Box(-1, 1, (2,)), "none", {}, "q_learning keeps a table.*--agent.discretiser uniform"),
        (Discrete(3), "uniform", {}, "is for Box observations"),
        (Box(-1, 1, (2,)), "uniform", {"bins": (1, 2, 3)}, "agent.bins must have 2 values"),
        (Box(-1, 1, (2,)), "uniform", {"low": (0.0,)}, "agent.low must have 2 values"),
        (Box(-np.inf, 1, (2,)), "uniform", {}, "must be finite and low < high"),
        (Box(-1, 1, (1,)), "uniform", {"low": (1.0,), "high": (0.0,)}, "must be finite and low < high"),
        (Box(-1, 1, (9,)), "uniform", {"bins": (10,)}, r"1e\+09 states"),
    ],
)
def test_a_discretiser_that_does_not_fit_is_refused(
    space: gym.Space[Any], discretiser: str, settings: dict[str, tuple[float, ...]], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        numbering(space, discretiser, **settings)
