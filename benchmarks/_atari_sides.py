"""The sides of `dqn_atari.py` that are always there: Tengen, SB3 with Tengen's emulation and its own, a plain loop."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Protocol

import ale_py
import gymnasium as gym
import numpy as np
import torch
from _atari_tianshou import Tianshou
from stable_baselines3 import DQN as SB3DQN
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack
from torch import nn

from tengen.agents.dqn.config import DQNConfig
from tengen.envs import EnvConfig, make_env
from tengen.loop import interact

LEARN_START = 1_000


class Side(Protocol):
    """What is compared."""

    @property
    def updates(self) -> int:
        """Gradient updates so far."""
        ...

    @property
    def loss(self) -> float:
        """The latest loss."""
        ...

    @property
    def returns(self) -> list[float]:
        """Returns of the training episodes."""
        ...

    def run(self, num_steps: int) -> None:
        """Train for a number of steps."""
        ...


def make_side(name: str, settings: argparse.Namespace) -> Side:
    """Return a side: "tengen PRECISION", "plain", "tianshou", "sb3" or, with its own emulation, "sb3 as is"."""
    torch.set_num_threads(settings.threads)
    env = EnvConfig(settings.env, settings.num_envs, settings.protocol)
    if name.startswith("tengen "):
        return Tengen(env, settings, name.removeprefix("tengen "))
    others: dict[str, Callable[[], Side]] = {
        "plain": lambda: Plain(env, settings),
        "tianshou": lambda: Tianshou(env, settings, LEARN_START),
        "sb3": lambda: SB3(StepTengen(env), settings),
        "sb3 as is": lambda: SB3(StepSB3(settings), settings),
    }
    return others[name]()


def epsilon_after(num_steps: int, settings: argparse.Namespace) -> float:
    """Return the probability of a random action, which is the same for all sides."""
    explored: float = num_steps / settings.epsilon_steps
    return max(0.05, 1 - 0.95 * explored)


class StepTengen(VecEnv):
    """A Tengen environment as SB3 wants it: reset by itself, the final observation in the infos."""

    def __init__(self, config: EnvConfig, seed: int = 0) -> None:
        self.env = make_env(config, training=True)
        self.seed_of_env = seed
        spec = self.env.spec
        super().__init__(spec.num_envs, spec.observation_space, spec.action_space)
        self.episode_returns: list[float] = []
        self._return = np.zeros(spec.num_envs)

    def returns(self) -> list[float]:
        """Return those of the episodes so far."""
        return self.episode_returns

    def reset(self) -> Any:
        """Start all rows."""
        return self.env.reset(self.seed_of_env).observation

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions."""
        self._step = self.env.step(actions)

    def step_wait(self) -> Any:
        """Return what followed; a life loss is a done, as in SB3's own wrapper, but does not restart the game."""
        step = self._step
        self._return += step.reward if step.score is None else step.score
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        dones = step.last | (step.discount == 0)
        for row in np.flatnonzero(dones):
            infos[row]["terminal_observation"] = step.observation[row]
            infos[row]["TimeLimit.truncated"] = bool(step.last[row] and step.discount[row] != 0)
        for row in np.flatnonzero(step.last):
            self.episode_returns.append(float(self._return[row]))
            self._return[row] = 0
        return self.env.reset_done().observation, step.reward.astype(np.float32), dones, infos

    def close(self) -> None:
        """Free the emulators."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute for each row; only the render mode is asked for."""
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Do nothing."""

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Return nothing for each row."""
        return [None] * self.num_envs

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Say that nothing is wrapped."""
        return [False] * self.num_envs


class StepSB3(VecFrameStack):
    """SB3's own emulation: one environment after the other, its wrappers for Atari (those of Nature's DQN), stacks."""

    def __init__(self, settings: argparse.Namespace) -> None:
        gym.register_envs(ale_py)
        plain = {
            "frameskip": 1,
            "repeat_action_probability": 0.0,
        }  # a wrapper skips frames
        super().__init__(make_atari_env(settings.env, settings.num_envs, seed=0, env_kwargs=plain), 4)

    def returns(self) -> list[float]:
        """Return those of the episodes so far."""
        of_envs = zip(self.env_method("get_episode_times"), self.env_method("get_episode_rewards"), strict=True)
        return [reward for _, reward in sorted(pair for of_env in of_envs for pair in zip(*of_env, strict=True))]


class Tengen:
    """Tengen's side."""

    def __init__(self, env: EnvConfig, settings: argparse.Namespace, precision: str) -> None:
        self.env = make_env(env, training=True)
        config = DQNConfig(
            hidden=(512,),
            learning_rate=1e-4,
            replay_capacity=settings.capacity,
            learn_start=LEARN_START,
            learn_period=4,
            target_period=250,
            epsilon_decay_steps=settings.epsilon_steps,
            precision=precision,  # type: ignore[arg-type]  # one of its values
        )
        self.agent = config.build(self.env.spec, np.random.default_rng(0), "cpu")
        self.ticks = interact(self.agent, self.env, 10**12, seed=0)
        self.returns: list[float] = []
        self.loss = float("nan")
        self._return = np.zeros(env.num_envs)

    def run(self, num_steps: int) -> None:
        """Train for a number of steps."""
        for _ in range(num_steps // self.env.spec.num_envs):
            tick = next(self.ticks)
            step = tick.next_step
            self._return += step.reward if step.score is None else step.score
            self.returns += self._return[step.last].tolist()
            self._return[step.last] = 0
            if tick.metrics:
                self.loss = float(tick.metrics["losses/loss"])

    @property
    def updates(self) -> int:
        """Gradient updates so far."""
        return self.agent.learner.num_updates


class SB3:
    """stable-baselines3's side."""

    def __init__(self, env: StepTengen | StepSB3, settings: argparse.Namespace) -> None:
        self.env = env
        self.model = SB3DQN(
            "CnnPolicy",
            self.env,
            learning_rate=1e-4,
            buffer_size=settings.capacity,
            learning_starts=LEARN_START,
            batch_size=32,
            train_freq=max(1, 4 // env.num_envs),
            gradient_steps=max(1, env.num_envs // 4),
            target_update_interval=1_000,
            seed=0,
            device="cpu",
        )
        self.model.set_logger(Logger(None, []))  # else each call of `learn` makes a folder for logs
        # By steps: its own goes by the share of what a call of `learn` was asked for.
        self.model.exploration_schedule = lambda _: epsilon_after(self.model.num_timesteps, settings)
        self.model._setup_learn(LEARN_START + settings.steps * settings.rounds)

    def run(self, num_steps: int) -> None:
        """Train for a number of steps."""
        self.model.learn(num_steps, reset_num_timesteps=False, log_interval=None)  # type: ignore[arg-type]  # as documented

    @property
    def returns(self) -> list[float]:
        """Returns of the training episodes."""
        return self.env.returns()

    @property
    def loss(self) -> float:
        """The latest loss."""
        return float(self.model.logger.name_to_value.get("train/loss", float("nan")))

    @property
    def updates(self) -> int:
        """Gradient updates so far."""
        return int(self.model._n_updates)


class Plain:
    """A plain loop of torch."""

    def __init__(self, env: EnvConfig, settings: argparse.Namespace) -> None:
        self.env = make_env(env, training=True)
        self.settings = settings
        self.rng = np.random.default_rng(0)
        num_actions = self.env.spec.num_actions
        self.network, self.target = nature_network(num_actions), nature_network(num_actions)
        self.target.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-4)
        shape = (settings.capacity, 4, 84, 84)
        self.observations, self.next_observations = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        self.actions = np.zeros(settings.capacity, np.int64)
        self.rewards, self.discounts = np.zeros((2, settings.capacity), np.float32)
        self.num_steps = self.updates = 0
        self.returns: list[float] = []
        self.loss = float("nan")
        self._return = np.zeros(env.num_envs)
        self.step = self.env.reset(0)

    def run(self, num_steps: int) -> None:
        """Train for a number of steps."""
        num_envs = self.env.spec.num_envs
        for _ in range(num_steps // num_envs):
            epsilon = epsilon_after(self.num_steps, self.settings)
            if self.num_steps < LEARN_START or self.rng.random() < epsilon:
                actions = self.rng.integers(self.env.spec.num_actions, size=num_envs)
            else:
                with torch.no_grad():
                    actions = self.network(torch.from_numpy(self.step.observation)).argmax(1).numpy()
            step = self.env.step(actions)
            rows = (self.num_steps + np.arange(num_envs)) % self.settings.capacity
            self.observations[rows], self.next_observations[rows] = self.step.observation, step.observation
            self.actions[rows], self.rewards[rows], self.discounts[rows] = actions, step.reward, step.discount
            self._return += step.reward if step.score is None else step.score
            self.returns += self._return[step.last].tolist()
            self._return[step.last] = 0
            self.step = self.env.reset_done()
            self.num_steps += num_envs
            if self.num_steps > LEARN_START and self.num_steps % 4 == 0:
                for _ in range(max(1, num_envs // 4)):
                    self.update()

    def update(self) -> None:
        """Make one update on a batch of 32."""
        sample = self.rng.integers(min(self.num_steps, self.settings.capacity), size=32)
        with torch.no_grad():
            best = self.target(torch.from_numpy(self.next_observations[sample])).amax(1)
            goal = torch.from_numpy(self.rewards[sample]) + 0.99 * torch.from_numpy(self.discounts[sample]) * best
        q = self.network(torch.from_numpy(self.observations[sample]))
        loss = torch.nn.functional.mse_loss(q.gather(1, torch.from_numpy(self.actions[sample])[:, None])[:, 0], goal)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
        self.optimizer.step()
        self.loss = loss.item()
        self.updates += 1
        if self.updates % 250 == 0:
            self.target.load_state_dict(self.network.state_dict())


class Scale(nn.Module):
    """Divides bytes by 255."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return float32."""
        return x / 255.0


def nature_network(num_actions: int) -> nn.Sequential:
    """Return the Nature CNN as torch makes it."""
    return nn.Sequential(
        Scale(),
        *(nn.Conv2d(4, 32, 8, stride=4), nn.ReLU(), nn.Conv2d(32, 64, 4, stride=2), nn.ReLU()),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3136, 512), nn.ReLU()),
        nn.Linear(512, num_actions),
    )
