"""Small chains of Sutton & Barto (2018): random walks, maximization bias, the short corridor."""

from __future__ import annotations

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
