"""What environments call their actions and the parts of their observations, which their spaces don't say."""

from __future__ import annotations

import re

_ACTIONS = {
    "Acrobot": ("torque -1", "torque 0", "torque +1"),
    "Blackjack": ("stick", "hit"),
    "CartPole": ("push left", "push right"),
    "CliffWalking": ("up", "right", "down", "left"),
    "FrozenLake": ("left", "down", "right", "up"),
    "LunarLander": ("nothing", "left engine", "main engine", "right engine"),
    "MountainCar": ("push left", "no push", "push right"),
    "RandomWalk": ("left", "right"),
    "RandomWalk19": ("left", "right"),
    "ShortCorridor": ("left", "right"),
    "AccessControl": ("reject", "accept"),
    "Taxi": ("south", "north", "east", "west", "pick up", "drop off"),
}
_PARTS = {
    "Acrobot": ("cos 1", "sin 1", "cos 2", "sin 2", "angular velocity 1 [rad/s]", "angular velocity 2 [rad/s]"),
    "CartPole": ("cart position", "cart velocity", "pole angle [rad]", "pole velocity at its tip"),
    "LunarLander": ("x", "y", "x velocity", "y velocity", "angle [rad]", "angular velocity", "left leg", "right leg"),
    "MountainCar": ("position", "velocity"),
    "MountainCarContinuous": ("position", "velocity"),
    "Pendulum": ("cos angle", "sin angle", "angular velocity [rad/s]"),
}


def action_names(env_id: str, num_actions: int) -> tuple[str, ...]:
    """Return what each action is called [A]."""
    names = _ACTIONS.get(_family(env_id), ())
    return names if len(names) == num_actions else tuple(map(str, range(num_actions)))


def part_names(env_id: str, num_parts: int) -> tuple[str, ...]:
    """Return what each part of an observation is called."""
    names = _PARTS.get(_family(env_id), ())
    return names if len(names) == num_parts else tuple(f"observation {part}" for part in range(num_parts))


def _family(env_id: str) -> str:
    """Return an id without its namespace and version."""
    return re.sub(r"-v\d+$", "", env_id.rpartition("/")[2])
