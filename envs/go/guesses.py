"""What moves of Go are thought to be worth before any is tried: a start for the values of a search with RAVE.

The reasons are those of Gelly and Silver 2011, section 5, and the programs after it; their weights were chosen here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tengen.envs.go._guess_kernels import imagine
from tengen.envs.go.simulator import Go
from tengen.envs.go.states import GoStates
from tengen.envs.go.tactics import shape_table
from tengen.types import Array, Bools


def go_guesses(
    go: Go,
    *,
    even: float = 10.0,
    capture: float = 15.0,
    save: float = 15.0,
    self_atari: float = 10.0,
    eye: float = 20.0,
    near: float = 15.0,
    edge: float = 10.0,
    shape: float = 10.0,
    pass_: float = 10.0,
) -> Callable[[GoStates, Bools], tuple[Array, Array]]:
    """Return a `Guess` of the tree search: values [G, A] of actions, and the number of playouts each counts for.

    Args:
        go: The rules.
        even: Imagined playouts of each action, half of them won.
        capture: Won, for each stone taken, 3 at most.
        save: Won, for each stone brought out of atari, 3 at most.
        self_atari: Lost, where the stone could be taken at once.
        eye: Lost, where an own eye is filled.
        near: Won, beside the last move; half of it two points away, a third three.
        edge: Lost, on the lowest two lines where no stones are near.
        shape: Won, where a 3x3 shape fits.
        pass_: Lost, for a pass.
    """
    weights = np.array([even, capture, save, self_atari, eye, near, edge, shape, pass_], np.float32)
    shapes = shape_table()

    def guess(states: GoStates, legal: Bools) -> tuple[Array, Array]:
        values: NDArray[np.float32] = np.empty((len(states.board), go.num_actions), np.float32)
        counts = np.empty_like(values)
        imagine(states.board, states.to_move, np.ascontiguousarray(states.last[:, 0]), shapes, weights, values, counts)
        return values, counts

    return guess
