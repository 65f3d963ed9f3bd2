"""How long to search. Standard library only."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from tengen.errors import UserError


@dataclass(frozen=True)
class Budget:
    """What one run of a search may spend; it ends at whichever is reached first.

    Raises:
        UserError: Neither is given, or one is out of its range.
    """

    simulations: int | None = None
    """New simulations in each game; what a kept subtree has already is not counted."""
    seconds: float | None = None
    """By the clock, for all games together. The batch that is under way is finished."""

    def __post_init__(self) -> None:
        if self.simulations is not None and self.simulations < 0:
            raise UserError(f"a search's number of simulations must be 0 or more, got {self.simulations}")
        if self.seconds is not None and not 0 <= self.seconds < math.inf:
            raise UserError(f"a search's seconds must be 0 or more, and finite, got {self.seconds:g}")

    def deadline(self) -> float:
        """Return when to stop, on the clock of `time.monotonic`."""
        return math.inf if self.seconds is None else time.monotonic() + self.seconds


UNLIMITED = Budget()
"""Until it is told to stop."""
