"""Go for Gymnasium: `gymnasium.make("tengen/Go-v0", size=9)`.

Gymnasium knows the id once `tengen.envs` is imported after `gymnasium`. In any order and without an import,
`gymnasium.make("tengen.envs.go.gymnasium_env:tengen/Go-v0")` finds it.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete

from tengen.envs.go.environment import make_game, observation_space
from tengen.envs.go.rules import Refusal
from tengen.envs.go.states import GoStates
from tengen.types import Array

ID = "tengen/Go-v0"


class GoEnv(gym.Env[Array, int]):
    """One game. Without an opponent the one agent plays both sides, each seeing the board as its own.

    The reward is the mover's: 1 when it wins, -1 when it loses, 0 for a draw and until the end. An illegal action loses
    at once. `info` has `action_mask` (int8 [A], as `action_space.sample` takes it), `discount` (what multiplies the
    value of what follows: -1 the other side moves, 1 the same does, 0 the game is over), `to_move` (1 black, -1 white),
    and at the end `score` (black's points less white's) or, after an illegal action, `refusal` (why).

    Args:
        render_mode: "rgb_array", "ansi", or None.
        **settings: As for `tengen/Go-v0` anywhere: the fields of `Rules`, `rules`, `planes`, `opponent`, `color`.

    Raises:
        UserError: A setting is unknown or out of range.
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 2}  # noqa: RUF012 -- as Gymnasium declares it

    def __init__(self, render_mode: str | None = None, **settings: Any) -> None:
        self.render_mode = render_mode
        self.go, self._game = make_game(settings)
        self.observation_space = observation_space(self.go)
        self.action_space = Discrete(self.go.num_actions)  # type: ignore[assignment]  # its numbers are ints as well
        self._states: GoStates = self.go.init(np.random.default_rng(0), 1)
        self._over = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Start a game; a seed decides whatever an opponent does."""
        super().reset(seed=seed)
        self._states = self._game.init(self.np_random, 1)
        self._over = False
        return self._observation(), self._info(1.0)

    def step(self, action: int) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Play an action for the side to move, and the opponent's answer where there is one."""
        if self._over:
            raise gym.error.ResetNeeded("the game is over: call reset()")
        actions = np.array([action])
        _, reasons = self.go.play(self._states, actions)
        if reasons[0]:
            self._over = True
            info = self._info(0.0) | {"refusal": Refusal(int(reasons[0])).sentence()}
            return self._observation(), -1.0, True, False, info
        self._states, reward, discount = self._game.step(self._states, actions, self.np_random)
        terminated = bool(discount[0] == 0)
        limit = self.go.rules.move_limit
        truncated = self._game is self.go and not terminated and int(self._states.moves[0]) >= limit
        self._over = terminated or truncated
        return self._observation(), float(reward[0]), terminated, truncated, self._info(float(discount[0]))

    def render(self) -> Any:
        """Return a picture, uint8 [H, W, 3], or a drawing in letters: `X` black, `O` white."""
        if self.render_mode == "rgb_array":
            return self.go.render(self._states)
        if self.render_mode == "ansi":
            return "\n".join(" ".join(".XO"[stone] for stone in row) for row in self._states.board[0].tolist()) + "\n"
        return None

    def _observation(self) -> Array:
        observation: Array = self.go.observe(self._states)[0]
        return observation

    def _info(self, discount: float) -> dict[str, Any]:
        info: dict[str, Any] = {
            "action_mask": self.go.legal(self._states)[0].astype(np.int8),
            "discount": discount,
            "to_move": int(self._states.to_move[0]),
        }
        if self._states.over[0]:
            info["score"] = float(self.go.score(self._states)[0])
        return info


if ID not in gym.registry:
    gym.register(ID, f"{__name__}:GoEnv")
