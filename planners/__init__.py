"""Models (world simulators) and the planners that use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports

if TYPE_CHECKING:
    from tengen.planners.dynamic_programming import (
        Plan,
        Values,
        modified_policy_iteration,
        policy_evaluation,
        policy_iteration,
        value_iteration,
    )
    from tengen.planners.exact import evaluate_exactly, expected_return, finite_horizon_optimum, finite_horizon_return
    from tengen.planners.models import CountModel, DeterministicModel, ExactModel
    from tengen.planners.policies import greedy_policy, random_policy

__all__ = [
    "CountModel",
    "DeterministicModel",
    "ExactModel",
    "Plan",
    "Values",
    "evaluate_exactly",
    "expected_return",
    "finite_horizon_optimum",
    "finite_horizon_return",
    "greedy_policy",
    "modified_policy_iteration",
    "policy_evaluation",
    "policy_iteration",
    "random_policy",
    "value_iteration",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "CountModel": "tengen.planners.models",
        "DeterministicModel": "tengen.planners.models",
        "ExactModel": "tengen.planners.models",
        "Plan": "tengen.planners.dynamic_programming",
        "Values": "tengen.planners.dynamic_programming",
        "evaluate_exactly": "tengen.planners.exact",
        "expected_return": "tengen.planners.exact",
        "finite_horizon_optimum": "tengen.planners.exact",
        "finite_horizon_return": "tengen.planners.exact",
        "greedy_policy": "tengen.planners.policies",
        "modified_policy_iteration": "tengen.planners.dynamic_programming",
        "policy_evaluation": "tengen.planners.dynamic_programming",
        "policy_iteration": "tengen.planners.dynamic_programming",
        "random_policy": "tengen.planners.policies",
        "value_iteration": "tengen.planners.dynamic_programming",
    },
)
