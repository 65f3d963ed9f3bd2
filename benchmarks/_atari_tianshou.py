"""Tianshou's DQN on Tengen's emulation of Atari, for `dqn_atari.py`."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from tengen.envs import EnvConfig, make_env

PACKAGE = "tianshou"


class OneGame(gym.Env[Any, Any]):
    """One row of a Tengen environment for Gymnasium; after a life that was lost, `reset` goes on with the game.

    Args:
        config: The environment.
        seed: Of the environment.
        returns: Takes the returns of whole games.
    """

    def __init__(self, config: EnvConfig, seed: int, returns: list[float]) -> None:
        self._env = make_env(EnvConfig(config.id, 1, config.protocol), training=True)
        self.observation_space, self.action_space = self._env.spec.observation_space, self._env.spec.action_space
        self._returns, self._return = returns, 0.0
        self._next = self._env.reset(seed)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Return what is seen; a game that is over was begun anew already."""
        return self._next.observation[0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take an action; a life that was lost ends an episode."""
        step = self._env.step(np.array([action]))
        self._return += float((step.reward if step.score is None else step.score)[0])
        if step.last[0]:
            self._returns.append(self._return)
            self._return = 0.0
        self._next = self._env.reset_done()
        lost = bool(step.discount[0] == 0)
        return step.observation[0], float(step.reward[0]), lost, bool(step.last[0] and not lost), {}


class Tianshou:
    """Tianshou's DQN: its collector for 4 steps of each 4 rows, its replay that keeps each frame once, one update."""

    def __init__(self, env: EnvConfig, settings: argparse.Namespace, learn_start: int) -> None:
        dqn = importlib.import_module("tianshou.algorithm.modelfree.dqn")
        base = importlib.import_module("tianshou.algorithm.algorithm_base")
        optim = importlib.import_module("tianshou.algorithm.optim")
        data = importlib.import_module("tianshou.data")
        atari = importlib.import_module("tianshou.env.atari.atari_network")
        venvs = importlib.import_module("tianshou.env")
        np.random.seed(0)  # noqa: NPY002  # which Tianshou draws from
        torch.manual_seed(0)
        self.returns: list[float] = []
        self._settings, self._learn_start, self._num_envs = settings, learn_start, env.num_envs
        games = venvs.DummyVectorEnv([lambda row=row: OneGame(env, row, self.returns) for row in range(env.num_envs)])
        space = games.action_space[0]
        net = atari.DQNet(c=4, h=84, w=84, action_shape=int(space.n))
        self._policy = dqn.DiscreteQLearningPolicy(
            model=atari.ScaledObsInputActionReprNet(net), action_space=space, observation_space=None
        )
        self._algorithm = dqn.DQN(
            policy=self._policy,
            optim=optim.AdamOptimizerFactory(lr=1e-4),
            gamma=0.99,
            target_update_freq=250,
            is_double=False,
        )
        self._buffer = data.VectorReplayBuffer(
            settings.capacity, env.num_envs, ignore_obs_next=True, save_only_last_obs=True, stack_num=4
        )
        self._training_step: Any = base.policy_within_training_step
        self._collector = data.Collector(self._algorithm, games, self._buffer, exploration_noise=True)
        self._collector.reset()
        self.num_steps = self.updates = 0
        self.loss = float("nan")

    def run(self, num_steps: int) -> None:
        """Train for a number of steps."""
        pieces = max(4, self._num_envs)
        for _ in range(num_steps // pieces):
            with self._training_step(self._policy):
                epsilon = max(0.05, 1 - 0.95 * self.num_steps / self._settings.epsilon_steps)
                self._policy.set_eps_training(1.0 if self.num_steps < self._learn_start else epsilon)
                self._collector.collect(n_step=pieces)
                self.num_steps += pieces
                if self.num_steps > self._learn_start:
                    for _ in range(pieces // 4):
                        self.loss = float(self._algorithm.update(self._buffer, 32).loss)
                        self.updates += 1
