"""What the kernels of all tabular learners share: the two calls of the loop, schedules, and epsilon-greedy choice.

A learner is a NamedTuple of arrays and numbers. Its kernels are registered here by its class:

    @act.register(QLearning)
    @njit(forceinline=True, makes_arrays=False)
    def _act(learner, row, s_t, legal_t, clock, rng): ...

`act` and `update` are then the same code in the compiled loop (`_loop_kernels.py`, which imports every module of
kernels) and in the loop over Python objects, and draw the same random numbers.

Small kernels are inlined by force: they take many arrays, each of which is seven words to pass.

S states, A actions, B environments side by side.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import numpy as np

from tengen._jit import generic, njit
from tengen.types import Bools, Floats, Ints


class Outcome(NamedTuple):
    """One step of one environment."""

    s_tm1: int
    a_tm1: int
    r_t: float
    discount_t: float  # of the TimeStep: 0 terminated, -1 the other side moves; before gamma
    s_t: int
    last: bool  # the episode is over: terminated where discount_t is 0, else truncated


KindT = TypeVar("KindT", bound=type)

_growing: set[type] = set()


def growing(kind: KindT) -> KindT:
    """Mark a NamedTuple class as a memory of steps: its first field is `length` [B], the others are arrays [B, T].

    Kernels write to it; `reserve` sees that there is room.
    """
    _growing.add(kind)
    return kind


def is_growing(tree: Any) -> bool:
    """Return whether something is a memory of steps."""
    return type(tree) in _growing


@growing
class Trajectory(NamedTuple):
    """The episode under way in each environment."""

    length: Ints  # [B], steps so far
    state: Ints  # [B, T]
    action: Ints  # [B, T]
    reward: Floats  # [B, T]
    discount: Floats  # [B, T]


@generic
def act(learner: Any, row: int, s_t: int, legal_t: Bools, clock: int, rng: np.random.Generator) -> int:
    """Return the action that a learner takes, exploring as it does.

    Args:
        learner: Its NamedTuple. Modified in place.
        row: Which of the B environments.
        s_t: The state.
        legal_t: Its legal actions [A]; or [0]: all are.
        clock: Environment steps done so far, for schedules.
        rng: Draws exploration.
    """
    raise NotImplementedError


@generic
def update(learner: Any, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator) -> None:
    """Learn from one step of one environment.

    Args:
        learner: Its NamedTuple. Modified in place.
        row: Which of the B environments.
        outcome: The step.
        legal_t: The legal actions of `outcome.s_t`, [A]; or [0]: all are.
        clock: Environment steps done before this one.
        rng: Draws what the learner needs.
    """


class Linear(NamedTuple):
    """`LinearSchedule`: a straight line from `start` to `end` over `num_steps` environment steps, then flat."""

    start: float
    end: float
    num_steps: int


@njit(forceinline=True, makes_arrays=False)
def value_at(schedule: Linear, clock: int) -> float:
    """Return a schedule's value after `clock` steps."""
    if clock >= schedule.num_steps:
        return schedule.end
    return schedule.start + (schedule.end - schedule.start) * clock / schedule.num_steps


class StepSize(NamedTuple):
    """A step size: a schedule, divided by the number of visits to the state and action to the power of `power`.

    Power 1 over a constant 1 gives sample averages (S&B eq. 2.3).
    """

    schedule: Linear
    power: float
    visits: Ints  # [S, A] updates so far; or [0, 0]: visits don't count


@njit(forceinline=True, makes_arrays=False)
def step_size(size: StepSize, s: int, a: int, clock: int) -> float:
    """Return the step size of the next update of Q(s, a), and count the visit. `size.visits` is modified in place."""
    alpha = value_at(size.schedule, clock)
    if size.visits.shape[0] == 0:
        return alpha
    size.visits[s, a] += 1
    return float(alpha / size.visits[s, a] ** size.power)


@njit(forceinline=True, makes_arrays=False)
def random_action(num_actions: int, legal: Bools, rng: np.random.Generator) -> int:
    """Return a legal action, uniformly. `int(random() * n)` is ten times faster here than `integers`."""
    if legal.shape[0] == 0:
        return int(rng.random() * num_actions)
    count = 0
    for a in range(num_actions):
        count += int(legal[a])
    k = int(rng.random() * count)
    for a in range(num_actions):
        if legal[a]:
            if k == 0:
                return a
            k -= 1
    return num_actions - 1  # not reached


@njit(forceinline=True, makes_arrays=False)
def greedy_action(q: Floats, legal: Bools, rng: np.random.Generator) -> int:
    """Return a legal action of the greatest value, ties broken at random (S&B eq. 2.2); draws only where there are."""
    best, ties, found = q[0], int(legal.shape[0] == 0 or legal[0]), 0
    for a in range(1, q.shape[0]):
        if legal.shape[0] == 0 or legal[a]:
            if ties == 0 or q[a] > best:
                best, ties, found = q[a], 1, a
            elif q[a] == best:
                ties += 1
    if ties == 1:
        return found
    k = int(rng.random() * ties)
    for a in range(found, q.shape[0]):
        if q[a] == best and (legal.shape[0] == 0 or legal[a]):
            if k == 0:
                return a
            k -= 1
    return found  # not reached


@njit(forceinline=True, makes_arrays=False)
def epsilon_greedy(q: Floats, legal: Bools, epsilon: float, rng: np.random.Generator) -> int:
    """Return a random legal action with probability epsilon, else a greedy one.

    Args:
        q: Values of the actions [A].
        legal: [A]; or [0]: all are.
        epsilon: In [0, 1].
        rng: Draws both.
    """
    if rng.random() < epsilon:
        return random_action(q.shape[0], legal, rng)
    return greedy_action(q, legal, rng)


@njit(forceinline=True, makes_arrays=False)
def max_value(q: Floats, legal: Bools) -> float:
    """Return the greatest value [A] of a legal action."""
    best, found = q[0], legal.shape[0] == 0 or bool(legal[0])
    for a in range(1, q.shape[0]):
        if (legal.shape[0] == 0 or legal[a]) and (not found or q[a] > best):
            best, found = q[a], True
    return float(best)


@njit(forceinline=True, makes_arrays=False)
def mean_value(q: Floats, legal: Bools) -> float:
    """Return the mean value [A] of the legal actions."""
    total, count = 0.0, 0
    for a in range(q.shape[0]):
        if legal.shape[0] == 0 or legal[a]:
            total += q[a]
            count += 1
    return total / count


@njit(forceinline=True, makes_arrays=False)
def epsilon_greedy_value(q: Floats, legal: Bools, epsilon: float) -> float:
    """Return the value that an epsilon-greedy policy expects [A]; how it breaks ties makes no difference."""
    return epsilon * mean_value(q, legal) + (1.0 - epsilon) * max_value(q, legal)
