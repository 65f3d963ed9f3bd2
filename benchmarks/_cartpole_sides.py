"""The learners that `dqn_cartpole.py` times on CartPole-v1, behind one interface, all with CleanRL's settings.

CleanRL's `dqn.py`: a network of 120 and 84 units, batches of 128, an update every 10 steps, Adam at 2.5e-4, squared
error, gamma 0.99, a target network copied every 500 steps, replay of 10,000, learning from step 10,000 on, and epsilon
from 1 to 0.05 in a straight line. stable-baselines3 has no squared error: it learns with Huber's loss.
"""

from __future__ import annotations

import importlib
import importlib.util
import random
from collections.abc import Callable
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from tengen.agents.dqn.config import DQNConfig
from tengen.contracts import Policy
from tengen.envs import EnvConfig, make_env
from tengen.loop import interact
from tengen.run.recorder import Recorder
from tengen.types import Array, Ints, TimeStep

ENV = "CartPole-v1"
HIDDEN, BATCH, PERIOD, STEP_SIZE, GAMMA = (120, 84), 128, 10, 2.5e-4, 0.99
TARGET_PERIOD, CAPACITY, LEARN_START = 500, 10_000, 10_000  # all in environment steps
EPSILON_END = 0.05


class Side(Protocol):
    """One learner, on an environment of its own."""

    returns: list[float]  # of the training episodes

    def run(self, num_steps: int) -> None:
        """Act and learn for a number of steps; that they come in pieces makes no difference."""
        ...

    def updates(self) -> int:
        """Return the gradient updates so far."""
        ...

    def policy(self) -> Policy:
        """Return the greedy policy as learnt so far."""
        ...


def epsilon_at(step: int, decay_steps: int) -> float:
    """Return the probability of a random action."""
    return max(EPSILON_END, 1 + (EPSILON_END - 1) * step / decay_steps)


class Greedy:
    """The greedy policy of any function from observations [B, 4] to actions [B]."""

    def __init__(self, choose: Callable[[Array], Any]) -> None:
        self.choose = choose

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return actions [B]."""
        return np.asarray(self.choose(step.observation))


class Tengen:
    """Tengen's DQN in the one loop, with the recorder that a run has.

    Args:
        seed: Of environment and agent.
        decay_steps: Steps over which epsilon falls.
        backend: "torch" or "compiled".
    """

    def __init__(self, seed: int, decay_steps: int, backend: str) -> None:
        self.env = make_env(EnvConfig(ENV), training=True)
        config = DQNConfig(
            hidden=HIDDEN,
            batch_size=BATCH,
            learn_period=PERIOD,
            learning_rate=STEP_SIZE,
            gamma=GAMMA,
            target_period=TARGET_PERIOD // PERIOD,
            replay_capacity=CAPACITY,
            learn_start=LEARN_START,
            epsilon_end=EPSILON_END,
            epsilon_decay_steps=decay_steps,
            loss="squared",
            gradient_clip=None,
            backend=backend,  # type: ignore[arg-type]  # one of its values
        )
        self.agent = config.build(self.env.spec, np.random.default_rng(seed), "cpu")
        self.returns: list[float] = []
        self._recorder = Recorder(1, 10_000)
        self._ticks = interact(self.agent, self.env, 10**12, seed)

    def run(self, num_steps: int) -> None:
        """Act and learn."""
        rows, returns = self._recorder.rows, self.returns
        for _ in range(num_steps):
            for _, row in rows(next(self._ticks)):
                if "charts/episodic_return" in row:
                    returns.append(float(row["charts/episodic_return"]))

    def updates(self) -> int:
        """Return the updates so far."""
        return self.agent.learner.num_updates

    def policy(self) -> Policy:
        """Return the greedy policy."""
        return self.agent.policy()


def plain_network() -> nn.Sequential:
    """Return CleanRL's network for CartPole."""
    first, second = HIDDEN
    return nn.Sequential(
        nn.Linear(4, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, 2)
    )  # fmt: skip


class Script:
    """DQN in torch as one writes it in a single file, in CleanRL's way: a vector of one environment, a ring of arrays.

    Args:
        seed: Of everything.
        decay_steps: Steps over which epsilon falls.
    """

    def __init__(self, seed: int, decay_steps: int) -> None:
        random.seed(seed)
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.decay_steps = decay_steps
        self.network, self.target = plain_network(), plain_network()
        self.target.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=STEP_SIZE)
        self.observations = np.zeros((CAPACITY, 4), np.float32)
        self.next_observations = np.zeros((CAPACITY, 4), np.float32)
        self.actions = np.zeros(CAPACITY, np.int64)
        self.rewards = np.zeros(CAPACITY, np.float32)
        self.terminations = np.zeros(CAPACITY, np.float32)
        self.num_steps, self.num_updates = 0, 0
        self.returns: list[float] = []
        self.env: Any = self.make_env()
        self.observation, _ = self.env.reset(seed=seed)

    def make_env(self) -> Any:
        """Return the environment."""
        return gym.vector.SyncVectorEnv(
            [lambda: gym.wrappers.RecordEpisodeStatistics(gym.make(ENV))],
            autoreset_mode=gym.vector.AutoresetMode.SAME_STEP,
        )

    def run(self, num_steps: int) -> None:
        """Act and learn."""
        for _ in range(num_steps):
            if random.random() < epsilon_at(self.num_steps, self.decay_steps):
                action = np.array([random.randrange(2)])
            else:
                with torch.no_grad():
                    action = self.network(torch.from_numpy(self.observation)).argmax(dim=1).numpy()
            following, reward, terminated, _, infos = self.env.step(action)
            final = following
            if "final_obs" in infos:
                final = np.stack(infos["final_obs"])
                self.returns.append(float(infos["final_info"]["episode"]["r"][0]))
            self.learn_from(self.observation[0], action[0], reward[0], terminated[0], final[0])
            self.observation = following

    def learn_from(self, observation: Array, action: Any, reward: Any, terminated: Any, following: Array) -> None:
        """Remember a step, and learn where it is time to."""
        slot = self.num_steps % CAPACITY
        self.observations[slot] = observation
        self.next_observations[slot] = following
        self.actions[slot] = action
        self.rewards[slot] = reward
        self.terminations[slot] = terminated
        self.num_steps += 1
        if self.num_steps > LEARN_START and self.num_steps % PERIOD == 0:
            self._learn()
        if self.num_steps % TARGET_PERIOD == 0:
            self.target.load_state_dict(self.network.state_dict())

    def _learn(self) -> None:
        rows = self.rng.integers(min(self.num_steps, CAPACITY), size=BATCH)
        with torch.no_grad():
            value = self.target(torch.from_numpy(self.next_observations[rows])).max(dim=1).values
            going_on = 1 - torch.from_numpy(self.terminations[rows])
            target = torch.from_numpy(self.rewards[rows]) + GAMMA * going_on * value
        q = self.network(torch.from_numpy(self.observations[rows]))
        q = q.gather(1, torch.from_numpy(self.actions[rows])[:, None]).squeeze(1)
        loss = nn.functional.mse_loss(q, target)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
        self.optimizer.step()
        self.num_updates += 1

    def updates(self) -> int:
        """Return the updates so far."""
        return self.num_updates

    def policy(self) -> Policy:
        """Return the greedy policy."""

        @torch.no_grad()
        def choose(observation: Array) -> Array:
            actions: Array = self.network(torch.from_numpy(observation)).argmax(1).numpy()
            return actions

        return Greedy(choose)


class LeanScript(Script):
    """The same without what CleanRL's script has around the environment: no vector, no statistics, no batch to act."""

    episode_return = 0.0

    def make_env(self) -> Any:
        """Return the environment."""
        return gym.make(ENV)

    def run(self, num_steps: int) -> None:
        """Act and learn."""
        for _ in range(num_steps):
            if random.random() < epsilon_at(self.num_steps, self.decay_steps):
                action = random.randrange(2)
            else:
                with torch.no_grad():
                    action = int(self.network(torch.from_numpy(self.observation)).argmax())
            following, reward, terminated, truncated, _ = self.env.step(action)
            self.learn_from(self.observation, action, reward, terminated, following)
            self.episode_return += float(reward)
            self.observation = following
            if terminated or truncated:
                self.returns.append(self.episode_return)
                self.episode_return = 0.0
                self.observation, _ = self.env.reset()


class SB3:
    """stable-baselines3's DQN.

    Args:
        seed: Of everything.
        decay_steps: Steps over which epsilon falls.
    """

    package = "stable_baselines3"

    def __init__(self, seed: int, decay_steps: int) -> None:
        self.model: Any = importlib.import_module("stable_baselines3").DQN(
            "MlpPolicy",
            ENV,
            learning_rate=STEP_SIZE,
            buffer_size=CAPACITY,
            learning_starts=LEARN_START,
            batch_size=BATCH,
            gamma=GAMMA,
            train_freq=PERIOD,
            gradient_steps=1,
            target_update_interval=TARGET_PERIOD,
            policy_kwargs={"net_arch": list(HIDDEN)},
            seed=seed,
            device="cpu",
        )
        # else each call of `learn` makes a folder for logs
        self.model.set_logger(importlib.import_module("stable_baselines3.common.logger").Logger(None, []))
        # by steps, since its own goes by the share of each call of `learn`
        self.model.exploration_schedule = lambda _: epsilon_at(self.model.num_timesteps, decay_steps)
        self.returns: list[float] = []
        self._seen = 0

    def run(self, num_steps: int) -> None:
        """Act and learn."""
        self.model.learn(num_steps, reset_num_timesteps=False, log_interval=None)
        episodes = self.model.env.envs[0].get_episode_rewards()  # of its Monitor
        self.returns += episodes[self._seen :]
        self._seen = len(episodes)

    def updates(self) -> int:
        """Return the updates so far."""
        return int(self.model._n_updates)

    def policy(self) -> Policy:
        """Return the greedy policy."""
        return Greedy(lambda observation: self.model.predict(observation, deterministic=True)[0])


class Tianshou:
    """Tianshou's DQN: its collector for 10 steps, then one update.

    Args:
        seed: Of everything.
        decay_steps: Steps over which epsilon falls.
    """

    package = "tianshou"

    def __init__(self, seed: int, decay_steps: int) -> None:
        dqn = importlib.import_module("tianshou.algorithm.modelfree.dqn")
        base = importlib.import_module("tianshou.algorithm.algorithm_base")
        optim = importlib.import_module("tianshou.algorithm.optim")
        data = importlib.import_module("tianshou.data")
        common = importlib.import_module("tianshou.utils.net.common")
        np.random.seed(seed)  # noqa: NPY002  # which Tianshou draws from
        torch.manual_seed(seed)
        env = gym.make(ENV)
        env.reset(seed=seed)
        net = common.Net(state_shape=(4,), action_shape=2, hidden_sizes=list(HIDDEN))
        self._policy = dqn.DiscreteQLearningPolicy(model=net, action_space=env.action_space)
        self._algorithm = dqn.DQN(
            policy=self._policy,
            optim=optim.AdamOptimizerFactory(lr=STEP_SIZE),
            gamma=GAMMA,
            target_update_freq=TARGET_PERIOD // PERIOD,
            is_double=False,
        )
        self._training_step: Callable[[Any], Any] = base.policy_within_training_step
        self._buffer = data.VectorReplayBuffer(CAPACITY, 1)
        self._collector = data.Collector(self._algorithm, env, self._buffer, exploration_noise=True)
        self._collector.reset()
        self._batch = data.Batch
        self.decay_steps = decay_steps
        self.num_steps, self.num_updates = 0, 0
        self.returns: list[float] = []

    def run(self, num_steps: int) -> None:
        """Act and learn."""
        for _ in range(num_steps // PERIOD):
            with self._training_step(self._policy):
                self._policy.set_eps_training(epsilon_at(self.num_steps, self.decay_steps))
                stats = self._collector.collect(n_step=PERIOD)
                self.returns += stats.returns.tolist()
                self.num_steps += PERIOD
                if self.num_steps > LEARN_START:
                    self._algorithm.update(self._buffer, BATCH)
                    self.num_updates += 1

    def updates(self) -> int:
        """Return the updates so far."""
        return self.num_updates

    def policy(self) -> Policy:
        """Return the greedy policy."""

        def choose(observation: Array) -> Any:
            with torch.no_grad():
                return self._policy(self._batch(obs=observation, info=[{}] * len(observation))).act

        return Greedy(choose)


SIDES: dict[str, Callable[[int, int], Side]] = {
    "tengen, compiled": lambda seed, decay_steps: Tengen(seed, decay_steps, "compiled"),
    "tengen, torch": lambda seed, decay_steps: Tengen(seed, decay_steps, "torch"),
    "plain torch": Script,
    "lean torch": LeanScript,
    "stable-baselines3": SB3,
    "tianshou": Tianshou,
}
"""Makes each side of a seed and the steps over which epsilon falls."""

_PACKAGES = {"stable-baselines3": SB3.package, "tianshou": Tianshou.package}


def missing() -> list[str]:
    """Return the sides whose packages are not installed."""
    return [name for name, package in _PACKAGES.items() if importlib.util.find_spec(package) is None]
