"""Go beside an oracle that shares no code with it: GNU Go, asked over GTP."""

from __future__ import annotations

import _gnugo
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(_gnugo.missing() is not None, reason=str(_gnugo.missing()))


def compare(size: int, num_games: int, look_period: int, seed: int) -> _gnugo.Comparison:
    comparison, rng = _gnugo.Comparison(size), np.random.default_rng(seed)
    try:
        for _ in range(num_games):
            ended = comparison.follow(_gnugo.random_game(comparison.go, rng), look_period=look_period)
            if ended.over[0]:
                comparison.score(ended)
    finally:
        comparison.close()
    assert comparison.differences == []
    return comparison


@pytest.mark.parametrize("size", [5, 9])
def test_gnu_go_agrees_on_random_games(size: int) -> None:
    comparison = compare(size, 2, look_period=5, seed=size)
    assert min(comparison.counts[what] for what in ("all_legal", "captures", "countlib", "is_legal")) > 20
    assert comparison.counts["final_score"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(("size", "num_games"), [(5, 60), (9, 100), (13, 40)])
def test_gnu_go_agrees_on_200_random_games(size: int, num_games: int) -> None:
    compare(size, num_games, look_period=8, seed=size)
