"""Makes the models of stable-baselines3 that configs describe."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np

from tengen.agents.sb3.adapter import AskingVecEnv
from tengen.agents.sb3.agent import SB3Agent
from tengen.agents.sb3.learning import Learning
from tengen.agents.sb3.randomness import OwnRandomness, pythons_kept
from tengen.errors import UserError
from tengen.types import Array, EnvSpec

_SMALLEST_PICTURE = 36  # that its Nature CNN takes
_CLASSES = {
    "dqn": ("stable_baselines3", "DQN"),
    "ppo": ("stable_baselines3", "PPO"),
    "a2c": ("stable_baselines3", "A2C"),
    "qrdqn": ("sb3_contrib", "QRDQN"),
}
_OURS = ("total_steps", "policy", "evaluation", "net_arch", "n_quantiles", "save_replay", "rms_prop_tf_like")
"""Fields of a config that are no argument of a model's constructor."""


def model_class(algorithm: str) -> Any:
    """Return the class of an algorithm.

    Raises:
        UserError: There is none of this name, or its package is missing.
    """
    if algorithm not in _CLASSES:
        raise UserError(f"no algorithm of stable-baselines3 is called {algorithm!r} here: {', '.join(_CLASSES)} are")
    module, name = _CLASSES[algorithm]
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        extra = " (pip install 'tengen[contrib]')" if module == "sb3_contrib" else ""
        raise UserError(f"sb3:{algorithm} needs the package {module}{extra}: {error}") from error


def build(config: Any, spec: EnvSpec, rng: np.random.Generator, device: str) -> SB3Agent:
    """Make a model, and the agent around it.

    Raises:
        UserError: A package is missing, or stable-baselines3 refuses a setting.
    """
    if config.total_steps is None:
        raise UserError("agent.total_steps is missing: the environment steps that its schedules are laid out for")
    cls = model_class(config.algorithm)
    held: list[Learning] = []

    def ask(actions: Array | None) -> Any:
        return held[0].ask(actions)

    randomness = OwnRandomness(device)
    with pythons_kept(), randomness.in_place():
        try:
            model = cls(
                _policy_name(config, spec),
                AskingVecEnv(spec, ask),
                policy_kwargs=_policy_kwargs(config),
                seed=int(rng.integers(2**31)),
                device=device,
                **_keywords(config),
            )
        except (ValueError, AssertionError) as error:
            raise UserError(f"stable-baselines3 refuses these settings of sb3:{config.algorithm}: {error}") from error
    held.append(Learning(model, config.total_steps, randomness))
    package = cls.__module__.partition(".")[0].replace("_", "-")
    return SB3Agent(
        held[0],
        spec.num_envs,
        stochastic=getattr(config, "evaluation", "deterministic") == "stochastic",
        save_replay=getattr(config, "save_replay", True),
        note=f"{package} {version(package)}",
    )


def policy_name(spec: EnvSpec) -> str:
    """Return the kind of network that an environment's observations need."""
    from stable_baselines3.common.preprocessing import is_image_space

    space = spec.observation_space
    shape = space.shape or ()
    picture = is_image_space(space) and len(shape) == 3 and sorted(shape)[1] >= _SMALLEST_PICTURE
    return "CnnPolicy" if picture else "MlpPolicy"


def _policy_name(config: Any, spec: EnvSpec) -> str:
    return policy_name(spec) if config.policy == "auto" else str(config.policy)


def _policy_kwargs(config: Any) -> dict[str, Any]:
    kwargs: dict[str, Any] = {}
    if config.net_arch is not None:
        kwargs["net_arch"] = list(config.net_arch)
    if hasattr(config, "n_quantiles"):
        kwargs["n_quantiles"] = config.n_quantiles
    if getattr(config, "rms_prop_tf_like", False):
        from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike

        kwargs |= {"optimizer_class": RMSpropTFLike, "optimizer_kwargs": {"eps": config.rms_prop_eps}}
    return kwargs


def _keywords(config: Any) -> dict[str, Any]:
    """Return the arguments of a model's constructor."""
    keywords = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name not in _OURS and not field.name.endswith("_schedule")
    }
    for name in ("learning_rate", "clip_range"):
        if getattr(config, f"{name}_schedule", "constant") == "linear":
            keywords[name] = Linear(keywords[name])
    if getattr(config, "rms_prop_tf_like", False):
        keywords["use_rms_prop"] = False  # else the model would put torch's in its place
    return keywords


class Linear:
    """A straight line from a value to 0, by the share of training that remains.

    Args:
        start: The value at first.
    """

    def __init__(self, start: float) -> None:
        self.start = start

    def __call__(self, remaining: float) -> float:
        """Return the value; not below 0, where more is trained than was planned."""
        return max(remaining, 0.0) * self.start
