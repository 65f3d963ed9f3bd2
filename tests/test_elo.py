"""Win rates, their intervals, and Elo."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tengen.evaluation.go.elo import Standing, elo_difference, wilson, win_rate


@pytest.mark.parametrize(
    ("points", "games", "low", "high"),
    [
        # Newcombe 1998, table I, method 3 (the score interval without continuity correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(points: int, games: int, low: float, high: float) -> None:
    assert wilson(points, games) == pytest.approx((low, high), abs=5e-5)


def test_wilsons_interval_is_where_the_score_test_turns() -> None:
    points, games, z = 130.5, 200, 1.959963984540054
    for bound in wilson(points, games):
        assert abs(points / games - bound) == pytest.approx(z * math.sqrt(bound * (1 - bound) / games))


def test_wilsons_interval_is_symmetric_and_stays_inside() -> None:
    for games in (1, 2, 7, 200):
        for wins in range(games + 1):
            low, high = wilson(wins, games)
            assert 0 <= low < high <= 1
            assert wilson(games - wins, games) == pytest.approx((1 - high, 1 - low))
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 9)[0] == 0.0
    assert wilson(9, 9)[1] == 1.0


def test_wilsons_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    games = 200
    bounds = [wilson(wins, games) for wins in range(games + 1)]
    for rate in np.linspace(0.02, 0.98, 49).tolist():
        chances = [math.comb(games, wins) * rate**wins * (1 - rate) ** (games - wins) for wins in range(games + 1)]
        covered = sum(chance for chance, (low, high) in zip(chances, bounds, strict=True) if low <= rate <= high)
        assert 0.91 < covered < 0.99


@pytest.mark.parametrize(
    ("rate", "elo"), [(0.5, 0.0), (10 / 11, 400.0), (1 / 11, -400.0), (0.76, 200.2), (1.0, math.inf)]
)
def test_a_win_rate_is_a_difference_in_elo(rate: float, elo: float) -> None:
    assert elo_difference(rate) == pytest.approx(elo, abs=0.1)
    assert win_rate(elo) == pytest.approx(rate, abs=1e-3)


def test_elo_and_win_rate_are_inverse() -> None:
    for rate in (0.01, 0.3, 0.5, 0.93):
        assert win_rate(elo_difference(rate)) == pytest.approx(rate)
    assert elo_difference(0.0) == -math.inf


def test_a_standing_counts_draws_half_and_reports_json_values() -> None:
    summary = Standing(wins=120, draws=20, losses=60).summary()
    assert summary["games"] == 200
    assert summary["win_rate"] == 0.65
    assert summary["win_rate_ci95"] == pytest.approx(list(wilson(130, 200)))
    assert summary["elo"] == pytest.approx(107.5, abs=0.1)
    assert summary["elo_ci95"] == pytest.approx([elo_difference(bound) for bound in wilson(130, 200)])


def test_a_standing_without_losses_has_no_finite_elo() -> None:
    summary = Standing(9, 0, 0).summary()
    assert summary["elo"] is None
    assert summary["elo_ci95"] == [pytest.approx(elo_difference(wilson(9, 9)[0])), None]
    assert Standing(0, 0, 0).summary()["win_rate"] is None
