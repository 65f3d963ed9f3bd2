"""What a policy has learnt of some observations, as arrays to be looked at.

N observations, A actions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tengen.contracts import ActionValuing, Policy, StateValuing, StochasticPolicy
from tengen.planners.policies import tied_actions
from tengen.types import Bools, Floats, Ints, TimeStep


class Learnt(NamedTuple):
    """What is known of N observations."""

    v: Floats | None  # [N], the state's value; None where only the policy is known
    q: Floats | None  # [N, A], the actions' values, NaN for illegal ones; None where they aren't known
    probabilities: Floats  # [N, A], of what the policy does
    best: Bools  # [N, A], actions that tie for the best q; all False where q isn't known
    legal: Bools  # [N, A]
    about_v: str  # what v is, in words

    @property
    def decides(self) -> bool:
        """Whether there is a policy to be seen: it is not the random one everywhere, as prediction may follow it."""
        return self.q is not None or not self.undecided[self.legal.sum(1) > 1].all()

    @property
    def undecided(self) -> Bools:
        """Where nothing tells the actions apart, of which there are several [N]."""
        several = self.legal.sum(1) > 1
        if self.q is not None:
            return np.asarray(several & (self.best == self.legal).all(1))
        even = self.legal / self.legal.sum(1, keepdims=True)
        return np.asarray(several & np.isclose(self.probabilities, even).all(1))

    def rows(self, index: Ints) -> Learnt:
        """Return what is known of some of the observations."""
        return Learnt(
            None if self.v is None else self.v[index],
            None if self.q is None else self.q[index],
            self.probabilities[index],
            self.best[index],
            self.legal[index],
            self.about_v,
        )


def knows_values(policy: Policy) -> bool:
    """Return whether a policy can tell values."""
    return isinstance(policy, ActionValuing | StateValuing)


def ask(policy: Policy, step: TimeStep) -> Learnt:
    """Return what a policy knows of observations [N].

    Args:
        policy: One of which `knows_values` is True.
        step: Shows the observations, and which actions are legal.
    """
    assert knows_values(policy), "this policy tells no values"
    q = policy.action_values(step) if isinstance(policy, ActionValuing) else None
    v = policy.state_values(step) if isinstance(policy, StateValuing) else None
    if isinstance(policy, StochasticPolicy):
        probabilities = policy.probabilities(step)
    else:
        assert q is not None, "a policy that is not greedy on action values must tell its probabilities"
        probabilities = np.eye(q.shape[1])[policy.act(step, np.random.default_rng(0))]
    legal = np.ones(probabilities.shape, np.bool_) if step.legal is None else step.legal
    best, about_v = np.zeros(probabilities.shape, np.bool_), "v(s), value of the state"
    if q is not None:
        best, q = tied_actions(q, legal), np.where(legal, q, np.nan)
        if v is None:
            v, about_v = np.asarray(np.nanmax(q, axis=1)), "max q(s, a), value of the best action"
    return Learnt(v, q, probabilities, best, legal, about_v)
