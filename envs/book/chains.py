"""Small chains of Sutton & Barto (2018): random walks, maximization bias, the short corridor."""

from __future__ import annotations

import numpy as np

from tengen.envs.book._base import GridLayout, TabularEnv, check_at_least
from tengen.errors import UserError
from tengen.tables import Outcome, tabulate

LEFT, RIGHT = 0, 1


class RandomWalk(TabularEnv):
    """A row of states with an end at either side (Example 6.2); it is the policy that walks at random.

    State 0 is the left end, `num_states + 1` the right end, and those between are the book's states, A first. Action 0
    goes left, 1 right. With 19 states and a left reward of -1 it is the walk of chapters 7 and 12.

    Args:
        num_states: States without the ends.
        left_reward: Of stepping off on the left.
        right_reward: Of stepping off on the right. Every other step gives 0.
        start: The first state; the middle one unless given.
        render_mode: "ansi" or "rgb_array".

    Raises:
        UserError: A number is out of its range.
    """

    def __init__(
        self,
        num_states: int = 5,
        left_reward: float = 0.0,
        right_reward: float = 1.0,
        start: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        check_at_least("RandomWalk", 1, num_states=num_states)
        start = (num_states + 1) // 2 if start is None else start
        if not 1 <= start <= num_states:
            raise UserError(f"RandomWalk: the start must be one of the states 1 to {num_states}, got {start}")
        right_end = num_states + 1

        def outcomes(state: int, action: int) -> list[Outcome]:
            if state in (0, right_end):
                return [(1.0, state, 0.0, 0.0)]
            following = state + 1 if action == RIGHT else state - 1
            reward = {0: left_reward, right_end: right_reward}.get(following, 0.0)
            return [(1.0, following, reward, 0.0 if following in (0, right_end) else 1.0)]

        layout = GridLayout(
            1, num_states + 2, ((0, -1), (0, 1)), starts=frozenset({start}), goals=frozenset({0, right_end})
        )
        super().__init__(tabulate(num_states + 2, 2, outcomes, start), layout, render_mode=render_mode)


class MaximizationBias(TabularEnv):
    """Two states in which a maximum over noisy estimates deceives (Example 6.7, figure 6.5).

    In A (state 0, where it begins) action 0, left, leads to B (state 1), and action 1, right, ends the episode, both
    with reward 0. Each of B's actions ends it with a normal reward, so that left is wrong. State 2 is the end. Actions
    that A doesn't have are illegal there, and act as right.

    Args:
        num_actions: Of B.
        mean: Of the reward in B.
        deviation: Its standard deviation.
        render_mode: "ansi" or "rgb_array".

    Raises:
        UserError: B has no action, or the deviation is negative.
    """

    def __init__(
        self, num_actions: int = 10, mean: float = -0.1, deviation: float = 1.0, render_mode: str | None = None
    ) -> None:
        check_at_least("MaximizationBias", 1, num_actions=num_actions)
        check_at_least("MaximizationBias", 0, deviation=deviation)
        a, b, end = 0, 1, 2

        def outcomes(state: int, action: int) -> list[Outcome]:
            if state == a and action == LEFT:
                return [(1.0, b, 0.0, 1.0)]
            return [(1.0, end, mean if state == b else 0.0, 0.0)]

        size = max(num_actions, 2)
        legal = np.arange(size) < np.array([[2], [num_actions], [size]])  # [S, A]
        noise = np.array([0.0, deviation, 0.0])
        tables = tabulate(3, size, outcomes, a, noise=lambda state, _: float(noise[state]), legal=legal)
        super().__init__(tables, render_mode=render_mode)

    def describe(self, state: int) -> str:
        """Return the book's name of a state."""
        return ("A", "B", "end")[state]


class ShortCorridor(TabularEnv):
    """Four states that all look the same, in the second of which the actions are reversed (Example 13.1).

    Action 0 is left, 1 right; the reward is -1 a step, and state 3, on the right, is the end. The best policy goes
    right with probability 2 - sqrt(2), about 0.59, and is worth about -11.7.

    Args:
        render_mode: "ansi" or "rgb_array".
    """

    def __init__(self, render_mode: str | None = None) -> None:
        end = 3

        def outcomes(state: int, action: int) -> list[Outcome]:
            if state == end:
                return [(1.0, end, 0.0, 0.0)]
            right = (action == RIGHT) != (state == 1)
            following = state + 1 if right else max(state - 1, 0)
            return [(1.0, following, -1.0, 0.0 if following == end else 1.0)]

        layout = GridLayout(1, 4, starts=frozenset({0}), goals=frozenset({end}))
        tables = tabulate(4, 2, outcomes, 0, observation=np.zeros(4, np.int64))
        super().__init__(tables, layout, render_mode=render_mode)
