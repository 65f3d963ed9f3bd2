"""Settings of the planners that do dynamic programming. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tengen.errors import UserError

if TYPE_CHECKING:
    from tengen.planners.dynamic_programming import Plan
    from tengen.tables import TransitionTables

THETA = 1e-10
MAX_SWEEPS = 100_000
EVALUATION_SWEEPS = 20

Method = Literal["synchronous", "in_place", "prioritized"]


def check_ranges(gamma: float, theta: float, max_sweeps: int, prefix: str = "") -> None:
    """Refuse settings out of their range.

    Args:
        gamma: Discount factor.
        theta: The change to stop at.
        max_sweeps: Sweeps to make at most.
        prefix: What to put before their names.

    Raises:
        UserError: One is.
    """
    if not 0 <= gamma <= 1:
        raise UserError(f"{prefix}gamma must be between 0 and 1, got {gamma:g}")
    if not 0 < theta < float("inf"):
        raise UserError(f"{prefix}theta must be greater than 0 and finite, got {theta:g}")
    check_count("max_sweeps", max_sweeps, prefix)


def check_count(name: str, count: int, prefix: str = "") -> None:
    """Refuse a number below 1.

    Raises:
        UserError: It is.
    """
    if count < 1:
        raise UserError(f"{prefix}{name} must be at least 1, got {count}")


@dataclass(frozen=True)
class _Settings:
    gamma: float = 0.99
    """Discount factor, 0 to 1; with 1 episodes must end."""
    theta: float = THETA
    """Stop when no value changes by more in a sweep."""
    max_sweeps: int = MAX_SWEEPS
    """Give up after so many sweeps."""

    def __post_init__(self) -> None:
        check_ranges(self.gamma, self.theta, self.max_sweeps, "planner.")


@dataclass(frozen=True)
class ValueIteration(_Settings):
    """Backs up each state's best action until values no longer change (Sutton & Barto 2018, section 4.4)."""

    method: Method = "in_place"
    """Sweeps from the values of the sweep before, in place, or states in order of their Bellman error."""

    def plan(self, tables: TransitionTables) -> Plan:
        """Return the optimal values and a policy that has them."""
        from tengen.planners.dynamic_programming import value_iteration

        return value_iteration(tables, self.gamma, method=self.method, theta=self.theta, max_sweeps=self.max_sweeps)


@dataclass(frozen=True)
class PolicyIteration(_Settings):
    """Evaluates a policy, makes it greedy for its values, and so on until it is (Sutton & Barto 2018, section 4.3)."""

    def plan(self, tables: TransitionTables) -> Plan:
        """Return the optimal values and a policy that has them."""
        from tengen.planners.dynamic_programming import policy_iteration

        return policy_iteration(tables, self.gamma, theta=self.theta, max_sweeps=self.max_sweeps)


@dataclass(frozen=True)
class ModifiedPolicyIteration(_Settings):
    """Policy iteration with a few sweeps for each policy (Puterman & Shin 1978; Sutton & Barto 2018, section 4.6)."""

    evaluation_sweeps: int = EVALUATION_SWEEPS
    """Sweeps for each policy, the one that finds it included; 1 is value iteration."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("evaluation_sweeps", self.evaluation_sweeps, "planner.")

    def plan(self, tables: TransitionTables) -> Plan:
        """Return the optimal values and a policy that has them."""
        from tengen.planners.dynamic_programming import modified_policy_iteration

        return modified_policy_iteration(
            tables,
            self.gamma,
            evaluation_sweeps=self.evaluation_sweeps,
            theta=self.theta,
            max_sweeps=self.max_sweeps,
        )


@dataclass(frozen=True)
class PolicyEvaluation(_Settings):
    """Evaluates the random policy, and is greedy for its values: one improvement (Sutton & Barto 2018, section 4.1)."""

    in_place: bool = True
    """Sweep in place, rather than from the values of the sweep before."""

    def plan(self, tables: TransitionTables) -> Plan:
        """Return the random policy's values, and the policy that is greedy for them."""
        from tengen.planners.dynamic_programming import plan_from, policy_evaluation
        from tengen.planners.policies import random_policy

        values = policy_evaluation(
            tables,
            random_policy(tables),
            self.gamma,
            in_place=self.in_place,
            theta=self.theta,
            max_sweeps=self.max_sweeps,
        )
        return plan_from(tables, self.gamma, values)
