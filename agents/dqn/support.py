"""Watches whether returns fit the support of C51, which clips what lies beyond its ends without a word."""

from __future__ import annotations

from math import inf

from tengen.types import Array, Metrics

CLIPPED_SHARE = "losses/clipped_share"
"""The share of the targets' probability that lies beyond the support."""

_MUCH = 0.25
_ROWS = 3


class SupportWatch:
    """Remarks once that much of the targets lies beyond the support: over a quarter, in three rows of metrics on end.

    Args:
        v_min: The lowest atom.
        v_max: The highest atom.
        gamma: The discount factor, which with the rewards bounds returns.
        alternates: One side's return is the other's with the sign turned.
        in_deviations: Atoms are in units of Pop-Art, not of rewards.
    """

    def __init__(self, v_min: float, v_max: float, gamma: float, *, alternates: bool, in_deviations: bool) -> None:
        self.v_min, self.v_max, self.gamma = v_min, v_max, gamma
        self.alternates, self.in_deviations = alternates, in_deviations
        self._least, self._greatest = inf, -inf  # of the rewards seen
        self._rows = 0  # on end with much beyond the support
        self._done = False

    def see(self, reward: Array) -> None:
        """Take notice of rewards [B] as they are learnt from."""
        self._least, self._greatest = min(self._least, reward.min()), max(self._greatest, reward.max())

    def remark(self, metrics: Metrics) -> str | None:
        """Return what there is to say at a row of metrics."""
        if self._done or CLIPPED_SHARE not in metrics:
            return None
        share = float(metrics[CLIPPED_SHARE])
        self._rows = self._rows + 1 if share > _MUCH else 0
        self._done = self._rows == _ROWS
        if not self._done:
            return None
        return (
            f"{share:.0%} of the targets' probability lies beyond the support of C51 and is clipped to it: "
            f"agent.v_min {self.v_min:g}, agent.v_max {self.v_max:g}{self._advice()}"
        )

    def _advice(self) -> str:
        if self.in_deviations:
            return " (in Pop-Art's deviations); widen it by --agent.v-min and --agent.v-max"
        seen = f"rewards so far are from {self._least:g} to {self._greatest:g}"
        if self.gamma == 1:
            return f"; {seen}: widen it by --agent.v-min and --agent.v-max"
        low, high = min(self._least, 0) / (1 - self.gamma), max(self._greatest, 0) / (1 - self.gamma)
        if self.alternates:
            low, high = min(low, -high), max(high, -low)
        return f"; {seen}, which by gamma keeps returns within --agent.v-min={low:g} --agent.v-max={high:g}"
