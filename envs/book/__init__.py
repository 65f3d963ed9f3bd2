"""The environments of Sutton & Barto (2018) as Gymnasium environments over exact transition tables.

Importing this package registers them with Gymnasium as `tengen/<Name>-v0`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium as gym

from tengen.envs.book._base import GridLayout, TabularEnv
from tengen.envs.book.models import layout_of, model_of, samples_like_tables

if TYPE_CHECKING:
    from tengen.contracts import Environment
    from tengen.envs.config import EnvConfig

__all__ = ["GridLayout", "TabularEnv", "layout_of", "make", "model_of", "samples_like_tables"]

# Id, where it is found, its limit in steps, and what its constructor is given. The book's episodes have no limit; ours
# is far beyond what learning takes, so that a policy which goes round in circles comes to an end as well. A continuing
# task has no episodes, and gets some.
_ENVS: tuple[tuple[str, str, int | None, dict[str, Any]], ...] = (
    ("AccessControl", "tasks:AccessControl", 10_000, {}),
    ("Blackjack", "blackjack:Blackjack", None, {}),
    ("BlockingMaze", "mazes:BlockingMaze", 10_000, {}),
    ("DynaMaze", "mazes:DynaMaze", 10_000, {}),
    ("Gambler", "tasks:Gambler", 10_000, {}),
    ("Gridworld", "gridworlds:Gridworld", 1_000, {}),
    ("JacksCarRental", "tasks:JacksCarRental", 1_000, {}),
    ("MaximizationBias", "chains:MaximizationBias", None, {}),
    ("OpenGrid", "gridworlds:OpenGrid", 10_000, {}),
    ("RandomWalk", "chains:RandomWalk", 10_000, {}),
    ("RandomWalk19", "chains:RandomWalk", 10_000, {"num_states": 19, "left_reward": -1.0}),
    ("ShortcutMaze", "mazes:ShortcutMaze", 10_000, {}),
    ("ShortCorridor", "chains:ShortCorridor", 10_000, {}),
    ("SmallGridworld", "gridworlds:SmallGridworld", 10_000, {}),
    ("WindyGridworld", "gridworlds:WindyGridworld", 10_000, {}),
)

for _name, _place, _limit, _kwargs in _ENVS:
    if f"tengen/{_name}-v0" not in gym.registry:  # Gymnasium warns of a second time
        gym.register(f"tengen/{_name}-v0", f"{__name__}.{_place}", max_episode_steps=_limit, kwargs=_kwargs)


def make(config: EnvConfig, *, training: bool) -> Environment:
    """Make environments of this package, which being imported has registered them with Gymnasium.

    Raises:
        UserError: A setting is wrong.
    """
    from tengen.envs import gymnasium_env

    return gymnasium_env.make(config, training=training)
