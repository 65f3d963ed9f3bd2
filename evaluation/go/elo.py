"""What a number of games says: a win rate, its interval, and the difference in Elo points.

Wilson's score interval (Wilson 1927; Brown, Cai & DasGupta 2001, equation 4) keeps its coverage near 0 and 1, where a
normal interval has none. A draw counts as half a win, which makes the interval a little too wide: the safe side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Z95 = 1.959963984540054
"""The normal quantile of a two-sided 95% interval."""


@dataclass(frozen=True)
class Standing:
    """Games of one side against another.

    Attributes:
        wins: Won.
        draws: Neither.
        losses: Lost.
    """

    wins: int
    draws: int
    losses: int

    def __post_init__(self) -> None:
        assert min(self.wins, self.draws, self.losses) >= 0, f"{self} counts fewer than no games"

    @property
    def games(self) -> int:
        """All of them."""
        return self.wins + self.draws + self.losses

    @property
    def rate(self) -> float | None:
        """The share of points won; None without games."""
        return (self.wins + 0.5 * self.draws) / self.games if self.games else None

    def summary(self) -> dict[str, float | int | list[float | None] | None]:
        """Return counts, win rate and Elo difference with 95% intervals as JSON values.

        An infinite Elo difference, as of an engine that won all, is None.
        """
        low, high = wilson(self.wins + 0.5 * self.draws, self.games)
        return {
            "games": self.games,
            "wins": self.wins,
            "draws": self.draws,
            "losses": self.losses,
            "win_rate": self.rate,
            "win_rate_ci95": [low, high],
            "elo": None if self.rate is None else _finite(elo_difference(self.rate)),
            "elo_ci95": [_finite(elo_difference(low)), _finite(elo_difference(high))],
        }


def wilson(points: float, games: int, z: float = Z95) -> tuple[float, float]:
    """Return the interval of a win rate, given points won in a number of games; (0, 1) without games."""
    if games == 0:
        return 0.0, 1.0
    assert 0 <= points <= games, f"{points} points in {games} games"
    rate, share = points / games, z * z / games
    middle = (rate + share / 2) / (1 + share)
    half = z / (1 + share) * math.sqrt(rate * (1 - rate) / games + share / games / 4)
    # Exact at the ends, where rounding would leave them just inside.
    return (0.0 if points == 0 else max(middle - half, 0.0)), (1.0 if points == games else min(middle + half, 1.0))


def elo_difference(rate: float) -> float:
    """Return by how many Elo points a side with this win rate is the stronger: 400 log10(p / (1 - p)); inf at 1."""
    if rate <= 0.0:
        return -math.inf
    return math.inf if rate >= 1.0 else 400 * math.log10(rate / (1 - rate))


def win_rate(elo: float) -> float:
    """Return the win rate that an Elo difference stands for."""
    return 1 / (1 + 10 ** (-elo / 400))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
