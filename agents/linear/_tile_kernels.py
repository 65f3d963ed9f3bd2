"""Tile coding: real observations as a few binary features (S&B section 9.5.4).

Each of K tilings is a grid over the observation's parts, shifted by a fraction of a tile. One tile of each tiling holds
the observation, so that K features are 1 and all others 0.

B environments side by side, D parts of an observation, K tilings, F features, A actions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tengen._jit import njit
from tengen.types import Floats, Ints

_MULTIPLIER, _PRIME = 1_220_703_125, 2_147_483_647  # 5**13, 2**31 - 1: their product fits 64 bits


class TileCoding(NamedTuple):
    """Where the tiles lie."""

    low: Floats  # [D]
    high: Floats  # [D]
    tiles: Ints  # [D], tile widths between low and high; a shifted tiling needs one tile more to cover them
    num_tilings: int  # K
    num_features: int  # F
    hashed: bool  # there are more tiles than F: several share a feature


def num_tiles(tiles: Ints, num_tilings: int) -> int:
    """Return how many tiles there are in all, as an int of any size."""
    return num_tilings * math.prod(int(count) + 1 for count in tiles)


@njit
def active_tiles(coding: TileCoding, observation: Floats) -> Ints:
    """Return the features [K] that are 1, one of each tiling.

    Tiling t is shifted by t (1, 3, 5, ...) / K tiles, modulo a whole tile: the asymmetric offsets that S&B recommend.
    A feature's number is its tile's in C order, (tiling, part 0, part 1, ...), or a polynomial hash of the same.

    Args:
        coding: Where the tiles lie.
        observation: [D]; clipped to the coding's ends. NaN counts as low.
    """
    num_tilings, num_parts = coding.num_tilings, coding.tiles.shape[0]
    active = np.empty(num_tilings, np.int64)
    for t in range(num_tilings):
        active[t] = t
    for d in range(num_parts):
        low, high = coding.low[d], coding.high[d]
        x = min(observation[d], high) if observation[d] > low else low
        q = int((x - low) / (high - low) * coding.tiles[d] * num_tilings)  # in K-ths of a tile
        for t in range(num_tilings):
            tile = (q + t * (2 * d + 1) % num_tilings) // num_tilings
            if coding.hashed:
                active[t] = (active[t] + 1) * _MULTIPLIER % _PRIME + tile
            else:
                active[t] = active[t] * (coding.tiles[d] + 1) + tile
    if coding.hashed:
        for t in range(num_tilings):
            active[t] = (active[t] + 1) * _MULTIPLIER % _PRIME % coding.num_features
    return active


@njit
def action_values(weights: Floats, active: Ints) -> Floats:
    """Return the values of the actions [A]: the sum of the active features' weights.

    Args:
        weights: [F, A].
        active: The features that are 1 [K].
    """
    q = np.zeros(weights.shape[1])
    for feature in active:
        for a in range(q.shape[0]):
            q[a] += weights[feature, a]
    return q


@njit
def values_of(weights: Floats, coding: TileCoding, observations: Floats) -> Floats:
    """Return the values of the actions [N, A] for observations [N, D]."""
    q = np.empty((observations.shape[0], weights.shape[1]))
    for n in range(observations.shape[0]):
        q[n] = action_values(weights, active_tiles(coding, observations[n]))
    return q
