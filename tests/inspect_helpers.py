"""Runs to be drawn that nobody trained, and what can be read off their pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver

from tengen.envs import EnvConfig, make_env
from tengen.evaluation.inspection import Subject
from tengen.registry import resolve_agent

LAKE, CARDS, CAR = EnvConfig("FrozenLake-v1"), EnvConfig("tengen/Blackjack-v0"), EnvConfig("MountainCar-v0")
POLE = EnvConfig("CartPole-v1")
SPAN = {"low": (-2.4, -3.0, -0.21, -3.0), "high": (2.4, 3.0, 0.21, 3.0)}

WITHOUT_VALUES = {
    *("random", "reinforce_network", "mcts", "alphazero"),
    *("sb3:a2c", "sb3:dqn", "sb3:ppo", "sb3:qrdqn"),
}
"""Agents whose policies tell no values, so that there is nothing to be drawn."""


def built(name: str, env: EnvConfig, **settings: Any) -> Any:
    """An agent that has learnt nothing yet."""
    spec = make_env(env, training=False).spec
    return resolve_agent(name)[0](**settings).build(spec, np.random.default_rng(0), "cpu")


def subject(agent: Any, env: EnvConfig, step: int = 0) -> Subject:
    return Subject("mine", agent.policy(), make_env(env, training=False).spec, env, step, "a title")


def with_table(env: EnvConfig, table: Any, **settings: Any) -> Subject:
    """What is drawn of Q-learning with a table of values."""
    agent = built("q_learning", env, **settings)
    agent.learner.q[:] = table
    return subject(agent, env)


def random_table(num_states: int, num_actions: int, seed: int = 0) -> Any:
    """Values of which some tie."""
    return np.random.default_rng(seed).integers(0, 4, (num_states, num_actions)).astype(np.float64)


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def pixels(axes: Any) -> Any:
    return axes.images[0].get_array()


def line(axes: Any) -> list[float]:
    return [float(y) for y in axes.lines[0].get_ydata()]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for found in figure.legends for text in found.get_texts()]


def arrows(axes: Any) -> dict[tuple[int, int], list[tuple[tuple[int, int], float, float]]]:
    """Direction (rows, columns), length and strength of the arrows in each cell (row, column)."""
    quiver: Any
    (quiver,) = (found for found in axes.collections if isinstance(found, Quiver))
    found: dict[tuple[int, int], list[tuple[tuple[int, int], float, float]]] = {}
    for (x, y), u, v, colour in zip(quiver.XY, quiver.U, quiver.V, quiver.get_facecolor(), strict=True):
        cell = (round(y + v / 2), round(x + u / 2))
        move = (round(np.sign(v) * (abs(v) > 1e-9)), round(np.sign(u) * (abs(u) > 1e-9)))
        found.setdefault(cell, []).append((move, math.hypot(u, v), float(colour[3])))
    return found


def dots(axes: Any) -> set[tuple[int, int]]:
    """Cells in which no action is preferred."""
    places: list[Any] = [found.get_offsets() for found in axes.collections if type(found) is PathCollection]
    return {(round(float(y) + 0.1), round(float(x))) for x, y in np.concatenate(places)}
