"""A small world in which the gradient of the policy's value is known, for the tests of policy gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tengen.agents._learner_kernels import Outcome
from tengen.types import Floats

GAMMA = 0.9
WORLD = {  # (s, a): (probability, next state, reward, discount); state 3 is the end
    (0, 0): [(0.7, 1, 1.0, 1.0), (0.3, 2, -2.0, 1.0)],
    (0, 1): [(0.5, 2, 0.5, 0.5), (0.5, 3, 0.1, 0.0)],
    (1, 0): [(1.0, 2, 3.0, 1.0)],
    (1, 1): [(0.4, 3, 5.0, 0.0), (0.6, 2, -1.0, 0.5)],
    (2, 0): [(1.0, 3, -1.0, 0.0)],
    (2, 1): [(0.2, 3, 4.0, 0.0), (0.8, 3, 1.0, 0.0)],
}
"""3 states, 2 actions, at most 3 steps; episodes begin in state 0."""


class Course(NamedTuple):
    """One way that an episode may go."""

    probability: float  # of what the world draws; the policy's odds not counted
    steps: list[Outcome]

    def odds(self, theta: Floats) -> float:
        """How probable it is under the softmax of theta."""
        return self.probability * float(np.prod([softmax(theta[step.s_tm1])[step.a_tm1] for step in self.steps]))


def softmax(preferences: Floats) -> Floats:
    weights = np.exp(preferences)
    probabilities: Floats = weights / weights.sum()
    return probabilities


def courses(s: int = 0) -> Iterator[Course]:
    """All ways that an episode may go from a state."""
    for a in range(2):
        for p, s_t, r, discount in WORLD[s, a]:
            outcome = Outcome(s, a, r, discount, s_t, discount == 0.0)
            if discount == 0.0:
                yield Course(p, [outcome])
            else:
                for rest in courses(s_t):
                    yield Course(p * rest.probability, [outcome, *rest.steps])


def value(theta: Floats, s: int = 0) -> float:
    """v(s) under the softmax of theta, by its definition."""
    total = 0.0
    for a, odds in enumerate(softmax(theta[s])):
        for p, s_t, r, discount in WORLD[s, a]:
            total += odds * p * (r + (GAMMA * discount * value(theta, s_t) if discount else 0.0))
    return total


def gradient_of_value(theta: Floats) -> Floats:
    """The gradient of v(0) by the preferences [4, 2], by finite differences."""
    gradient = np.zeros_like(theta)
    for index in np.ndindex(3, 2):
        shift = np.zeros_like(theta)
        shift[index] = 1e-5
        gradient[index] = (value(theta + shift) - value(theta - shift)) / 2e-5
    return gradient
