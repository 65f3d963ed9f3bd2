"""The schedule of sequential halving (Karnin et al. 2013), as Gumbel AlphaZero uses it at the root."""

from __future__ import annotations

from functools import cache

import numpy as np

from tengen.types import Ints


@cache
def halving_schedule(num_considered: int, num_simulations: int) -> tuple[Ints, Ints]:
    """Return, for each simulation [S], the visits that the action to be chosen has so far, and where its round ends.

    Simulations are divided evenly over ceil(log2(num_considered)) rounds; each visits all that are left in it equally
    often, and leaves half of them, at least 2. What is over goes to the last two. Danihelka et al. 2022, algorithm 2.
    Choosing the best among the actions with so many visits is the halving: those that fell out have fewer.
    """
    rounds = max(1, int(np.ceil(np.log2(num_considered))))
    levels: list[int] = []
    ends: list[int] = []
    left, level = num_considered, 0
    while len(levels) < num_simulations:
        visits = max(1, num_simulations // (rounds * left))
        for _ in range(visits):
            levels += [level] * left
            level += 1
        ends += [min(len(levels), num_simulations)] * (len(levels) - len(ends))
        left = max(min(2, left), left // 2)
    return np.array(levels[:num_simulations], np.int64), np.array(ends[:num_simulations], np.int64)
