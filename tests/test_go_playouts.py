"""Light playouts: each is a game by the twin's rules, to its end, in which nobody fills an eye."""

from __future__ import annotations

import threading

import numba
import numpy as np
import pytest
from go_twin import TwinGame, neighbours

from tengen.contracts import PlayoutSimulator, SymmetricSimulator
from tengen.envs.go import _chain_kernels as chain_kernels
from tengen.envs.go import _playout_kernels as kernels
from tengen.envs.go.rules import Rules
from tengen.envs.go.simulator import Go
from tengen.envs.go.states import GoStates
from tengen.envs.go.tactics import tactical_playouts

INTERPRETED = bool(numba.config.DISABLE_JIT)  # type: ignore[attr-defined]  # numba sets its settings by name
RNG = np.random.default_rng(0)  # Go draws nothing


def is_eye(game: TwinGame, point: int, color: int) -> bool:
    size = game.size
    if any(game.position[p] != color for p in neighbours(point, size)):
        return False
    y, x = divmod(point, size)
    diagonal = [(y + dy, x + dx) for dy in (-1, 1) for dx in (-1, 1)]
    inside = [game.position[a * size + b] for a, b in diagonal if 0 <= a < size and 0 <= b < size]
    return inside.count(-color) + (len(inside) < 4) < 2


def sensible(game: TwinGame) -> list[int]:
    """The legal moves that fill no own eye; a pass where there are none."""
    legal = np.flatnonzero(game.legal()).tolist()
    return [a for a in legal[:-1] if not is_eye(game, a, game.to_move)] or [game.rules.pass_action]


def middle_games(size: int, num_games: int, seed: int) -> tuple[Go, GoStates, list[TwinGame]]:
    """Random games of different ages, on both sides."""
    rules = Rules(size=size, komi=0.5, ko="simple", max_moves=30_000)
    go, rng = Go(rules), np.random.default_rng(seed)
    states, twins = go.init(rng, num_games), [TwinGame(rules) for _ in range(num_games)]
    for row, twin in enumerate(twins):
        for _ in range(int(rng.integers(2 * size * size))):
            points = np.flatnonzero(twin.legal()[:-1]).tolist()
            twin.play(int(rng.choice(points)) if points else size * size)
            if twin.over:
                break
        states.board[row], states.to_move[row] = twin.board(), twin.to_move
        states.ko[row], states.passes[row] = twin.ko, twin.passes
    return go, states, twins


def moves_of(go: Go, states: GoStates, row: int, seed: int) -> tuple[list[int], int, int]:
    """A playout's actions, its last passes, and its area."""
    size = go.rules.size
    chains, record = chain_kernels.make_chains(size), np.zeros(3 * size * size + 1, np.uint16)
    num_empty = chain_kernels.load(chains, states.board[row])
    ko = chain_kernels.padded(int(states.ko[row]), size) if states.ko[row] >= 0 else np.uint64(0)
    color = 1 if states.to_move[row] > 0 else 2
    passes = int(states.passes[row])
    num_empty, key = np.uint64(num_empty), np.uint64(seed)  # compiled kernels return Python's integers
    num_moves, passes = kernels.play_on(chains, size, color, num_empty, ko, passes, key, record)
    points = [(int(p) // (size + 1) - 1) * size + int(p) % (size + 1) - 1 if p else size**2 for p in record[:num_moves]]
    return points, passes, kernels.area(chains, size)


@pytest.mark.parametrize("size", [2, 3, 5, 6])
def test_a_playout_is_a_sensible_game_to_the_end(size: int) -> None:
    go, states, twins = middle_games(size, 2 if INTERPRETED else 8, seed=size)
    lengths = []
    for row, twin in enumerate(twins):
        if twin.over:
            continue
        moves, passes, area = moves_of(go, states, row, seed=row + 1)
        for move in moves:
            assert move in sensible(twin)
            twin.play(move)
        assert twin.passes == passes
        assert twin.over or len(moves) == 3 * size * size
        if twin.over:
            assert area == twin.score() + 0.5
        lengths.append(len(moves))
    assert max(lengths) > size


@pytest.mark.skipif(not INTERPRETED, reason="a kernel that is only ever inlined; the interpreter calls it")
def test_eyes_are_those_of_the_plain_rule() -> None:
    """Dense boards of one colour with a few holes and enemies, so that real and false eyes are many."""
    rng, game = np.random.default_rng(0), TwinGame(Rules(size=5))
    chains, seen = chain_kernels.make_chains(5), [0, 0, 0]
    for _ in range(300):
        board = rng.choice([1, 0, -1], (5, 5), p=[0.7, 0.15, 0.15]).astype(np.int8)
        game.position = tuple(board.ravel().tolist())
        chain_kernels.load(chains, board)
        for point in np.flatnonzero(board.ravel() == 0).tolist():
            p = chain_kernels.padded(point, 5)
            surrounded = all(game.position[q] == 1 for q in neighbours(point, 5))
            eye = is_eye(game, point, 1)
            assert chain_kernels.is_eye(chains, np.uint64(6), p, 1) == eye
            seen[surrounded + eye] += 1
    assert min(seen) > 10


def test_every_sensible_move_may_be_the_first() -> None:
    go, states, twins = middle_games(4, 3, seed=5)
    for row, twin in enumerate(twins):
        assert not twin.over
        seeds = np.random.default_rng(row).integers(1, 2**64, 300, dtype=np.uint64)
        first = {moves_of(go, states, row, int(seed))[0][0] for seed in seeds}
        assert first == set(sensible(twin))


def test_values_and_first_moves_are_those_of_the_game_played() -> None:
    go, states, twins = middle_games(5, 4 if INTERPRETED else 30, seed=2)
    seeds = np.arange(len(twins), dtype=np.uint64) + np.uint64(1)
    values, first = np.zeros(len(twins)), np.ones((len(twins), go.num_actions), np.int8)
    komi = np.full(len(twins), 0.5)
    kernels.play_out(states.board, states.to_move, states.ko, states.passes, seeds, komi, values, first)
    for row, twin in enumerate(twins):
        if twin.over:
            assert values[row] == 0
            assert not first[row].any()
            continue
        moves, _, area = moves_of(go, states, row, int(seeds[row]))
        assert values[row] == np.sign(area - 0.5) * states.to_move[row]
        wanted = np.zeros(go.num_actions)
        for k, move in reversed(list(enumerate(moves))):
            wanted[move] = -1 if k % 2 else 1
        np.testing.assert_array_equal(first[row], wanted)


def test_a_playout_depends_on_its_own_state_and_seed_only() -> None:
    go, states, _ = middle_games(5, 6, seed=3)
    seeds = np.array([7, 8, 9, 7, 8, 0], np.uint64)
    together = go.playouts(states, seeds)
    assert together.first is not None
    for row in range(6):
        alone = go.playouts(states.rows(row), seeds[row : row + 1])
        assert alone.first is not None
        assert alone.value[0] == together.value[row]
        np.testing.assert_array_equal(alone.first[0], together.first[row])


def test_seeds_that_are_neighbours_make_different_games() -> None:
    go = Go(Rules(size=5))
    states = go.init(RNG, 50)
    first = go.playouts(states, np.arange(50, dtype=np.uint64)).first
    assert first is not None
    assert len(np.unique(first, axis=0)) == 50


def test_a_board_that_is_decided_is_worth_what_it_scores() -> None:
    """Black owns a board with two eyes in which White can do nothing, or White does."""
    board = np.ones((1, 5, 5), np.int8)
    board[0, 0, 0] = board[0, 2, 2] = 0
    go = Go(Rules(size=5, komi=7.5))
    for stones, to_move, value in ((1, 1, 1.0), (1, -1, -1.0), (-1, 1, -1.0), (-1, -1, 1.0)):
        states = go.setup(board * stones, to_move)
        result = go.playouts(states, np.array([3], np.uint64))
        assert result.value.tolist() == [value]
    assert go.playouts(go.setup(board, 1)._replace(passes=np.array([2], np.int8)), np.array([3], np.uint64)).value == 0


def test_komi_and_the_bonus_of_a_handicap_decide_a_playout() -> None:
    board = np.ones((1, 7, 7), np.int8)
    board[0, 0, 0] = board[0, 2, 2] = 0
    for komi, value in ((48.5, 1.0), (49.0, 0.0)):
        go = Go(Rules(size=7, komi=komi))
        assert go.playouts(go.setup(board), np.array([1], np.uint64)).value == value
    go = Go(Rules.chinese(7, komi=46.5, handicap=4))
    assert go.playouts(go.setup(board), np.array([1], np.uint64)).value == -1


@pytest.mark.filterwarnings("ignore:overflow encountered")  # where kernels run uncompiled
@pytest.mark.parametrize("tactical", [False, True])
def test_by_territory_a_playout_counts_eyes_and_prisoners(tactical: bool) -> None:
    board = np.ones((1, 7, 7), np.int8)
    board[0, 0, 0] = board[0, 2, 2] = 0
    for komi, captured, value in ((1.5, (0, 0), 1), (2.5, (0, 0), -1), (5.5, (5, 1), 1), (6.5, (5, 1), -1)):
        go = Go(Rules(size=7, komi=komi, scoring="territory"))
        play = tactical_playouts(go) if tactical else go.playouts
        states = go.setup(board)._replace(captured=np.array([captured], np.int16))
        assert play(states, np.array([1], np.uint64)).value == value == np.sign(go.score(states))


@pytest.mark.skipif(INTERPRETED, reason="it is kernels that hold no lock")
def test_a_playout_lets_other_threads_run() -> None:
    go = Go(Rules(size=19))
    states, seeds = go.init(RNG, 3000), np.arange(3000, dtype=np.uint64)
    thread = threading.Thread(target=go.playouts, args=(states, seeds))
    thread.start()
    ticks = 0
    while thread.is_alive():
        ticks += 1
    thread.join()
    assert ticks > 100


def test_symmetries_move_boards_and_actions_alike() -> None:
    go = Go(Rules(size=5))
    assert isinstance(go, SymmetricSimulator)
    assert isinstance(go, PlayoutSimulator)
    rng = np.random.default_rng(0)
    board = rng.integers(-1, 2, (1, 1, 5, 5))
    seen = set()
    for k in range(go.num_symmetries):
        turned = go.transform(board, k)
        moved = np.empty(25, np.int64)
        moved[go.symmetry_actions[k, :25]] = board.ravel()
        np.testing.assert_array_equal(turned.ravel(), moved)
        assert go.symmetry_actions[k, 25] == 25
        assert sorted(go.symmetry_actions[k]) == list(range(26))
        seen.add(tuple(go.symmetry_actions[k]))
    assert len(seen) == 8
    np.testing.assert_array_equal(go.transform(board, 0), board)
