"""Three tasks of Sutton & Barto (2018) that lie on no grid: car rental, the gambler, access to servers."""

from __future__ import annotations

from functools import lru_cache
from math import comb, exp

import numpy as np

from tengen.envs.book._base import TabularEnv, check_at_least
from tengen.errors import UserError
from tengen.tables import Outcome, TransitionTables, make_tables, tabulate
from tengen.types import Floats

_REQUESTS, _RETURNS = (3.0, 4.0), (3.0, 2.0)  # a day, at each location
_RENT, _MOVE_COST, _PARKING_COST, _PARKING_LIMIT = 10.0, 2.0, 4.0, 10


class JacksCarRental(TabularEnv):
    """Cars are moved overnight between two rental locations (Example 4.2); a continuing task with the book's gamma 0.9.

    State n1 * (max_cars + 1) + n2 is the cars at the end of a day; action a moves a - max_move cars from the first
    location to the second. A car that is rented earns $10, moving one costs $2, and cars beyond `max_cars` vanish.
    Moving more cars than there are is illegal, and acts as moving all of them.

    The reward of an outcome is the mean over all days that lead to it: the tables hold p(s' | s, a) and r(s, a, s')
    exactly, but not how the rewards of single days scatter.

    Args:
        max_cars: At a location.
        max_move: Cars moved in a night.
        exercise_4_7: One car goes to the second location for nothing, and a location that keeps more than 10 cars
            overnight costs $4 (Exercise 4.7).
        render_mode: "ansi" or "rgb_array".

    Raises:
        UserError: A number is below 1.
    """

    def __init__(
        self, max_cars: int = 20, max_move: int = 5, exercise_4_7: bool = False, render_mode: str | None = None
    ) -> None:
        check_at_least("JacksCarRental", 1, max_cars=max_cars, max_move=max_move)
        self._sides = max_cars + 1
        super().__init__(_rental_tables(max_cars, max_move, exercise_4_7), render_mode=render_mode)

    def describe(self, state: int) -> str:
        """Return how many cars are where."""
        first, second = divmod(state, self._sides)
        return f"{first} cars at the first location, {second} at the second"


class Gambler(TabularEnv):
    """Stakes on a coin until the goal or ruin (Example 4.3, figure 4.3); reward +1 for the goal, else 0.

    State and action are the capital and the stake. A stake may not exceed the capital or what it lacks to the goal; an
    illegal one acts as the nearest legal one.

    Args:
        probability_of_heads: Of winning a stake.
        goal: The capital that ends it, as 0 does.
        capital: At the start; any, with equal chance, unless given.
        zero_stakes: The stake 0 is legal as well, as the book has it. Then every state has an action that changes
            nothing, as good as the best one at gamma 1, with which an episode never ends.
        render_mode: "ansi" or "rgb_array".

    Raises:
        UserError: A number is out of its range.
    """

    def __init__(
        self,
        probability_of_heads: float = 0.4,
        goal: int = 100,
        capital: int | None = None,
        zero_stakes: bool = False,
        render_mode: str | None = None,
    ) -> None:
        check_at_least("Gambler", 2, goal=goal)
        if not 0 <= probability_of_heads <= 1:
            raise UserError(f"Gambler: probability_of_heads must be in [0, 1], got {probability_of_heads}")
        if capital is not None and not 1 <= capital < goal:
            raise UserError(f"Gambler: capital must be 1 to {goal - 1}, got {capital}")
        least = 0 if zero_stakes else 1

        def outcomes(state: int, action: int) -> list[Outcome]:
            if state in (0, goal):
                return [(1.0, state, 0.0, 0.0)]
            stake = max(least, min(action, state, goal - state))
            return [
                (p, to, 1.0 if to == goal else 0.0, 0.0 if to in (0, goal) else 1.0)
                for p, to in ((probability_of_heads, state + stake), (1 - probability_of_heads, state - stake))
            ]

        capitals, stakes = np.arange(goal + 1)[:, None], np.arange(goal // 2 + 1)
        legal = (stakes >= least) & (stakes <= np.minimum(capitals, goal - capitals))  # [S, A]
        legal[[0, goal]] = True
        anywhere = np.zeros(goal + 1)
        anywhere[1:goal] = 1 / (goal - 1)
        first = anywhere if capital is None else capital
        super().__init__(tabulate(goal + 1, goal // 2 + 1, outcomes, first, legal=legal), render_mode=render_mode)

    def describe(self, state: int) -> str:
        """Return the capital."""
        return f"capital {state}"


class AccessControl(TabularEnv):
    """Customers who pay 1, 2, 4 or 8 queue for servers (Example 10.2); a continuing task, for the average reward.

    State `free_servers * 4 + k` has a customer of the k-th priority at the head of the queue. Action 0 rejects him, 1
    accepts him, which gives his priority as the reward and takes a server, and acts as rejecting where none is free.

    Args:
        num_servers: All free at the start.
        freeing_probability: Of each busy server at each step.
        render_mode: "ansi" or "rgb_array".

    Raises:
        UserError: A number is out of its range.
    """

    priorities = (1.0, 2.0, 4.0, 8.0)

    def __init__(
        self, num_servers: int = 10, freeing_probability: float = 0.06, render_mode: str | None = None
    ) -> None:
        check_at_least("AccessControl", 1, num_servers=num_servers)
        if not 0 <= freeing_probability <= 1:
            raise UserError(f"AccessControl: freeing_probability must be in [0, 1], got {freeing_probability}")
        kinds = len(self.priorities)

        def outcomes(state: int, action: int) -> list[Outcome]:
            free, kind = divmod(state, kinds)
            accepted = action == 1 and free > 0
            free -= accepted
            busy = num_servers - free
            reward = self.priorities[kind] if accepted else 0.0
            freed = [
                comb(busy, k) * freeing_probability**k * (1 - freeing_probability) ** (busy - k)
                for k in range(busy + 1)
            ]
            return [
                (p / kinds, (free + k) * kinds + following, reward, 1.0)
                for k, p in enumerate(freed)
                for following in range(kinds)
            ]

        num_states = (num_servers + 1) * kinds
        initial = np.zeros(num_states)
        initial[-kinds:] = 1 / kinds
        super().__init__(tabulate(num_states, 2, outcomes, initial), render_mode=render_mode)

    def describe(self, state: int) -> str:
        """Return how many servers are free and who is next."""
        free, kind = divmod(state, len(self.priorities))
        return f"{free} servers free, a customer of priority {self.priorities[kind]:g}"


@lru_cache(maxsize=2)  # they take 100 MB and a second, and environments side by side share them
def _rental_tables(max_cars: int, max_move: int, exercise_4_7: bool) -> TransitionTables:
    sides = max_cars + 1
    (p1, rent1), (p2, rent2) = (_day(max_cars, *means) for means in zip(_REQUESTS, _RETURNS, strict=True))
    # [m1, m2, n1, n2]: from the cars in the morning to those in the evening; locations are independent
    probability = p1[:, None, :, None] * p2[None, :, None, :]
    income = _RENT * (rent1[:, None, :, None] + rent2[None, :, None, :])

    first, second = np.divmod(np.arange(sides**2)[:, None], sides)  # [S, 1]
    wanted = np.arange(-max_move, max_move + 1)  # [A]
    moved = np.clip(wanted, -second, first)  # [S, A]
    cars1, cars2 = np.minimum(first - moved, max_cars), np.minimum(second + moved, max_cars)
    if exercise_4_7:
        cost = _MOVE_COST * np.where(moved > 0, moved - 1, -moved)
        cost += _PARKING_COST * ((cars1 > _PARKING_LIMIT).astype(np.float64) + (cars2 > _PARKING_LIMIT))
    else:
        cost = _MOVE_COST * np.abs(moved)
    reward = income[cars1, cars2].reshape(moved.size, -1) - cost.reshape(-1, 1)  # [S * A, S]
    initial = np.zeros(sides**2)
    initial[max_cars // 2 * (sides + 1)] = 1.0
    return make_tables(
        np.arange(moved.size + 1) * sides**2,
        probability[cars1, cars2].ravel(),
        np.tile(np.arange(sides**2), moved.size),
        reward.ravel(),
        np.ones(reward.size),
        initial,
        legal=wanted == moved,
    )


def _day(max_cars: int, mean_requests: float, mean_returns: float) -> tuple[Floats, Floats]:
    """Return, from morning cars to evening cars at one location, the probability and the mean number rented [m, n].

    Exact: all requests beyond the cars there, and all returns beyond the space, count as one outcome each.
    """
    chance, rented = np.zeros((max_cars + 1, max_cars + 1)), np.zeros((max_cars + 1, max_cars + 1))
    for cars in range(max_cars + 1):
        for rentals, p in enumerate(_poisson_up_to(cars, mean_requests)):
            rest = cars - rentals
            returned = p * _poisson_up_to(max_cars - rest, mean_returns)
            chance[cars, rest:] += returned
            rented[cars, rest:] += rentals * returned
    return chance, np.divide(rented, chance, out=np.zeros_like(rented), where=chance > 0)


def _poisson_up_to(most: int, mean: float) -> Floats:
    """Return the probabilities of 0 to `most`, the last one of that or more."""
    terms = np.ones(most + 1)
    for k in range(1, most + 1):
        terms[k] = terms[k - 1] * mean / k
    terms *= exp(-mean)
    k, term = most, terms[most]
    while term > 0 and (k <= mean or term > 1e-20 * terms[most]):  # 1 less the others would round to 0, or below it
        k, term = k + 1, term * mean / (k + 1)
        terms[most] += term
    return terms
