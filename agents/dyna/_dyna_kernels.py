"""Dyna: a learner that is improved by real steps, and by steps that its own model imagines (S&B sections 8.2 to 8.4).

S states, A actions, B environments side by side.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tengen._jit import njit
from tengen.agents._learner_kernels import Outcome, act, max_value, step_size, update
from tengen.agents.tabular._one_step_kernels import QLearning
from tengen.planners._background_kernels import attend, estimate, improve, revise, target
from tengen.planners._model_kernels import note_legal, remember
from tengen.types import Bools


class Dyna(NamedTuple):
    """An agent's parts: what it learns, what it knows of the world, and how the one improves the other."""

    learner: Any
    model: Any
    control: Any  # where the planner looks
    planner: Any
    learns_directly: bool  # from real steps, too, and not by planning only


@act.register(Dyna)
@njit
def _act(dyna: Dyna, row: int, s_t: int, legal_t: Bools, clock: int, rng: np.random.Generator) -> int:
    note_legal(dyna.model.known, s_t, legal_t)
    return int(act(dyna.learner, row, s_t, legal_t, clock, rng))


@update.register(Dyna)
@njit
def _update(dyna: Dyna, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator) -> None:
    s, a, model = outcome.s_tm1, outcome.a_tm1, dyna.model
    if outcome.discount_t != 0.0:  # nothing is chosen after an episode's end
        note_legal(model.known, outcome.s_t, legal_t)
    if dyna.learns_directly:
        update(dyna.learner, row, outcome, legal_t, clock, rng)
    remember(model, s, a, outcome.r_t, outcome.discount_t, outcome.s_t, clock)  # where a truncated one led, as well
    attend(dyna.control, model, dyna.learner, s, a)
    improve(dyna.planner, dyna.learner, model, dyna.control, clock, rng)


@target.register(QLearning)
@njit(forceinline=True)
def _target(learner: QLearning, r: float, discount: float, s_t: int, legal_t: Bools) -> float:
    return float(r + learner.gamma * discount * max_value(learner.q[s_t], legal_t))


@estimate.register(QLearning)
@njit(forceinline=True)
def _estimate(learner: QLearning, s: int, a: int) -> float:
    return float(learner.q[s, a])


@revise.register(QLearning)
@njit(forceinline=True)
def _revise(learner: QLearning, s: int, a: int, worth: float, clock: int) -> None:
    learner.q[s, a] += step_size(learner.step_size, s, a, clock) * (worth - learner.q[s, a])
