"""What several tests of DQN share."""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from tengen.types import EnvSpec, Transition

SPEC = EnvSpec("toy", gym.spaces.Box(-1, 1, (3,), np.float32), gym.spaces.Discrete(2), num_envs=1)


def random_batch(seed: int, n: int = 16, legal: bool = False) -> Transition:
    """Return N random transitions of SPEC, some terminal, some before the other side's move."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n, 2)) < 0.6
    mask[np.arange(n), rng.integers(2, size=n)] = True
    return Transition(
        rng.normal(size=(n, 3)).astype(np.float32),
        rng.integers(2, size=n),
        rng.normal(size=n).astype(np.float32) * 3,
        rng.choice([0.0, 0.99, -0.99], size=n).astype(np.float32),
        rng.normal(size=(n, 3)).astype(np.float32),
        mask if legal else None,
    )
