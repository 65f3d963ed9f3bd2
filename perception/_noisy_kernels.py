"""Kernels of noisy linear layers: means and noise in one matrix, in one pass over memory.

Shape letters: K inputs, M outputs.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit

_Singles: TypeAlias = NDArray[np.float32]


@njit(makes_arrays=False)
def mix(mean: _Singles, size: _Singles, noise_in: _Singles, noise_out: _Singles, mixed: _Singles) -> None:
    """Write mean + size * noise_out noise_in^T (Fortunato et al. 2018, equations 9 and 10).

    Args:
        mean: [M, K].
        size: [M, K].
        noise_in: [K].
        noise_out: [M].
        mixed: Out, [M, K].
    """
    for m in range(mean.shape[0]):
        for k in range(mean.shape[1]):
            mixed[m, k] = mean[m, k] + size[m, k] * (noise_out[m] * noise_in[k])


@njit(makes_arrays=False)
def slopes_of_size(slopes: _Singles, noise_in: _Singles, noise_out: _Singles, found: _Singles) -> None:
    """Write the slopes by the size of noise, slopes * noise_out noise_in^T.

    Args:
        slopes: By the mean, [M, K].
        noise_in: [K].
        noise_out: [M].
        found: Out, [M, K].
    """
    for m in range(slopes.shape[0]):
        for k in range(slopes.shape[1]):
            found[m, k] = slopes[m, k] * (noise_out[m] * noise_in[k])
