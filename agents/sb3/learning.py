"""stable-baselines3's `learn`, run one turn at a time, and put back to where it was.

`learn` can be left only where it asks for a step, deep inside a rollout (the turns between two stretches of updates),
and a thread's stack can't be saved. But networks and optimizer stand still during a rollout. So the state is what
they hold, with everything else as it was when the rollout began, and what was shown since: to restore it, the rollout
is gone through again.
"""

from __future__ import annotations

import numbers
from collections import deque
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger

from tengen.agents.sb3.adapter import Shown
from tengen.agents.sb3.randomness import OwnRandomness
from tengen.agents.sb3.turns import Partner
from tengen.errors import UserError
from tengen.types import Array, State

_COUNTERS = (
    *("num_timesteps", "_episode_num", "_n_updates", "_n_calls", "_total_timesteps"),
    *("_current_progress_remaining", "exploration_rate"),
)
_LOGGED = ("rollout/", "train/")


class Learning:
    """A model's `learn` as a partner that asks for turns.

    Args:
        model: stable-baselines3's, whose environment asks `ask`.
        goal: Environment steps that `learn` is called for.
        randomness: What it draws from.
    """

    def __init__(self, model: Any, goal: int, randomness: OwnRandomness) -> None:
        self.model = model
        self.goal = goal
        self.randomness = randomness
        self.values = _LastValues()
        self.rollout: list[Shown] = []  # what was shown since the rollout began
        model.set_logger(Logger(folder=None, output_formats=[self.values]))
        self._partner: Partner | None = None
        with randomness.in_place():
            self.beginning = self._look()  # everything but networks and replay, as the rollout began

    @property
    def started(self) -> bool:
        """Whether `learn` is under way."""
        return self._partner is not None

    @property
    def rollout_length(self) -> int:
        """Turns of a rollout."""
        train_freq = getattr(self.model, "train_freq", None)
        return int(self.model.n_steps if train_freq is None else train_freq.frequency)

    @property
    def num_rows(self) -> int:
        """Rows that were ever added to the replay."""
        return int(self.beginning["counters"].get("_n_calls", 0)) + len(self.rollout)

    def ends_with_next_turn(self) -> bool:
        """Whether the next turn is the last that `learn` asks for."""
        turns = len(self.rollout) + 1
        done = self.beginning["counters"]["num_timesteps"] + turns * self.model.n_envs
        return turns == self.rollout_length and done >= self._total()

    def start(self, observation: Array) -> Array:
        """Call `learn`, which begins a rollout; return the actions [B] that it asks for.

        Args:
            observation: [B, ...], used where no rollout was loaded.
        """
        again, self.rollout = self.rollout, []
        self._partner = Partner(self._learn)
        actions: Array | None = self._go_on(None)
        if actions is None:  # it asks for the first observations: it was not in the midst of anything
            actions = self._go_on(observation)
        for shown in again:
            actions = self.show(shown)
        assert actions is not None, "a rollout that was gone through again does not end"
        return actions

    def show(self, shown: Shown) -> Array | None:
        """Show what followed; return the actions [B] that it asks for next, or None where it is done."""
        self.rollout.append(shown)
        actions: Array | None = self._go_on(shown)
        if self._partner is not None and self._partner.done:
            self._partner = None
            self.rollout = []
            self.model._last_obs = None  # whatever follows begins with a look at the environment
            with self.randomness.in_place():
                self.beginning = self._look()
        return actions

    def ask(self, actions: Array | None) -> Any:
        """Be asked by the environment: hand over actions, wait for what follows."""
        assert self._partner is not None
        return self._partner.hand_over(actions)

    def stop(self) -> None:
        """End the thread."""
        if self._partner is not None:
            self._partner.stop()
            self._partner = None

    def load(self, beginning: State, rollout: list[Shown]) -> None:
        """Be where a state was taken, once started."""
        self.stop()
        self.beginning, self.rollout = beginning, rollout
        model = self.model
        for name, value in beginning["counters"].items():
            setattr(model, name, value)
        episodes = [
            {"r": r, "l": length, "t": 0.0}
            for r, length in zip(beginning["episode_returns"], beginning["episode_lengths"], strict=True)
        ]
        model.ep_info_buffer = deque(episodes, maxlen=model._stats_window_size)
        model.ep_success_buffer = deque(maxlen=model._stats_window_size)
        observation, starts = beginning["observation"], beginning["episode_starts"]
        model._last_obs = None if observation is None else np.array(observation)
        model._last_episode_starts = None if starts is None else np.array(starts)
        model.action_space.np_random.bit_generator.state = beginning["action_rng"]
        self.randomness.load_state_dict(beginning["random"])
        model.logger.name_to_value.clear()
        model.logger.name_to_value.update(beginning["logged"])
        model.logger.name_to_excluded.clear()
        model.logger.name_to_excluded.update(dict.fromkeys(beginning["logged"], ()))
        self.values.last = dict(beginning["dumped"])

    def metrics(self) -> dict[str, float]:
        """Return what it logged last, under its own names."""
        logged = {**self.values.last, **self.model.logger.name_to_value}
        return _numbers(logged)

    def _total(self) -> int:
        counters = self.beginning["counters"]
        if counters["num_timesteps"] < counters["_total_timesteps"]:
            return int(counters["_total_timesteps"])
        return int(counters["num_timesteps"]) + self.goal

    def _learn(self) -> None:
        more = self._total() - self.model.num_timesteps
        self.model.learn(more, callback=_Beginnings(self), reset_num_timesteps=False)

    def _go_on(self, value: Any) -> Any:
        assert self._partner is not None
        try:
            with self.randomness.in_place():
                return self._partner.go_on(value)
        except (MemoryError, KeyboardInterrupt):
            raise
        except Exception as error:
            self._partner = None
            name = type(self.model).__name__
            raise UserError(f"stable-baselines3's {name} failed: {type(error).__name__}: {error}") from error

    def note_beginning(self) -> None:
        """Take note of everything that a rollout changes, in the model's own thread."""
        self.beginning, self.rollout = self._look(), []

    def _look(self) -> State:
        model = self.model
        episodes = list(model.ep_info_buffer or ())
        observation, starts = model._last_obs, model._last_episode_starts
        return {
            "counters": {name: _plain(getattr(model, name)) for name in _COUNTERS if hasattr(model, name)},
            "episode_returns": np.array([float(episode["r"]) for episode in episodes]),
            "episode_lengths": np.array([int(episode["l"]) for episode in episodes], np.int64),
            "observation": observation,
            "episode_starts": starts,
            "action_rng": model.action_space.np_random.bit_generator.state,
            "random": self.randomness.state_in_place(),
            "logged": _numbers(model.logger.name_to_value),
            "dumped": dict(self.values.last),
        }


class _Beginnings(BaseCallback):
    """Takes note of where each rollout begins."""

    def __init__(self, learning: Learning) -> None:
        super().__init__()
        self._learning = learning

    def _on_rollout_start(self) -> None:
        self._learning.note_beginning()

    def _on_step(self) -> bool:
        return True


class _LastValues(KVWriter):
    """Keeps the values that a logger wrote last."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Keep values."""
        self.last.update(_numbers(key_values))

    def close(self) -> None:
        """Do nothing."""


def _numbers(values: Any) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in values.items()
        if name.startswith(_LOGGED) and isinstance(value, numbers.Real)
    }


def _plain(value: Any) -> int | float:
    return int(value) if isinstance(value, numbers.Integral) else float(value)
