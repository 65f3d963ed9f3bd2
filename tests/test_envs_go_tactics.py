"""Playouts with a little sense, and guesses of moves: against slow looks at the same boards."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from tengen.envs.go import _tactical_kernels as kernels
from tengen.envs.go._chain_kernels import load, make_chains, padded, unpadded
from tengen.envs.go.guesses import go_guesses
from tengen.envs.go.rules import Rules
from tengen.envs.go.simulator import Go
from tengen.envs.go.states import GoStates
from tengen.envs.go.tactics import shape_table, tactical_playouts

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")  # where kernels run uncompiled

INTERPRETED = bool(vars(numba.config)["DISABLE_JIT"])


def board(drawing: str) -> NDArray[np.int8]:
    """Read a board: X black, O white."""
    return np.array([[{"X": 1, "O": -1, ".": 0}[mark] for mark in row] for row in drawing.split()], np.int8)


def chain_of(stones: NDArray[np.int8], y: int, x: int) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """Return the stones and the liberties of a chain."""
    chain, liberties, waiting = {(y, x)}, set(), [(y, x)]
    while waiting:
        v, u = waiting.pop()
        for b, a in ((v - 1, u), (v + 1, u), (v, u - 1), (v, u + 1)):
            if 0 <= b < len(stones) and 0 <= a < len(stones):
                if stones[b, a] == 0:
                    liberties.add((b, a))
                elif stones[b, a] == stones[y, x] and (b, a) not in chain:
                    chain.add((b, a))
                    waiting.append((b, a))
    return chain, liberties


def random_boards(count: int, size: int = 5) -> NDArray[np.int8]:
    """Return positions of random games, [count, N, N]."""
    go, rng, found = Go(Rules(size=size)), np.random.default_rng(0), []
    states = go.init(rng, count)
    for _ in range(30):
        legal = go.legal(states)
        states = go.step(states, np.array([rng.choice(np.flatnonzero(row)) for row in legal]))[0]
        found.append(states.board)
    return np.concatenate(found)[:: 30 if INTERPRETED else 3]


def test_a_chains_last_liberty_is_found() -> None:
    chains, seen = make_chains(5), 0
    for stones in random_boards(20):
        load(chains, stones)
        for y, x in zip(*stones.nonzero(), strict=True):
            _, liberties = chain_of(stones, int(y), int(x))
            p = kernels.last_liberty(chains, np.uint64(6), padded(y * 5 + x, 5))
            assert (p != 0) == (len(liberties) == 1)
            if p:
                seen += 1
                assert (int(unpadded(p, 5)) // 5, int(unpadded(p, 5)) % 5) in liberties
    assert seen > 0


def test_a_move_escapes_if_its_chain_then_has_two_liberties() -> None:
    """What is seen quickly errs on few moves, and only where liberties are shared."""
    chains, wrong, moves = make_chains(5), 0, 0
    for stones in random_boards(20):
        load(chains, stones)
        for y, x in zip(*(stones == 0).nonzero(), strict=True):
            after = stones.copy()
            after[y, x] = 1
            taken = False
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= v < 5 and 0 <= u < 5 and after[v, u] == -1 and not chain_of(after, v, u)[1]:
                    taken = True
            _, liberties = chain_of(after, int(y), int(x))
            moves += 1
            quick = kernels.escapes(chains, np.uint64(6), padded(y * 5 + x, 5), 1)
            wrong += quick != (taken or len(liberties) >= 2)
    assert wrong < 0.05 * moves


def matches(around: str, shape: str) -> bool:
    allowed = {".": ".", "X": "X", "O": "O", "#": "#", "x": ".O#", "o": ".X#", "?": ".XO#"}
    return all(seen in allowed[wanted] for seen, wanted in zip(around, shape, strict=True))


@pytest.mark.parametrize(
    ("around", "fits"),
    [
        ("XOX.....", True),  # hane
        ("OXO.....", True),  # of the other colour
        ("..X..O..X", None),
        ("........", False),
        ("OX.X.O..", None),
        ("X.OO.###", None),
    ],
)
def test_shapes_are_the_same_from_all_sides_and_for_both_colours(around: str, fits: bool | None) -> None:
    table = shape_table()
    square = np.array(list((around + "........")[:4] + "+" + (around + "........")[4:8])).reshape(3, 3)
    codes = []
    for view in (square, square.T, square[::-1], square[:, ::-1], square[::-1].T, square[:, ::-1].T):
        for marks in ("".join(view.ravel()), "".join(view.ravel()).translate(str.maketrans("XO", "OX"))):
            eight = marks[:4] + marks[5:]
            codes.append(bool(table[sum(".XO#".index(mark) << 2 * i for i, mark in enumerate(eight))]))
    assert len(set(codes)) == 1
    assert fits is None or codes[0] == fits


def states_of(drawing: str, last: int, to_move: int = 1) -> tuple[Go, GoStates]:
    stones = board(drawing)
    go = Go(Rules(size=len(stones), komi=0.5))
    states = go.setup(stones[None], to_move)
    states.last[:, 0] = last
    return go, states


def test_whoever_moves_answers_an_atari_beside_the_last_move() -> None:
    """White just played above the black stone, whose last liberty is (2, 1)."""
    go, states = states_of(".O... OXO.. ..... ..... .....", 1)
    many = states.rows(np.zeros(200, int))
    light = go.playouts(many, np.arange(200, dtype=np.uint64)).first
    tactical = tactical_playouts(go)(many, np.arange(200, dtype=np.uint64)).first
    assert light is not None
    assert tactical is not None
    assert (tactical[:, 11] == 1).mean() > 0.85 > (light[:, 11] == 1).mean()


def test_tactical_playouts_depend_on_their_own_seed_alone_and_end_as_the_board_says() -> None:
    go = Go(Rules(size=5, komi=0.5))
    play = tactical_playouts(go)
    states = go.init(np.random.default_rng(0), 40)
    seeds = np.arange(40, dtype=np.uint64)
    value, first = play(states, seeds)
    again = play(states, seeds[::-1])
    np.testing.assert_array_equal(again.value[::-1], value)
    assert set(value.tolist()) == {-1.0, 1.0}
    assert first is not None
    assert ((first != 0).sum(axis=1) > 10).all()
    over = go.step(go.step(states, np.full(40, 25))[0], np.full(40, 25))[0]
    assert not play(over, seeds).value.any()


def test_a_won_board_is_won_by_tactical_playouts_too() -> None:
    go, states = states_of(".X.X. XXXXX ..... OOOOO .O.O.", -1)
    ahead, _ = states_of(".X.X. XXXXX XXXXX OOOOO .O.O.", -1)
    many = states.rows(np.zeros(30, int))
    values = tactical_playouts(ahead)(many, np.arange(30, dtype=np.uint64)).value
    assert values.mean() > 0.9  # black moves first between two living sides, and wins by a line
    assert go.rules.size == 5


def test_guesses_like_captures_and_dislike_eyes_self_atari_and_lonely_edges() -> None:
    go, states = states_of("..... .OX.. OX... .O... .....", 16)
    guess = go_guesses(go)
    values, counts = guess(states, go.legal(states))
    assert values.shape == counts.shape == (1, 26)
    assert values[0, 0] < values[0, 13]  # the corner; beside the last move
    assert values[0, 25] < 0  # a pass
    assert (np.abs(values) <= 1).all()
    assert (counts > 0).all()
    capturing, taken = states_of("..... ..X.. .XO.. ..X.. .....", 12)
    values, _ = go_guesses(capturing)(taken, capturing.legal(taken))
    assert values[0].argmax() == 13
    eye, inside = states_of(".X... XX... ..... ..... ...OO", -1)
    values, _ = go_guesses(eye)(inside, eye.legal(inside))
    assert values[0].argmin() == 0
