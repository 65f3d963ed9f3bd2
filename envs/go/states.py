"""What a game of Go is in the middle of: plain arrays, so that a copy of a row is a whole state.

B batch, N points along a side, H hashes of earlier positions. A point is `y * N + x`, y from the top and x from the
left; `N * N` is a pass.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

NUM_LAST = 8
"""Moves that a state remembers."""


class GoStates(NamedTuple):
    """B games. Colours are 1 black, -1 white, 0 none, whoever is to move.

    `history` is what superko looks back on. It has room for every position of a game up to the move limit, as entry
    `moves` is the present one, entry 0 the first; later entries mean nothing. With the simple ko rule H is 0. Entries
    are Zobrist hashes of 64 bits, which for situational superko tell whose turn it was. Two positions of the same hash
    would be taken for one; in a game of 700 positions that has a chance of about 1e-14.
    """

    board: NDArray[np.int8]  # [B, N, N]
    to_move: NDArray[np.int8]  # [B]
    ko: NDArray[np.int16]  # [B], the point where the other side just took a ko, or -1
    passes: NDArray[np.int8]  # [B], passes in a row; 2: the game is over
    moves: NDArray[np.int16]  # [B], moves so far, passes included, handicap stones on standard points not
    last: NDArray[np.int16]  # [B, 8], the last actions, the newest first; -1 where there are none
    captured: NDArray[np.int16]  # [B, 2], stones that black has taken, and white (own stones count for the other side)
    history: NDArray[np.uint64]  # [B, H]

    @property
    def size(self) -> int:
        """N."""
        return int(self.board.shape[1])

    @property
    def over(self) -> NDArray[np.bool_]:
        """Which games have ended, [B]."""
        over: NDArray[np.bool_] = self.passes >= 2
        return over

    def rows(self, index: Any) -> GoStates:
        """Return the games of a number, an index array, a slice or a mask of rows. Numbers and slices share memory."""
        if isinstance(index, int | np.integer):
            index = slice(int(index), int(index) + 1)
        leaves: list[Any] = [leaf[index] for leaf in self]
        return GoStates(*leaves)

    def copy(self) -> GoStates:
        """Return a copy that shares nothing."""
        leaves: list[Any] = [leaf.copy() for leaf in self]
        return GoStates(*leaves)
