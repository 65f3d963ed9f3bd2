"""Tile coding against its definition."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from tengen.agents.linear._tile_kernels import TileCoding, action_values, active_tiles, num_tiles, values_of
from tengen.types import Floats

LOW, HIGH = np.array([-1.0, 0.0, 2.0]), np.array([1.0, 4.0, 2.5])
TILES = np.array([4, 2, 3])


def coding(num_tilings: int = 4, num_features: int | None = None, parts: int = 3) -> TileCoding:
    every = num_tiles(TILES[:parts], num_tilings)
    few = every if num_features is None else num_features
    return TileCoding(LOW[:parts], HIGH[:parts], TILES[:parts], num_tilings, few, few < every)


def tile(observation: Floats, tiling: int, num_tilings: int) -> tuple[int, ...]:
    """The coordinates of an observation's tile, in exact arithmetic."""
    place = []
    for d, x in enumerate(observation):
        widths = Fraction(x) - Fraction(LOW[d])
        widths = widths / (Fraction(HIGH[d]) - Fraction(LOW[d])) * int(TILES[d])
        place.append(math.floor(widths + Fraction(tiling * (2 * d + 1) % num_tilings, num_tilings)))
    return tuple(place)


def observations(num: int, seed: int = 0) -> Floats:
    """On a grid of 64ths of the range, so that many lie on an edge and binary fractions are exact."""
    rng = np.random.default_rng(seed)
    points: Floats = LOW + (HIGH - LOW) * rng.integers(65, size=(num, 3)) / 64
    return points


@pytest.mark.parametrize("num_tilings", [1, 4, 8])
def test_a_feature_is_the_number_of_its_tile(num_tilings: int) -> None:
    tiles = coding(num_tilings)
    for observation in observations(200):
        expected = [
            np.ravel_multi_index((t, *tile(observation, t, num_tilings)), (num_tilings, *(TILES + 1)))
            for t in range(num_tilings)
        ]
        assert active_tiles(tiles, observation).tolist() == expected


def test_a_small_move_changes_one_tiling() -> None:
    tiles = TileCoding(np.zeros(1), np.ones(1), np.array([5]), 8, num_tiles(np.array([5]), 8), False)
    features = [active_tiles(tiles, np.array([(k + 0.5) / 40])) for k in range(40)]
    assert [int((a != b).sum()) for a, b in itertools.pairwise(features)] == [1] * 39


def test_tilings_are_shifted_by_different_amounts_in_each_part() -> None:
    """S&B figure 9.11: with equal shifts the tiles would generalise along the diagonal."""
    tiles = TileCoding(np.zeros(2), np.ones(2), np.array([2, 2]), 4, num_tiles(np.array([2, 2]), 4), False)
    start, active = np.array([0.125, 0.125]), active_tiles
    along = [int((active(tiles, start) == active(tiles, start + np.array(d))).sum()) for d in ([0.25, 0.25], [0.25, 0])]
    assert along == [1, 2]


def test_what_lies_outside_is_clipped() -> None:
    tiles = coding()
    outside = np.array([[-9.0, np.nan, -np.inf], [9.0, 1e300, np.inf]])
    assert active_tiles(tiles, outside[0]).tolist() == active_tiles(tiles, LOW).tolist()
    assert active_tiles(tiles, outside[1]).tolist() == active_tiles(tiles, HIGH).tolist()
    assert active_tiles(tiles, HIGH).max() < tiles.num_features


def test_hashed_tiles_share_features_only_by_chance() -> None:
    exact, hashed = coding(8), coding(8, num_features=97)
    seen: dict[int, set[int]] = {}
    for observation in observations(300):
        features = active_tiles(hashed, observation)
        assert features.min() >= 0
        assert features.max() < 97
        for number, feature in zip(active_tiles(exact, observation), features, strict=True):
            seen.setdefault(int(number), set()).add(int(feature))
    assert all(len(features) == 1 for features in seen.values())
    loads = np.bincount([min(features) for features in seen.values()], minlength=97)
    assert loads.max() <= 5 * loads.mean()


def test_values_are_sums_of_weights() -> None:
    tiles, rng = coding(4), np.random.default_rng(0)
    weights, points = rng.normal(size=(tiles.num_features, 2)), observations(20)
    expected = np.array([weights[active_tiles(tiles, point)].sum(0) for point in points])
    assert np.allclose(values_of(weights, tiles, points), expected)
    assert np.allclose(action_values(weights, active_tiles(tiles, points[0])), expected[0])
