"""Engines of Go that play random games: ours, OpenSpiel, pgx, PettingZoo. One ply: list the legal moves, play one.

All games are from the empty board, each legal action as likely as any other, new ones after those that end.

B games side by side, N points along a side.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import random
import time
import warnings
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from tengen.actions import random_actions
from tengen.envs.go import _game_kernels, _move_kernels
from tengen.envs.go.rules import Rules
from tengen.envs.go.simulator import Go
from tengen.types import TimeStep

BATCH = 256


class Side(Protocol):
    """What is timed."""

    package: str
    name: str
    repeats: str  # what it does about positions that come again

    def turn(self, seconds: float) -> float:
        """Return plies/s over some time."""
        ...


class Compiled:
    """Our kernels: whole games in one call."""

    package, name, repeats = "tengen", "compiled loop, one game", "positional superko, exactly"

    def __init__(self, size: int) -> None:
        self._size, limit = size, 2 * size * size
        self._law = _move_kernels.Law(_move_kernels.POSITIONAL, False, limit, 0)
        self._record, self._choices = np.zeros(limit, np.int16), np.zeros(limit, np.int16)
        self._rng = np.random.default_rng(0)

    def turn(self, seconds: float) -> float:
        """Return plies/s over some time."""
        count, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds or not count:
            seeds = self._rng.integers(1, 2**64, 16, dtype=np.uint64)
            count += _game_kernels.random_games(self._size, self._law, seeds, self._record, self._choices)
        return count / took


class Batched:
    """Our simulator, stepped from Python: `legal` and `step` of B games."""

    package, name, repeats = "tengen", f"Python loop, {BATCH} games", "positional superko, exactly"

    def __init__(self, size: int) -> None:
        self._go, self._rng = Go(Rules(size=size)), np.random.default_rng(0)
        self._start = self._go.init(self._rng, BATCH)
        self._states = self._start

    def turn(self, seconds: float) -> float:
        """Return plies/s over some time."""
        go, zeros = self._go, np.zeros(BATCH)
        count, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds or not count:
            legal = go.legal(self._states)
            step = TimeStep(zeros, zeros, zeros, zeros > 0, zeros > 0, legal)
            actions = random_actions(step, go.num_actions, self._rng)
            self._states, _, discount = go.step(self._states, actions, self._rng)
            count += BATCH
            over = discount == 0
            if over.any():
                leaves: list[Any] = list(self._states)  # they are ours: `step` returned new ones
                starts: list[Any] = list(self._start.rows(over))
                for leaf, start in zip(leaves, starts, strict=True):
                    leaf[over] = start
        return count / took


class OpenSpiel:
    """Its C++ states, stepped from Python as it offers them."""

    package, name, repeats = "open_spiel", "Python loop, one game", "a repeat ends the game as a tie"

    def __init__(self, size: int) -> None:
        self._game = importlib.import_module("pyspiel").load_game(f"go(board_size={size})")
        self._random = random.Random(0)
        self._state = self._game.new_initial_state()

    def turn(self, seconds: float) -> float:
        """Return plies/s over some time."""
        count, began, state, choice = 0, time.perf_counter(), self._state, self._random.random
        while (took := time.perf_counter() - began) < seconds:
            for _ in range(200):
                legal = state.legal_actions()
                state.apply_action(legal[int(choice() * len(legal))])
                if state.is_terminal():
                    state = self._game.new_initial_state()
            count += 200
        self._state = state
        return count / took


class Pgx:
    """Its compiled step over B games, a hundred plies to a call."""

    package, name, repeats = "pgx", f"compiled loop, {BATCH} games", "looks back 8 plies"

    def __init__(self, size: int) -> None:
        jax = importlib.import_module("jax")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            env = importlib.import_module("pgx.go").Go(size=size, komi=7.5)
        wrapped = importlib.import_module("pgx.experimental").auto_reset(env.step, env.init)

        def ply(carry: Any, key: Any) -> Any:
            state, logits = carry, jax.numpy.where(carry.legal_action_mask, 0.0, -1e9)
            chosen = jax.random.categorical(key, logits)
            return jax.vmap(wrapped)(state, chosen, jax.random.split(key, BATCH)), None

        self._jax, self._num_plies = jax, 20
        self._run = jax.jit(lambda state, key: jax.lax.scan(ply, state, jax.random.split(key, self._num_plies))[0])
        self._key = jax.random.PRNGKey(0)
        self._state = jax.jit(jax.vmap(env.init))(jax.random.split(self._key, BATCH))
        self._state = jax.block_until_ready(self._run(self._state, self._key))  # compiles

    def turn(self, seconds: float) -> float:
        """Return plies/s over some time."""
        count, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds or not count:
            self._key, key = self._jax.random.split(self._key)
            self._state = self._jax.block_until_ready(self._run(self._state, key))
            count += BATCH * self._num_plies
        return count / took


class PettingZoo:
    """Its environment `go_v5`, in pure Python, without wrappers."""

    package, name, repeats = "pettingzoo", "Python loop, one game", "ignores superko"

    def __init__(self, size: int) -> None:
        module = importlib.import_module("pettingzoo.classic.go.go")
        self._env = module.raw_env(board_size=size, komi=7.5)
        self._random = random.Random(0)
        self._env.reset(seed=0)

    def turn(self, seconds: float) -> float:
        """Return plies/s over some time."""
        env, count, began = self._env, 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds:
            for _ in range(20):
                agent = env.agent_selection
                if env.terminations[agent] or env.truncations[agent]:
                    env.reset()
                    agent = env.agent_selection
                legal = np.flatnonzero(env.observe(agent)["action_mask"])
                env.step(int(legal[int(self._random.random() * len(legal))]))
            count += 20
        return count / took


def sides(size: int) -> tuple[list[Side], list[str]]:
    """Return the sides for a size of board, ours first, and which can't be had and why."""
    makers: list[Callable[[int], Side]] = [Compiled, Batched, OpenSpiel, Pgx, PettingZoo]
    found, missing = [], []
    for make in makers:
        try:
            found.append(make(size))
        except ImportError as error:
            missing.append(f"{make.package} is left out: {error}")  # type: ignore[attr-defined]  # each has it
    return found, missing
