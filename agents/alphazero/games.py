"""Games in progress: what was seen and searched in each, until its end says what it was worth.

B games side by side, T moves of a game, A actions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tengen.replay.positions import Positions
from tengen.returns import lambda_returns
from tengen.types import Array, EnvSpec, Floats, Ints, State, TimeStep


class _Move(NamedTuple):
    """One move of a game; `reward` and `discount` are of what followed it."""

    observation: Array  # [...]
    policy: Array  # float32 [A]
    reward: float
    discount: float


class Games:
    """The moves of B unfinished games.

    Args:
        spec: The environment.
    """

    def __init__(self, spec: EnvSpec) -> None:
        space = spec.observation_space
        assert space.shape is not None
        self._shape, self._dtype, self._num_actions = space.shape, space.dtype, spec.num_actions
        self._moves: list[list[_Move]] = [[] for _ in range(spec.num_envs)]

    def lengths(self) -> Ints:
        """Return the number of moves made in each game so far, [B]."""
        return np.array([len(moves) for moves in self._moves], np.int64)

    def add(self, step: TimeStep, policy: Array, next_step: TimeStep) -> None:
        """Remember a move of each game.

        Args:
            step: What was moved upon.
            policy: What search would play there, float32 [B, A].
            next_step: What followed.
        """
        for row, moves in enumerate(self._moves):
            if step.first[row]:
                moves.clear()  # its game was given up
            moves.append(
                _Move(
                    step.observation[row].copy(),
                    policy[row].astype(np.float32),
                    float(next_step.reward[row]),
                    float(next_step.discount[row]),
                )
            )

    def finish(self, row: int, final_value: float, territory: Array | None = None) -> Positions:
        """Return the positions of a finished game, each with its outcome for who was to move, and forget the game.

        Args:
            row: Which.
            final_value: Of the final observation, for who would be to move; read only where the game was cut off.
            territory: Whose each point was in the end, as who would be to move saw it: int8 [...].
        """
        moves = self._moves[row]
        self._moves[row] = []
        reward = np.array([move.reward for move in moves])[:, None]  # [T, 1]
        discount = np.array([move.discount for move in moves])[:, None]
        last = np.zeros(reward.shape, np.bool_)
        last[-1] = True
        next_value: Floats = np.where(last, final_value, 0.0)  # read at the end only: lambda is 1
        outcome = lambda_returns(reward, discount, next_value, last, gamma=1.0, lambda_=1.0)[:, 0]
        return Positions(
            np.stack([move.observation for move in moves]),
            np.stack([move.policy for move in moves]),
            outcome.astype(np.float32),
            _seen_by_each(territory, discount[:, 0]),
        )

    def state_dict(self) -> State:
        """Return the moves of all games, one game after the other."""
        moves = [move for game in self._moves for move in game]
        n = len(moves)
        return {
            "lengths": np.array([len(game) for game in self._moves], np.int64),
            "observation": np.array([move.observation for move in moves], self._dtype).reshape(n, *self._shape),
            "policy": np.array([move.policy for move in moves], np.float32).reshape(n, self._num_actions),
            "reward": np.array([move.reward for move in moves], np.float64),
            "discount": np.array([move.discount for move in moves], np.float64),
        }

    def load_state_dict(self, state: State) -> None:
        """Continue the games of a state."""
        rewards, discounts = state["reward"].tolist(), state["discount"].tolist()
        moves = [
            _Move(*move)
            for move in zip(np.array(state["observation"]), np.array(state["policy"]), rewards, discounts, strict=True)
        ]
        ends = np.cumsum(state["lengths"]).tolist()
        self._moves = [moves[end - length : end] for end, length in zip(ends, state["lengths"].tolist(), strict=True)]


def _seen_by_each(territory: Array | None, discount: Floats) -> Array:
    """Return a final territory as the side to move saw it before each move, int8 [T, ...]; [T, 0] where there is none.

    Args:
        territory: As seen by who would be to move at the end.
        discount: After each move [T], -1 where the other side was to move; 0, at the end of a game of two, counts so.
    """
    if territory is None:
        return np.zeros((len(discount), 0), np.int8)
    turns = np.where(discount > 0, 1, -1)  # the sign between a move and the next one
    signs = np.cumprod(turns[::-1])[::-1]
    seen: Array = (signs.reshape(-1, *([1] * territory.ndim)) * territory).astype(np.int8)
    return seen
