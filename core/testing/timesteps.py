"""What holds for every single TimeStep of an environment."""

from __future__ import annotations

from typing import Any

import numpy as np

from tengen.testing.violation import Rules, Violation
from tengen.types import EnvSpec, TimeStep


def check_rows(rules: Rules, spec: EnvSpec, step: TimeStep, where: str) -> None:
    """Check one TimeStep by itself: fields, observation-space, discount, first, legal, has-legal, score."""

    def broken(rule: str, seen: str) -> Violation:
        return Violation(rules, rule, f"{where}: {seen}")

    num_envs = spec.num_envs
    for name, dtype in (("reward", np.float64), ("discount", np.float64), ("first", np.bool_), ("last", np.bool_)):
        problem = _not_array(getattr(step, name), (num_envs,), dtype)
        if problem:
            raise broken("fields", f"{name} is {problem}")
    space = spec.observation_space
    problem = _not_array(step.observation, (num_envs, *(space.shape or ())), space.dtype)
    if problem:
        raise broken("fields", f"observation is {problem}")
    if step.score is not None:
        problem = _not_array(step.score, (num_envs,), np.float64)
        if problem:
            raise broken("score", f"score is {problem}")
    if (step.legal is not None) != spec.has_legal:
        raise broken("has-legal", f"legal is {'None' if step.legal is None else 'given'}, has_legal {spec.has_legal}")
    if step.legal is not None:
        problem = _not_array(step.legal, (num_envs, spec.num_actions), np.bool_)
        if problem:
            raise broken("fields", f"legal is {problem}")

    for row in range(num_envs):
        if not space.contains(step.observation[row]):
            raise broken("observation-space", f"row {row}: {step.observation[row]} is not in {space}")
        if not -1.0 <= step.discount[row] <= 1.0:
            raise broken("discount", f"row {row}: discount {step.discount[row]}")
        if step.first[row] and (step.reward[row] != 0 or step.discount[row] != 1 or step.last[row]):
            seen = f"reward {step.reward[row]}, discount {step.discount[row]}, last {step.last[row]}"
            raise broken("first", f"row {row}: {seen} in a first row")
        if step.legal is not None:
            if not step.legal[row].any():
                raise broken("legal", f"row {row}: no action is legal")
            if step.last[row] and step.discount[row] == 0 and not step.legal[row].all():
                raise broken("legal", f"row {row}: legal {step.legal[row]} in a terminated row")
    if spec.simulator is not None and step.state is not None:
        if not np.array_equal(spec.simulator.observe(step.state), step.observation):
            raise broken("simulator-state", "simulator.observe(state) is not the observation")
        if step.legal is not None and not np.array_equal(spec.simulator.legal(step.state), step.legal):
            raise broken("simulator-state", "simulator.legal(state) is not legal")


def _not_array(value: Any, shape: tuple[int, ...], dtype: Any) -> str | None:
    """Return what a value is instead of an array of this shape and dtype, or None."""
    if not isinstance(value, np.ndarray):
        return f"a {type(value).__name__} instead of an array"
    if value.shape != shape or value.dtype != dtype:
        return f"{value.dtype} {value.shape} instead of {np.dtype(dtype)} {shape}"
    return None
