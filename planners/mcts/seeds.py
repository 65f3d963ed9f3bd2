"""Seeds that follow from one another by number alone, so that what they decide depends on nothing else."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Seeds: TypeAlias = NDArray[np.uint64]


def hashed(seeds: Seeds, count: int) -> Seeds:
    """Return the seeds number `count`, 0 and up, that follow from each seed: SplitMix64 (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = seeds + np.uint64((count + 1) * 0x9E3779B97F4A7C15 % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
