"""Random actions, for exploring and for evaluations that ask for some."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tengen.types import Array, Bools, Floats, Ints, TimeStep


def random_actions(step: TimeStep, num_actions: int, rng: np.random.Generator) -> Ints:
    """Return a uniformly drawn legal action for each row, int64 [B]."""
    if step.legal is None:
        if len(step.reward) == 1:  # a number draws the same as an array of one, in a third of the time
            return np.array([rng.integers(num_actions)])
        return rng.integers(num_actions, size=len(step.reward))
    chosen = rng.integers(np.count_nonzero(step.legal, axis=1))  # [B], the how-manieth legal action
    actions: Ints = (step.legal.cumsum(axis=1) > chosen[:, None]).argmax(axis=1)
    return actions


def epsilon_greedy(
    step: TimeStep,
    num_actions: int,
    epsilon: float,
    greedy: Callable[[Array, Bools | None], Ints],
    rng: np.random.Generator,
) -> Ints:
    """Return the greedy actions, each replaced by a random legal one with probability epsilon, int64 [B].

    Args:
        step: Where to act.
        num_actions: A.
        epsilon: The probability.
        greedy: Gives the greedy actions of observations and legal actions; not called where all rows explore.
        rng: Draws for every row, whether it explores or not.
    """
    if len(step.reward) == 1:  # the same draws as below, and the same actions, in half the time
        explores = rng.random() < epsilon
        actions = random_actions(step, num_actions, rng)
        return actions if explores else greedy(step.observation, step.legal)
    explore = rng.random(len(step.reward)) < epsilon
    actions = random_actions(step, num_actions, rng)
    return actions if explore.all() else np.where(explore, actions, greedy(step.observation, step.legal))


def random_probabilities(step: TimeStep, num_actions: int) -> Floats:
    """Return the probability of each action that `random_actions` draws with, [B, A]."""
    if step.legal is None:
        return np.full((len(step.reward), num_actions), 1.0 / num_actions)
    probabilities: Floats = step.legal / step.legal.sum(axis=1, keepdims=True)
    return probabilities
