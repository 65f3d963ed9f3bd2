"""MinAtar (Young & Tian 2019, arXiv:1903.03176): five miniature Atari games on a grid of 10x10, of the package MinAtar.

The package's own Gymnasium environments aren't used: they carry the last action, which a sticky action repeats, over a
reset, so that a seeded episode depends on the one before it. And their import brings plotting libraries, for a second.

C channels: what is where, such as the ball, the paddle and the bricks.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete

from tengen.contracts import Environment
from tengen.envs import gymnasium_env
from tengen.envs.config import EnvConfig
from tengen.types import Array

GAMES = {
    "Asterix": "asterix",
    "Breakout": "breakout",
    "Freeway": "freeway",
    "Seaquest": "seaquest",
    "SpaceInvaders": "space_invaders",
}
"""The module of each game."""

# The package has no limit of its own, but in Freeway. Seaquest's submarine may stay at the surface for ever; 10,000 is
# the limit of Lan et al. (2020, "Maxmin Q-learning").
MAX_EPISODE_STEPS = 10_000

_CELL = 32  # pixels


def make(config: EnvConfig, *, training: bool) -> Environment:
    """Make MinAtar games: `MinAtar/<Game>-v0` with all six actions, `-v1` with those that do something in the game.

    Raises:
        UserError: The id or a setting is wrong, or the package is missing.
    """
    _register()
    return gymnasium_env.make(config, training=training)


class MinAtar(gym.Env[Array, int]):
    """One game. A seed's episode is that of the package's `Environment` seeded with it and new.

    Observations are its channels first, uint8 [C, 10, 10] of 0 and 1.

    Args:
        game: The name of its module in the package.
        minimal: Leave out the actions that do nothing in this game.
        sticky_action_prob: Probability of repeating the last action instead of the one chosen.
        difficulty_ramping: Let the game become harder the longer it is played, where it does.
        render_mode: Always "rgb_array": a picture costs nothing until `render` is called.

    Raises:
        DependencyNotInstalled: The package is missing.
        ValueError: The probability is out of range.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 -- as Gymnasium declares it

    def __init__(
        self,
        game: str,
        minimal: bool = False,
        sticky_action_prob: float = 0.1,
        difficulty_ramping: bool = True,
        render_mode: str = "rgb_array",
    ) -> None:
        if not 0.0 <= sticky_action_prob <= 1.0:
            raise ValueError(f"sticky_action_prob must be from 0 to 1, got {sticky_action_prob}")
        self._game = _module(game).Env(ramping=difficulty_ramping)
        self._actions: list[int] = self._game.minimal_action_set() if minimal else list(range(6))
        self._sticky_action_prob = sticky_action_prob
        self._last_action = 0
        self.render_mode = render_mode
        height, width, channels = self._game.state_shape()
        self.action_space = Discrete(len(self._actions))  # type: ignore[assignment]  # its numbers are ints as well
        self.observation_space = Box(0, 1, (channels, height, width), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Start an episode; seeds count modulo 2**32."""
        super().reset(seed=seed)
        if seed is None:
            seed = int(self.np_random.integers(2**32))
        # The games call methods that only the old generator has.
        self._random = np.random.RandomState(seed % 2**32)
        self._game.random = self._random
        self._game.reset()
        self._last_action = 0
        return self._observation(), {}

    def step(self, action: int) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Play one frame."""
        chosen = self._actions[action]
        if self._random.random_sample() < self._sticky_action_prob:
            chosen = self._last_action
        self._last_action = chosen
        reward, terminated = self._game.act(chosen)
        return self._observation(), float(reward), bool(terminated), False, {}

    def render(self) -> Array:
        """Return a picture, uint8 [320, 320, 3]: each channel its colour, later channels over earlier ones."""
        state = self._game.state()  # [10, 10, C]
        numbers = np.amax(state * np.arange(1, state.shape[2] + 1), axis=2)  # [10, 10]
        picture: Array = _palette(state.shape[2])[numbers]
        return picture.repeat(_CELL, axis=0).repeat(_CELL, axis=1)

    def _observation(self) -> Array:
        observation: Array = self._game.state().transpose(2, 0, 1).astype(np.uint8)
        return observation


def _register() -> None:
    """Have Gymnasium know the games; anew each time, as the package's own registration has the same ids."""
    for name, game in GAMES.items():
        for version in range(2):
            env_id = f"MinAtar/{name}-v{version}"
            gym.registry.pop(env_id, None)
            gym.register(
                env_id,
                f"{__name__}:MinAtar",
                max_episode_steps=MAX_EPISODE_STEPS,
                kwargs={"game": game, "minimal": version == 1},
            )


@cache
def _module(game: str) -> ModuleType:
    """Import a game's module by its place: the package's `__init__` would import matplotlib and seaborn."""
    try:
        place = distribution("MinAtar").locate_file(f"minatar/environments/{game}.py")
    except PackageNotFoundError as error:
        raise gym.error.DependencyNotInstalled("`pip install tengen[minatar]` installs it") from error
    spec = importlib.util.spec_from_file_location(f"{__name__}.{game}", str(place))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def _palette(num_channels: int) -> Array:
    """Return colours, uint8 [C + 1, 3]: black, then the "cubehelix" of Green (2011), section 3, as in the package."""
    x = np.linspace(0, 1, num_channels + 2)[1:-1, None]
    angle = 2 * np.pi * (0.5 / 3 + 1 - 1.5 * x)
    amplitude = x * (1 - x) / 2
    cosine, sine = np.array([-0.14861, -0.29227, 1.97294]), np.array([1.78277, -0.90649, 0.0])
    colours = x + amplitude * (np.cos(angle) * cosine + np.sin(angle) * sine)
    colours = np.concatenate([np.zeros((1, 3)), colours.clip(0, 1)])
    return (colours * 255).round().astype(np.uint8)


_register()
