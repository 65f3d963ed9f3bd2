"""Whole games in one call: recorded ones played back, and random ones of which every legal move is listed.

B batch, N points along a side, M moves, A = N * N + 1 actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit
from tengen.envs.go._board_kernels import add_to_sieve, change_by, check_point, fill_sieve, make_sieve
from tengen.envs.go._chain_kernels import (
    BLACK,
    BORDER,
    WHITE,
    can_breathe,
    load,
    make_chains,
    press,
    put,
    take,
    unpadded,
)
from tengen.envs.go._move_kernels import NONE, SIMPLE, SITUATIONAL, ZOBRIST, Law, play_one, side_change
from tengen.types import Ints


@njit(nogil=True)
def replay(states: Any, law: Law, colors: NDArray[np.int8], actions: Ints, boards: NDArray[np.int8]) -> tuple[int, int]:
    """Play a recorded game, up to the first move that is illegal.

    Args:
        states: One game, where the record begins. Modified in place.
        law: The rules.
        colors: Who moves [M], 1 or -1, as records may let one side move twice; 0: whose turn it is.
        actions: The moves [M].
        boards: Gets the board before each move [M, N, N]; or is [0, N, N].

    Returns:
        How many moves were played, and why the next one was not, 0 where it was the last.
    """
    n = states.board.shape[1]
    color = np.full((n + 2) * (n + 1) + 1, BORDER, np.uint8)
    found = np.zeros(n * n + 1, np.uint16)
    for k in range(len(actions)):
        if len(boards):
            boards[k] = states.board[0]
        if colors[k] != 0 and states.to_move[0] != colors[k]:
            states.to_move[0] = colors[k]
            if law.ko == SITUATIONAL:
                states.history[0, states.moves[0]] ^= ZOBRIST[0, 0]
        states.passes[0] = min(states.passes[0], 1)  # a record may go on after two passes
        reason = play_one(states, 0, law, actions[k], color, found)
        if reason != NONE:
            return k, reason
    return len(actions), NONE


@njit(nogil=True)
def random_game(n: int, law: Law, seed: Any, record: NDArray[np.int16], choices: NDArray[np.int16]) -> int:
    """Play one game from the empty board, of whose legal actions each is as likely as any other.

    Args:
        n: Points along a side.
        law: The rules, without handicap.
        seed: A number of 64 bits, not 0.
        record: Gets the actions [M].
        choices: Gets how many legal actions there were each time [M].

    Returns:
        How many moves there were: M at most.
    """
    chains = make_chains(n)
    points = np.zeros(n * n, np.uint16)
    sieve, history = make_sieve(), np.zeros(len(record) + 1, np.uint64)
    w, one, half = np.uint64(n + 1), np.uint64(1), np.uint64(32)
    num_empty = np.uint64(load(chains, np.zeros((n, n), np.int8)))
    color, ko, passes, moves, x = BLACK, np.uint64(0), 0, 0, np.uint64(seed)
    fill_sieve(sieve, history, 0)
    while passes < 2 and moves < len(record):
        count = np.uint64(0)
        for k in range(num_empty):
            p = np.uint64(chains.empties[np.uint64(k)])
            if check_point(chains, p, color, n, p == ko, law, history, moves, sieve) == NONE:
                points[count] = p
                count += one
        choices[moves] = count + one
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
        chosen = ((x >> half) * (count + one)) >> half
        ko, change = np.uint64(0), np.uint64(0)
        if chosen == count:
            record[moves] = n * n
            passes += 1
        else:
            p = np.uint64(points[chosen])
            record[moves] = unpadded(p, n)
            passes = 0
            change = change_by(chains, w, p, color, can_breathe(chains, w, p, color))
            surrounded = (chains.around[p] >> (4 * (2 - color))) & 15 == 4
            before = num_empty
            press(chains, w, p, -1)
            num_empty = put(chains, w, p, color, num_empty)
            if surrounded and num_empty == before:
                ko = np.uint64(chains.empties[num_empty - one])
            known = np.uint64(chains.chain[p])
            if chains.liberties[known] == 0:
                num_empty = take(chains, w, known, num_empty)
        if law.ko != SIMPLE:
            history[moves + 1] = history[moves] ^ change ^ side_change(law, moves)
            add_to_sieve(sieve, history[moves + 1])
        color = WHITE if color == BLACK else BLACK
        moves += 1
    return moves


@njit(nogil=True)
def random_games(
    n: int, law: Law, seeds: NDArray[np.uint64], record: NDArray[np.int16], choices: NDArray[np.int16]
) -> int:
    """Play a random game for each seed, and return how many moves there were in all."""
    total = 0
    for seed in seeds:
        total += random_game(n, law, seed, record, choices)
    return total
