"""Tables of gridworlds, computed for all cells at once.

H W the grid, S = H * W states, A actions, K outcomes at most of a state and an action.
"""

from __future__ import annotations

import numpy as np

from tengen.envs.book._base import GridLayout
from tengen.tables import TransitionTables, make_tables
from tengen.types import Array, Ints

UP, RIGHT, DOWN, LEFT = (-1, 0), (0, 1), (1, 0), (0, -1)
FOUR_MOVES = (UP, RIGHT, DOWN, LEFT)
KINGS_MOVES = (*FOUR_MOVES, (-1, 1), (1, 1), (1, -1), (-1, -1))
STAY = (0, 0)


def destinations(layout: GridLayout, drift: Ints | None = None) -> Ints:
    """Return where each move leads, [S, A]: the grid's edge holds back, and into a wall one doesn't go.

    Args:
        layout: The grid.
        drift: Rows added to each move, by the column that it begins in [W], as wind does.
    """
    row, column = np.divmod(np.arange(layout.num_states)[:, None], layout.width)  # [S, 1]
    moves = np.array(layout.moves)  # [A, 2]
    push = 0 if drift is None else drift[column]
    to_row = np.clip(row + moves[:, 0] + push, 0, layout.height - 1)
    to_column = np.clip(column + moves[:, 1], 0, layout.width - 1)
    to: Ints = to_row * layout.width + to_column  # [S, A]
    if layout.walls:
        blocked = np.zeros(layout.num_states, np.bool_)
        blocked[list(layout.walls)] = True
        to = np.where(blocked[to], np.arange(layout.num_states)[:, None], to)
    return to


def grid_tables(
    layout: GridLayout, to: Ints, *, reward: float, goal_reward: float | None = None, probability: Array | None = None
) -> TransitionTables:
    """Return the tables of a gridworld whose goals end the episode.

    Args:
        layout: The grid. Without starts an episode begins anywhere but in a goal or a wall, with equal chance.
        to: Where actions lead, [S, A] or [S, A, K].
        reward: Of each step.
        goal_reward: Of a step into a goal; `reward` unless given.
        probability: Of each outcome, [S, A, K], with 0 for those that there are not; each action has one unless given.
    """
    num_states, num_actions = to.shape[:2]
    goal, free = np.zeros(num_states, np.bool_), np.ones(num_states, np.bool_)
    goal[list(layout.goals)] = True
    free[[*layout.goals, *layout.walls]] = False
    to = to.copy()
    to[goal] = np.flatnonzero(goal).reshape(-1, *[1] * (to.ndim - 1))  # an ended episode stays where it is
    if probability is None:
        chance, next_state = np.ones(to.size), to.reshape(-1)
        start = np.arange(num_states * num_actions + 1)
    else:
        happens = probability > 0
        chance, next_state = probability[happens], to[happens]
        start = np.concatenate([[0], np.cumsum(happens.sum(axis=-1))])
    ends = goal[next_state]
    rewards = np.where(ends, reward if goal_reward is None else goal_reward, reward)
    own = np.repeat(goal, num_actions).repeat(np.diff(start))
    rewards[own] = 0.0
    initial = free.astype(np.float64)
    if layout.starts:
        initial[:] = 0.0
        initial[list(layout.starts)] = 1.0
    return make_tables(start, chance, next_state, rewards, np.where(ends, 0.0, 1.0), initial / initial.sum())
