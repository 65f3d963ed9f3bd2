"""The rules of a Policy, and the check that tries them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tengen.contracts import Policy, StochasticPolicy
from tengen.testing.trees import freeze_step, same_array, step_difference
from tengen.testing.violation import Rules, Violation
from tengen.types import EnvSpec, Ints, TimeStep

POLICY_RULES: Rules = {
    "policy-protocol": "A policy has every method of tengen.Policy.",
    "policy-actions": "policy.act returns one action for each row: an int64 array [B] within the action space.",
    "policy-legal": "A policy chooses legal actions only.",
    "policy-deterministic": "The same TimeStep and generator give the same actions.",
    "policy-learns-nothing": "Acting leaves no trace in a policy: it chooses afterwards as before.",
    "policy-read-only": "A policy never writes into the TimeStep that it is shown.",
    "policy-any-batch": "A policy takes any number of rows.",
    "policy-probabilities": "Where a policy has probabilities [B, A], they sum to one, and it draws by them.",
}

_DRAWS = 2_000  # of each row's action, to compare with its probabilities
_MOST_ERRORS = 5.0  # in standard errors, at most one false alarm in a million


def check_policy(policy: Policy, spec: EnvSpec, steps: Sequence[TimeStep], *, seed: int = 0) -> None:
    """Check that a policy keeps every rule of `POLICY_RULES`.

    Args:
        policy: The policy.
        spec: The environment's.
        steps: TimeSteps to act on; where `spec.has_legal`, let them have different legal actions.
        seed: Of the generator that the policy draws from.

    Raises:
        Violation: A rule is broken.
    """
    if not isinstance(policy, Policy):
        raise Violation(POLICY_RULES, "policy-protocol", repr(policy))
    chosen = []
    for i, step in enumerate(steps):
        shown = freeze_step(step)
        actions = policy.act(shown, np.random.default_rng([seed, i]))
        check_actions(actions, spec, step, f"TimeStep {i}", POLICY_RULES, "policy-")
        changed = step_difference(step, shown)
        if changed:
            raise Violation(POLICY_RULES, "policy-read-only", f"TimeStep {i}, {changed}")
        chosen.append(actions.copy())
        again = policy.act(freeze_step(step), np.random.default_rng([seed, i]))
        if not same_array(actions, again):
            raise Violation(POLICY_RULES, "policy-deterministic", f"TimeStep {i}: {chosen[i]}, then {again}")
    for i, step in enumerate(steps):
        again = policy.act(freeze_step(step), np.random.default_rng([seed, i]))
        if not same_array(chosen[i], again):
            raise Violation(POLICY_RULES, "policy-learns-nothing", f"TimeStep {i}: {chosen[i]}, and later {again}")
    for rows in ([0], [*range(spec.num_envs), *range(spec.num_envs)]):
        some = take_rows(steps[0], rows)
        try:
            actions = policy.act(some, np.random.default_rng(seed))
            check_actions(actions, spec, some, f"{len(rows)} rows", POLICY_RULES, "policy-")
        except Exception as error:
            seen = f"{len(rows)} rows for num_envs {spec.num_envs}: {type(error).__name__}: {error}"
            raise Violation(POLICY_RULES, "policy-any-batch", seen) from error
    if isinstance(policy, StochasticPolicy):
        _check_probabilities(policy, spec, steps[0], seed)


def _check_probabilities(policy: StochasticPolicy, spec: EnvSpec, step: TimeStep, seed: int) -> None:
    shape = (len(step.reward), spec.num_actions)
    probabilities = np.asarray(policy.probabilities(freeze_step(step)))
    if probabilities.shape != shape:
        raise Violation(POLICY_RULES, "policy-probabilities", f"they are {probabilities.shape}, expected {shape}")
    if not (probabilities >= 0).all() or not np.allclose(probabilities.sum(1), 1.0):
        raise Violation(POLICY_RULES, "policy-probabilities", f"they are {probabilities}")
    for row, expected in enumerate(probabilities):
        actions = policy.act(take_rows(step, [row] * _DRAWS), np.random.default_rng([seed, row]))
        drawn = np.bincount(actions, minlength=spec.num_actions) / _DRAWS
        error = np.sqrt(expected * (1.0 - expected) / _DRAWS)
        if (np.abs(drawn - expected) > _MOST_ERRORS * error + 1e-9).any():
            seen = f"row {row}: {expected.round(3)}, and of {_DRAWS} draws {drawn.round(3)}"
            raise Violation(POLICY_RULES, "policy-probabilities", seen)


def check_actions(actions: Any, spec: EnvSpec, step: TimeStep, where: str, rules: Rules, prefix: str = "") -> Ints:
    """Check actions for one TimeStep against the rules `actions` and `legal`; return them."""
    if not isinstance(actions, np.ndarray) or actions.shape != step.reward.shape or actions.dtype != np.int64:
        seen = f"{actions.dtype} {actions.shape}" if isinstance(actions, np.ndarray) else f"a {type(actions).__name__}"
        raise Violation(rules, f"{prefix}actions", f"{where}: {seen} for {len(step.reward)} rows")
    for row, action in enumerate(actions):
        if not 0 <= action < spec.num_actions:
            raise Violation(rules, f"{prefix}actions", f"{where}, row {row}: action {action} of {spec.num_actions}")
        if step.legal is not None and not step.legal[row, action]:
            raise Violation(rules, f"{prefix}legal", f"{where}, row {row}: action {action}, legal {step.legal[row]}")
    return actions


def take_rows(step: TimeStep, rows: list[int]) -> TimeStep:
    """Return some rows of a TimeStep, as often as each is named; simulator states as well."""

    def take(value: Any) -> Any:
        if isinstance(value, tuple):
            parts = [take(part) for part in value]
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        return value[rows] if isinstance(value, np.ndarray) else value

    return TimeStep(*(take(value) for value in step))
