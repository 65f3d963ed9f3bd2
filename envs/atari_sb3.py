"""Atari games in stable-baselines3's own wrappers, for those who must reproduce its numbers (extra sb3-atari).

While training, a lost life ends the episode, and the next begins in the same game, as its EpisodicLifeEnv has it. In an
evaluation the game goes on by itself after a lost life, in the same way, and the episode is the game, as its Monitor
counts it. A game is seeded at its start and restored by replaying its actions.

Letters: B environments, k frames in a stack, H and W a picture's sides.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from tengen.envs._rows import row_generators
from tengen.envs.protocols import AtariProtocol
from tengen.errors import UserError
from tengen.types import Array, Bools, EnvSpec, Floats, Ints, State, TimeStep


class SB3AtariEnvironment:
    """B games side by side that never reset themselves.

    Args:
        env_id: As in `ALE/Breakout-v5`.
        num_envs: B.
        protocol: Its knobs go to stable-baselines3's AtariWrapper.
        training: Whether the protocol's rules for training hold, or those for evaluation.

    Raises:
        UserError: OpenCV is missing, or the protocol asks for something that the wrapper hasn't.
    """

    def __init__(self, env_id: str, num_envs: int, protocol: AtariProtocol, *, training: bool) -> None:
        self.protocol = protocol
        self.protocol_name = protocol.name
        self.evaluation_epsilon = protocol.evaluation_epsilon
        self._training = training
        self._clips = training and protocol.training_clip_rewards
        self._games = [_Game(env_id, protocol, training=training) for _ in range(num_envs)]
        size, k = protocol.screen_size, protocol.frame_stack
        self.spec = EnvSpec(
            id=env_id,
            observation_space=gym.spaces.Box(0, 255, (k, size, size), np.uint8),
            action_space=self._games[0].env.action_space,
            num_envs=num_envs,
            frame_stack=k,
        )
        self._generators: list[np.random.Generator] = []  # empty until the first reset
        self._observation = np.zeros((num_envs, k, size, size), np.uint8)
        self._reward: Floats = np.zeros(num_envs)
        self._score: Floats = np.zeros(num_envs)
        self._discount: Floats = np.ones(num_envs)
        self._first: Bools = np.zeros(num_envs, np.bool_)
        self._last: Bools = np.zeros(num_envs, np.bool_)

    @property
    def base_protocol(self) -> str:
        """The protocol's name, without the changes that its own name lists."""
        return self.protocol.name.partition(" (")[0]

    def reset(self, seed: int | Ints) -> TimeStep:
        """Start every row anew; an int seeds all rows, an array [B] gives each row's own seed."""
        self._generators = row_generators(seed, len(self._games))
        for row in range(len(self._games)):
            self._start_game(row, self._draw_seed(row) if np.ndim(seed) == 0 else int(np.asarray(seed)[row]))
        return self._step()

    def step(self, actions: Ints) -> TimeStep:
        """Play one action [B] in each row for `frame_skip` frames."""
        assert self._generators, "reset the environment before the first step"
        assert not self._last.any(), "a row is past its last step: call reset_done first"
        self._first[:] = False
        for row, action in enumerate(np.asarray(actions).tolist()):
            self._play(row, int(action))
        return self._step()

    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        """Start the finished rows: games that are over anew, lives that are lost in the game as it is."""
        for row in np.flatnonzero(self._last).tolist():
            game = self._games[row]
            if seeds is not None:
                self._start_game(row, int(seeds[row]))
            elif game.over:
                self._start_game(row, self._draw_seed(row))
            else:
                self._show_first(row, game.next_life())
        return self._step()

    @property
    def render_fps(self) -> float:
        """Pictures a second of a film at the console's pace; one picture is one step."""
        return 60 / self.protocol.frame_skip

    def render(self) -> Array:
        """Return row 0's screen in colour, uint8 [210, 160, 3]."""
        return np.array(self._games[0].env.render(), np.uint8)

    def state_dict(self) -> State:
        """Return each row's generator, its game's seed and actions, and the current TimeStep."""
        assert self._generators, "reset the environment first"
        rows = [
            {"seed": game.seed, "actions": np.array(game.actions, np.int8), "rng": generator.bit_generator.state}
            for game, generator in zip(self._games, self._generators, strict=True)
        ]
        return {"id": self.spec.id, "rows": rows, "step": self._arrays()}

    def load_state_dict(self, state: State) -> None:
        """Play every row's game again.

        Raises:
            UserError: It is another environment's state, or the games that came out are not those that were saved.
        """
        saved = {name: np.array(value) for name, value in state["step"].items()}
        if state["id"] != self.spec.id or len(state["rows"]) != len(self._games):
            raise UserError(
                f"the saved state holds {len(state['rows'])} games of {state['id']}, expected {len(self._games)} of"
                f" {self.spec.id}; resume with the environments that the run was started with"
            )
        self._generators = row_generators(0, len(self._games))
        for row, row_state in enumerate(state["rows"]):
            self._start_game(row, int(row_state["seed"]))
            for action in np.asarray(row_state["actions"]).tolist():
                if self._last[row]:
                    self._show_first(row, self._games[row].next_life())
                self._play(row, int(action))
            if self._last[row] and not saved["last"][row]:
                self._show_first(row, self._games[row].next_life())
            if not np.array_equal(self._observation[row], saved["observation"][row]):
                raise UserError(
                    f"the games of {self.spec.id} could not be restored exactly: replaying their actions gave other"
                    " pictures than were saved; use the versions that the run was made with"
                )
            self._generators[row].bit_generator.state = row_state["rng"]
        for name, array in self._arrays().items():
            array[...] = saved[name]

    def close(self) -> None:
        """Free the games."""
        for game in self._games:
            game.env.close()

    def _arrays(self) -> dict[str, Array]:
        names = ("observation", "reward", "score", "discount", "first", "last")
        return {name: getattr(self, f"_{name}") for name in names}

    def _step(self) -> TimeStep:
        return TimeStep(
            observation=self._observation.copy(),
            reward=self._reward.copy(),
            discount=self._discount.copy(),
            first=self._first.copy(),
            last=self._last.copy(),
            score=self._score.copy() if self._clips else None,
        )

    def _draw_seed(self, row: int) -> int:
        return int(self._generators[row].integers(2**31))

    def _start_game(self, row: int, seed: int) -> None:
        if seed < 0:
            raise UserError(f"a seed must be 0 or more, got {seed}")
        self._show_first(row, self._games[row].start(seed))

    def _show_first(self, row: int, picture: Array) -> None:
        self._observation[row, :-1] = 0
        self._observation[row, -1] = picture
        self._reward[row] = self._score[row] = 0.0
        self._discount[row], self._first[row], self._last[row] = 1.0, True, False

    def _play(self, row: int, action: int) -> None:
        game = self._games[row]
        picture, reward, terminated, truncated = game.play(action)
        self._observation[row, :-1] = self._observation[row, 1:].copy()
        self._observation[row, -1] = picture
        self._score[row] = game.take_score()
        self._reward[row] = reward if self._clips else self._score[row]
        self._discount[row] = 0.0 if terminated else 1.0
        self._first[row], self._last[row] = False, terminated or truncated
        if not self._training and self._last[row] and not game.over:  # a life: an evaluation's game goes on by itself
            games_before = game.num_games
            picture = game.next_life()
            if game.num_games != games_before:
                return  # it ended in the step without action
            self._observation[row, :-1] = 0
            self._observation[row, -1] = picture
            self._discount[row], self._last[row] = 1.0, False


class _Game:
    """One game in stable-baselines3's wrappers."""

    def __init__(self, env_id: str, protocol: AtariProtocol, *, training: bool) -> None:
        import ale_py

        try:
            from stable_baselines3.common import atari_wrappers
        except ImportError as error:
            raise UserError(f"the protocol {protocol.name} needs stable-baselines3: {error}") from error
        if atari_wrappers.cv2 is None:  # type: ignore[attr-defined]  # where it keeps OpenCV, if it found it
            raise UserError(f"the protocol {protocol.name} needs OpenCV: pip install 'tengen[sb3-atari]'")
        if not (protocol.max_pool and protocol.grayscale and protocol.fire_reset):
            raise UserError(
                f"the protocol {protocol.name} can't have max_pool, grayscale or fire_reset off: stable-baselines3's"
                " AtariWrapper has no such setting"
            )
        gym.register_envs(ale_py)
        self._counter = _Counter(
            gym.make(
                env_id,
                frameskip=1,
                repeat_action_probability=0.0,
                full_action_space=protocol.full_action_set,
                max_num_frames_per_episode=protocol.training_max_frames if training else protocol.evaluation_max_frames,
                render_mode="rgb_array",
                disable_env_checker=True,
            )
        )
        self.env: gym.Env[Any, Any] = atari_wrappers.AtariWrapper(
            self._counter,
            noop_max=protocol.training_noop_max if training else protocol.evaluation_noop_max,
            frame_skip=protocol.frame_skip,
            screen_size=protocol.screen_size,
            terminal_on_life_loss=protocol.training_life_loss_ends_value,
            clip_reward=protocol.training_clip_rewards,
            action_repeat_probability=protocol.sticky_action_probability,
        )
        self._lives: Any = None
        layer: Any = self.env
        while isinstance(layer, gym.Wrapper):
            if isinstance(layer, atari_wrappers.EpisodicLifeEnv):
                self._lives = layer
            layer = layer.env
        self.seed = 0
        self.actions: list[int] = []

    @property
    def over(self) -> bool:
        """Whether the game itself has ended, rather than a life in it."""
        return self._lives is None or bool(self._lives.was_real_done)

    @property
    def num_games(self) -> int:
        """Games begun so far."""
        return self._counter.num_games

    def start(self, seed: int) -> Array:
        """Begin a game of a seed; return its first picture [H, W]."""
        if self._lives is not None:
            self._lives.was_real_done = True  # or the wrapper would only go on to the next life
        self.seed, self.actions = seed, []
        observation, _ = self.env.reset(seed=seed)
        return np.asarray(observation)[..., 0]

    def next_life(self) -> Array:
        """Go on after a lost life; return the first picture [H, W]."""
        observation, _ = self.env.reset()
        return np.asarray(observation)[..., 0]

    def play(self, action: int) -> tuple[Array, float, bool, bool]:
        """Play an action; return a picture [H, W], the reward, and whether it terminated or was truncated."""
        self.actions.append(action)
        observation, reward, terminated, truncated, _ = self.env.step(action)
        return np.asarray(observation)[..., 0], float(reward), terminated, truncated

    def take_score(self) -> float:
        """Return the game's own points since this was last called, those of steps without action included."""
        score, self._counter.points = self._counter.points, 0.0
        return score


class _Counter(gym.Wrapper[Any, Any, Any, Any]):
    """Counts points and games beneath the wrappers, where stable-baselines3 has its Monitor."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.points = 0.0
        self.num_games = 0

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Begin a game."""
        self.points = 0.0
        self.num_games += 1
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Play a frame."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.points += float(reward)
        return observation, reward, terminated, truncated, info
