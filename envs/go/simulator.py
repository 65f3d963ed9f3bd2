"""Go as a batched simulator: the class that search, environments and engines share. Start reading at `Go`.

B batch, N points along a side, A = N * N + 1 actions: `y * N + x`, y from the top and x from the left, then the pass.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tengen.envs.go import _board_kernels as kernels
from tengen.envs.go import _move_kernels as moves
from tengen.envs.go._game_kernels import replay
from tengen.envs.go._playout_kernels import play_out
from tengen.envs.go.coordinates import fixed_handicap
from tengen.envs.go.pictures import draw
from tengen.envs.go.planes import encode, num_planes
from tengen.envs.go.rules import Refusal, Rules
from tengen.envs.go.states import NUM_LAST, GoStates
from tengen.types import Array, Bools, Floats, Ints, Playouts

_KO = {"simple": moves.SIMPLE, "positional": moves.POSITIONAL, "situational": moves.SITUATIONAL}


class Replayed(NamedTuple):
    """What came of playing a record."""

    boards: NDArray[np.int8]  # [M', N, N], before each move that was played; empty if they were not kept
    states: GoStates  # one game, after them
    played: int  # M', how many moves were legal before the first that was not, or the record's end
    refusal: Refusal  # why the next one was not


class Go:
    """The rules of Go. The side that moved last gets 1 when it wins, -1 when it loses, and 0 for a draw.

    Two passes in a row end the game; the board is scored as it is. Resigning is for those who play, not an action.
    A state at the move limit is not over: only a pass is legal there, and it ends the game.

    Args:
        rules: Which rules; the defaults of `Rules` unless given.
        planes: What `observe` shows: "board" (own stones 1, the opponent's -1) or "standard".

    Raises:
        UserError: There are no such planes.
    """

    deterministic = True
    alternates = True

    def __init__(self, rules: Rules | None = None, planes: str = "board") -> None:
        self.rules = Rules() if rules is None else rules
        self.planes = planes
        self.num_planes = num_planes(planes)
        self.num_actions = self.rules.num_points + 1
        placements = self.rules.handicap if self.rules.free_handicap else 0
        self._law = moves.Law(
            _KO[self.rules.ko],
            self.rules.suicide,
            self.rules.move_limit,
            placements,
        )

    def init(self, rng: np.random.Generator, batch_size: int) -> GoStates:
        """Return games at their start, with handicap stones on the standard points. Nothing is drawn."""
        board = np.zeros((batch_size, self.rules.size, self.rules.size), np.int8)
        to_move = 1
        if self.rules.handicap and not self.rules.free_handicap:
            board.reshape(batch_size, -1)[:, fixed_handicap(self.rules.handicap, self.rules.size)] = 1
            to_move = -1
        return self.setup(board, to_move)

    def setup(self, board: NDArray[np.int8], to_move: int | NDArray[np.int8] = 1) -> GoStates:
        """Return games that start from boards int8 [B, N, N] of 1 black, -1 white and 0.

        Raises:
            ValueError: The shape is wrong, or a chain has no liberties.
        """
        board = np.array(board, np.int8)
        num_games, size = len(board), self.rules.size
        if board.shape != (num_games, size, size):
            raise ValueError(f"boards have the shape {board.shape}, expected [B, {size}, {size}]")
        if ((self.liberties(board) == 0) & (board != 0)).any():
            raise ValueError("a chain has no liberties")
        length = 0 if self._law.ko == moves.SIMPLE else self.rules.move_limit + 1
        states = GoStates(
            board,
            np.full(num_games, to_move, np.int8),
            np.full(num_games, -1, np.int16),
            np.zeros(num_games, np.int8),
            np.zeros(num_games, np.int16),
            np.full((num_games, NUM_LAST), -1, np.int16),
            np.zeros((num_games, 2), np.int16),
            np.zeros((num_games, length), np.uint64),
        )
        if length:
            hashes = np.zeros(num_games, np.uint64)
            kernels.hash_boards(board, hashes)
            if self._law.ko == moves.SITUATIONAL:
                hashes[states.to_move < 0] ^= moves.ZOBRIST[0, 0]
            states.history[:, 0] = hashes
        return states

    def observe(self, states: GoStates) -> Array:
        """Return what the side to move sees: planes [B, C, N, N], of which `tengen.envs.go.planes` says the meaning."""
        return encode(states, self.planes)

    def legal(self, states: GoStates) -> Bools:
        """Return the legal actions [B, A]; all True where the game is over."""
        legal = np.empty((len(states.board), self.num_actions), np.bool_)
        kernels.legal_actions(states, self._law, legal)
        return legal

    def step(
        self, states: GoStates, actions: Ints, rng: np.random.Generator | None = None
    ) -> tuple[GoStates, Floats, Floats]:
        """Play an action in each game.

        Returns:
            The games after it; the mover's reward [B]; and the discount [B]: -1 the other side moves, 1 the same does
            (black has handicap stones left to place), 0 the game is over.
        """
        after, reasons = self.play(states, actions)
        assert not reasons.any(), self._complaint(actions, reasons)
        over = after.passes >= 2
        discount = np.where(over, 0.0, after.to_move * states.to_move)
        ended = over & (states.passes < 2)
        reward = np.zeros(len(over))
        if ended.any():
            reward[ended] = np.sign(self.score(after.rows(ended))) * states.to_move[ended]
        return after, reward, discount

    def play(self, states: GoStates, actions: Ints) -> tuple[GoStates, Ints]:
        """Play an action in each game, and say of those that are illegal why, instead of failing.

        Returns:
            The games after it, unchanged where it is illegal; and the reasons [B], numbers of `Refusal`, 0 where it is
            legal.
        """
        after = states.copy()
        reasons = np.zeros(len(actions), np.int64)
        moves.play_actions(after, self._law, np.asarray(actions, np.int64), reasons)
        return after, reasons

    def replay(
        self,
        actions: Ints,
        colors: NDArray[np.int8] | None = None,
        start: GoStates | None = None,
        *,
        keep_boards: bool = True,
    ) -> Replayed:
        """Play a recorded game in one call, up to its first illegal move.

        Args:
            actions: The moves [M].
            colors: Who makes each [M], 1 black, -1 white; unless given they take turns.
            start: One game to go on from; a new one unless given.
            keep_boards: Whether to return them.
        """
        states = self.init(np.random.default_rng(0), 1) if start is None else start.copy()
        actions = np.asarray(actions, np.int64)
        if colors is None:
            colors = np.zeros(len(actions), np.int8)
        size = self.rules.size
        boards = np.zeros((len(actions) if keep_boards else 0, size, size), np.int8)
        played, reason = replay(states, self._law, np.asarray(colors, np.int8), actions, boards)
        return Replayed(boards[:played], states, played, Refusal(reason))

    def score(self, states: GoStates, dead: Bools | None = None) -> Floats:
        """Return black's points less white's and komi, [B].

        Args:
            states: Any games; those that are not over are scored as they stand.
            dead: Stones [B, N, N] that both sides agree are dead; they are taken first.
        """
        if dead is not None:
            taken = np.where(dead, states.board, 0)
            prisoners = np.stack([(taken < 0).sum(axis=(1, 2)), (taken > 0).sum(axis=(1, 2))], axis=1)
            states = states._replace(board=states.board - taken, captured=states.captured + prisoners.astype(np.int16))
        scores = np.empty(len(states.board))
        owners = self.ownership(states)
        territory = self.rules.scoring == "territory"
        kernels.score_boards(states.board, states.captured, owners, float(self.rules.total_komi), territory, scores)
        return scores

    def adjudicate(self, states: GoStates) -> Floats:
        """Return what games are worth to the side to move if they end here: 1 it has won, -1 lost, 0 a draw, [B]."""
        return np.sign(self.score(states)) * states.to_move

    def ownership(self, states: GoStates) -> NDArray[np.int8]:
        """Return whose each point is if the board is scored as it is: 1 black's, -1 white's, 0 nobody's [B, N, N]."""
        owners = np.empty_like(states.board)
        kernels.own_points(states.board, owners, np.empty(self.rules.num_points, np.int16))
        return owners

    def territory(self, states: GoStates) -> NDArray[np.int8]:
        """Return `ownership` as the side to move sees it: 1 its own points, -1 the opponent's, 0 nobody's [B, N, N]."""
        owned: NDArray[np.int8] = self.ownership(states) * states.to_move[:, None, None]
        return owned

    def liberties(self, board: NDArray[np.int8]) -> NDArray[np.int16]:
        """Return how many liberties each stone's chain has, [B, N, N]; 0 where there is no stone."""
        liberties = np.empty(board.shape, np.int16)
        kernels.count_liberties(np.ascontiguousarray(board), liberties)
        return liberties

    def captures(self, states: GoStates) -> NDArray[np.int16]:
        """Return how many stones the side to move would take by playing at each empty point, [B, N, N]."""
        captures = np.empty(states.board.shape, np.int16)
        kernels.count_captures(states, captures)
        return captures

    def playouts(self, states: GoStates, seeds: NDArray[np.uint64]) -> Playouts:
        """Play one light random game from each state [B] to its end, by its own seed [B]; 0 where it is over.

        Players fill no eyes of their own; rules are simple ko and no suicide, and the komi is `playout_komi`.
        """
        values = np.empty(len(states.board))
        first = np.empty((len(values), self.num_actions), np.int8)
        scrambled = _scramble(np.asarray(seeds, np.uint64))
        komi = self.playout_komi(states)
        play_out(states.board, states.to_move, states.ko, states.passes, scrambled, komi, values, first)
        return Playouts(values, first)

    def playout_komi(self, states: GoStates) -> Floats:
        """Return by how many points black's area at a playout's end has to exceed white's for a draw, [B].

        By area, all of the komi. By territory a side's points are its area less the stones that it has put down in the
        game, each of which lies on its area or is the other's prisoner. A playout goes on until nothing is left to
        fill, and how many stones each side puts down meanwhile is chance: they are taken to be as many. Those so far
        are the stones on the board and the prisoners.
        """
        komi = np.full(len(states.board), float(self.rules.total_komi))
        if self.rules.scoring == "territory":
            captured = states.captured.astype(np.int64)
            komi += states.board.sum(axis=(1, 2), dtype=np.int64) - captured[:, 0] + captured[:, 1]
        return komi

    @property
    def num_symmetries(self) -> int:
        """Of the square: 8."""
        return 8

    @cached_property
    def symmetry_actions(self) -> Ints:
        """Where each symmetry takes each action, [8, A]. A pass stays a pass."""
        size = self.rules.size
        points = np.arange(size * size).reshape(1, size, size)
        actions = np.full((8, self.num_actions), size * size)
        for k in range(8):
            actions[k, self.transform(points, k).ravel()] = points.ravel()
        return actions

    def transform(self, observation: Array, k: int) -> Array:
        """Return arrays [..., N, N] as seen from side k.

        They are transposed if k has 4, then mirrored left and right if k has 1, then top and bottom if it has 2.
        """
        if k & 4:
            observation = observation.swapaxes(-1, -2)
        if k & 1:
            observation = observation[..., ::-1]
        if k & 2:
            observation = observation[..., ::-1, :]
        return np.ascontiguousarray(observation)

    def render(self, states: GoStates) -> NDArray[np.uint8]:
        """Return a picture of the first board, uint8 [24 N, 24 N, 3]; a ring marks the last move."""
        return draw(states.board[0], int(states.last[0, 0]))

    def _complaint(self, actions: Ints, reasons: Array) -> str:
        row = int(reasons.argmax())
        return f"illegal action {actions[row]} in row {row}: {Refusal(int(reasons[row])).sentence()}"


def _scramble(seeds: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return numbers without a likeness, none of them 0, for seeds that may be 0, 1, 2 (splitmix64)."""
    z = seeds + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return np.where(z == 0, np.uint64(1), z)
