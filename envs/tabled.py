"""Gymnasium environments that have transition tables: stepped themselves, or on their tables by a compiled loop.

B environments side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete

from tengen.envs._rows import Rows, row_generators
from tengen.envs.gymnasium_env import array_space, picture_of
from tengen.errors import UserError
from tengen.tables import TransitionTables, World
from tengen.types import Array, EnvSpec, Ints, State, TimeStep

_NEVER = 2**62  # steps: no limit


class TabledEnvironment:
    """B Gymnasium environments whose state is a number `s` and whose chance is their `np_random`.

    They are seeded once and not at each episode, which would take longer than the episode. Their state is therefore
    their number, their generator and the steps since the episode's start.

    Args:
        env_id: The name to report.
        envs: At least one, all alike, unwrapped: each step must draw from `np_random` as `TransitionTables` says. They
            are this object's own from now on.
        tables: Theirs.
        limit: Truncates episodes at this many steps; None for no limit.
    """

    def __init__(
        self, env_id: str, envs: Sequence[gym.Env[Any, Any]], tables: TransitionTables, limit: int | None
    ) -> None:
        assert envs, "no environment"
        assert isinstance(envs[0].action_space, Discrete)
        self._envs: list[Any] = list(envs)  # with `s` and maybe `tables`, which Gymnasium's type doesn't know
        self._tables = tables
        self._limit = limit
        observation_space = array_space(env_id, envs[0].observation_space)
        assert observation_space.shape is not None
        self.spec = EnvSpec(
            id=env_id,
            observation_space=observation_space,
            action_space=Discrete(int(envs[0].action_space.n)),
            num_envs=len(envs),
            has_legal=len(tables.legal) > 0,
            max_episode_steps=limit,
            model=tables,
        )
        self._rows = Rows(
            len(envs),
            observation_space.shape,
            observation_space.dtype,
            tables.num_actions if len(tables.legal) else None,
        )
        self._lengths = np.zeros(len(envs), np.int64)  # [B], steps since each row's reset
        self._started = False

    def reset(self, seed: int | Ints) -> TimeStep:
        """Start every row anew; a seed S of a row's own gives the episode of `gymnasium.make(id).reset(seed=S)`."""
        self._started = True
        if np.ndim(seed) == 0:
            seeds = [int(generator.integers(2**31)) for generator in row_generators(seed, len(self._envs))]
        else:
            seeds = [int(own) for own in np.asarray(seed)]
        for row, own in enumerate(seeds):
            self._reset_row(row, own)
        return self._rows.copy_out()

    def step(self, actions: Ints) -> TimeStep:
        """Apply one action [B] to each row. No row may be past its `last`."""
        rows = self._rows
        assert self._started, "step before reset"
        assert not np.count_nonzero(rows.last), "a finished row was stepped: call reset_done first"
        assert len(actions) == len(self._envs), f"{len(actions)} actions for {len(self._envs)} environments"
        rows.first[:] = False
        self._lengths += 1
        for row, action in enumerate(np.asarray(actions).tolist()):
            assert 0 <= action < self.spec.num_actions, f"action {action}, but only {self.spec.num_actions} exist"
            observation, reward, terminated, _, _ = self._envs[row].step(action)
            rows.observation[row] = observation
            rows.reward[row] = reward
            rows.discount[row] = 0.0 if terminated else 1.0
            rows.last[row] = terminated or (self._limit is not None and self._lengths[row] >= self._limit)
            self._show_legal(row)
        return rows.copy_out()

    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        """Start the finished rows, leave the others as they were, and return the current TimeStep."""
        assert self._started, "reset_done before reset"
        for row in self._rows.last.nonzero()[0].tolist():
            self._reset_row(row, None if seeds is None else int(seeds[row]))
        return self._rows.copy_out()

    def world(self) -> World | None:
        """Return what a compiled loop needs to step the only row; None where there are more rows.

        After it has run, `went_on` takes over where it left off.
        """
        if len(self._envs) > 1:
            return None
        assert self._started, "world before reset"
        rows, env = self._rows, self._envs[0]
        return World(
            getattr(env, "tables", self._tables),
            np.array([env.s, self._lengths[0], rows.last[0]], np.int64),
            np.array([rows.reward[0], rows.discount[0]]),
            _NEVER if self._limit is None else self._limit,
            env.np_random,
        )

    def steps_until_change(self) -> int | None:
        """Return for how many steps more the tables of `world` hold; None: for ever."""
        until = getattr(self._envs[0], "steps_until_change", None)
        return None if until is None else until()

    def went_on(self, world: World, num_steps: int) -> None:
        """Be where a compiled loop of `num_steps` steps left the world."""
        if num_steps == 0:
            return
        env, rows = self._envs[0], self._rows
        env.s = int(world.position[0])
        if hasattr(env, "num_steps"):
            env.num_steps += num_steps
        self._lengths[0] = world.position[1]
        observation = world.tables.observation[env.s] if len(world.tables.observation) else env.s
        rows.observation[0] = self._observed(int(observation))
        rows.reward[0], rows.discount[0] = world.feedback
        rows.first[0], rows.last[0] = False, world.position[2] != 0
        self._show_legal(0)

    @property
    def render_fps(self) -> float:
        """Pictures a second of a film at the pace that the environment asks for; one picture is one step."""
        return float(self._envs[0].metadata.get("render_fps") or 30)

    def render(self) -> Array:
        """Return a picture of row 0, uint8 [H, W, 3].

        Raises:
            UserError: It can't draw itself, or was made without `render_mode="rgb_array"`.
        """
        return picture_of(self.spec.id, self._envs[0])

    def state_dict(self) -> State:
        """Return each row's state, generator and length, and the current TimeStep."""
        assert self._started, "state_dict before reset"
        return {
            "rows": [
                {
                    "s": int(env.s),
                    "rng": env.np_random.bit_generator.state,
                    "num_steps": int(getattr(env, "num_steps", 0)),
                }
                for env in self._envs
            ],
            "lengths": self._lengths,
            "step": self._rows.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state_dict` was taken.

        Raises:
            UserError: It is another environment's state.
        """
        self._rows.load_state_dict(state["step"])  # refuses another number of rows
        self._lengths[:] = state["lengths"]
        self._started = True
        for env, row in zip(self._envs, state["rows"], strict=True):
            if not 0 <= row["s"] < self._tables.num_states:
                raise UserError(f"the saved state {row['s']} is not one of {self.spec.id}: it is another environment's")
            env.reset(seed=0)
            env.np_random.bit_generator.state = row["rng"]
            env.s = int(row["s"])
            if hasattr(env, "num_steps"):
                env.num_steps = int(row["num_steps"])

    def close(self) -> None:
        """Close every row's environment."""
        for env in self._envs:
            env.close()

    def _reset_row(self, row: int, seed: int | None) -> None:
        observation, _ = self._envs[row].reset(seed=seed)
        rows = self._rows
        self._lengths[row] = 0
        rows.observation[row] = observation
        rows.reward[row] = 0.0
        rows.discount[row] = 1.0
        rows.first[row] = True
        rows.last[row] = False
        self._show_legal(row)

    def _show_legal(self, row: int) -> None:
        if self._rows.legal is not None:
            over = self._rows.discount[row] == 0.0
            self._rows.legal[row] = True if over else self._tables.legal[self._envs[row].s]

    def _observed(self, number: int) -> Array:
        """Return the observation of a number: itself, or the parts of a row, last part fastest."""
        space = self.spec.observation_space
        if isinstance(space, MultiDiscrete):
            return np.array(np.unravel_index(number, tuple(space.nvec))) + space.start
        return np.array(number)
