"""The tasks and arms of `dqn_ablation.py`: how DQN is set on each game, and what each arm switches off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym

from tengen.envs import EnvConfig

HUNDREDS = "ablation/CartPoleHundreds-v0"


class Hundreds(gym.RewardWrapper[Any, Any]):
    """The same game, scored in points of 100."""

    def reward(self, reward: Any) -> float:
        """Return 100 times the reward."""
        return 100.0 * float(reward)


def _hundreds(**kwargs: Any) -> gym.Env[Any, Any]:
    return Hundreds(gym.make("CartPole-v1", **kwargs))


gym.register(HUNDREDS, _hundreds)


@dataclass(frozen=True)
class Arm:
    """DQN, or DQN with something changed.

    Attributes:
        label: What the picture calls it.
        changes: To the agent's settings; nothing else differs between the arms of a task.
        color: Of its curve.
        marker: Of its curve, for those who can't tell the colours apart.
    """

    label: str
    changes: Mapping[str, Any]
    color: str
    marker: str


# The colours are those of Okabe & Ito (2008), "Color Universal Design", without the yellow, which is pale on white.
ARMS: dict[str, Arm] = {
    "dqn": Arm("DQN, all three on", {}, "#000000", "o"),
    "no_replay": Arm("no replay", {"replay": "none"}, "#0072B2", "s"),
    "no_target": Arm("no frozen target", {"target": "none"}, "#D55E00", "^"),
    "no_clipping": Arm("no reward clipping", {"reward_clip": None}, "#009E73", "D"),
    "none": Arm("none of the three", {"replay": "none", "target": "none", "reward_clip": None}, "#CC79A7", "v"),
    "pop_art": Arm("Pop-Art, no clipping", {"reward_clip": None, "pop_art": True}, "#56B4E9", "P"),
    "squared_unclipped": Arm("no reward or error clipping", {"reward_clip": None, "loss": "squared"}, "#E69F00", "X"),
}


@dataclass(frozen=True)
class Task:
    """A game, how DQN is set on it, and how long it learns.

    Attributes:
        name: What `--task` and the CSV call it.
        title: What the picture calls it.
        env: The game.
        steps: Environment steps of a run.
        eval_period: Steps between evaluations.
        scores: The least and the greatest return, for the picture.
        greatest_value: The greatest discounted return that the agent could see, where it is the same in all arms.
        arms: Those that are run on it.
        settings: Of the agent, in all arms.
    """

    name: str
    title: str
    env: EnvConfig
    steps: int
    eval_period: int
    scores: tuple[float, float]
    greatest_value: float | None
    arms: tuple[str, ...]
    settings: Mapping[str, Any]

    def quick(self, steps: int) -> Task:
        """Return the same with fewer steps, a smaller network and two evaluations."""
        smaller = {"learn_start": 100, "batch_size": 8, "hidden": (16,)}
        return replace(self, steps=steps, eval_period=steps // 2, settings={**self.settings, **smaller})


# The step size and the period were chosen by how DQN with all three on did with the seeds 100 to 102.
_CARTPOLE = {
    "reward_clip": 1.0,
    "loss": "huber",  # the paper's error clipping
    "gradient_clip": None,  # not in the paper
    "hidden": (64, 64),
    "learning_rate": 5e-4,
    "learn_period": 1,  # so that without replay each transition is learnt from, once
    "target_period": 250,
    "epsilon_decay_steps": 5_000,
}
_SHORT = {"max_episode_steps": 200}  # as in CartPole-v0

# As the preset for MinAtar, but for what `_CARTPOLE` says of gradients and of learning from each step.
_BREAKOUT = {
    "reward_clip": 1.0,
    "loss": "huber",
    "gradient_clip": None,
    "hidden": (128,),
    "learning_rate": 2.5e-4,
    "adam_epsilon": 3.125e-4,
    "learn_start": 5_000,
    "learn_period": 1,
    "target_period": 1_000,
    "epsilon_end": 0.1,
    "epsilon_decay_steps": 100_000,
}

_FOR_EVER = 1 / (1 - 0.99)  # a reward of 1 each step: values go on past the limit of 200, which ends no game
_UNSCALED_ARMS = ("dqn", "no_replay", "no_target", "none")  # where rewards are 1 there is nothing to clip

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "cartpole",
            "CartPole, errors clipped",
            EnvConfig("CartPole-v1", kwargs=_SHORT),
            20_000,
            1_000,
            (0, 200),
            _FOR_EVER,
            _UNSCALED_ARMS,
            _CARTPOLE,
        ),
        Task(
            "squared",
            "CartPole, errors not clipped",
            EnvConfig("CartPole-v1", kwargs=_SHORT),
            20_000,
            1_000,
            (0, 200),
            _FOR_EVER,
            _UNSCALED_ARMS,
            {**_CARTPOLE, "loss": "squared"},
        ),
        Task(
            "hundreds",
            "CartPole in points of 100, errors clipped",
            EnvConfig(HUNDREDS, kwargs=_SHORT),
            20_000,
            1_000,
            (0, 20_000),
            None,
            tuple(ARMS),
            _CARTPOLE,
        ),
        Task(
            "breakout",
            "MinAtar Breakout, errors clipped",
            EnvConfig("MinAtar/Breakout-v1"),
            500_000,
            25_000,
            (0, 20),
            None,
            _UNSCALED_ARMS,
            _BREAKOUT,
        ),
    )
}
