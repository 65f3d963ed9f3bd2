"""What a policy's episodes bring exactly, from the environment's transition tables: measured returns scatter around it.

S states, A actions, O observations.
"""

from __future__ import annotations

import numpy as np

from tengen.contracts import Environment, Policy, StochasticPolicy, TabledEnvironment
from tengen.errors import UserError
from tengen.evaluation.inspection.shown import all_states
from tengen.types import EnvSpec, Floats

_MOST_BACKUPS = 1_000_000_000
"""Outcomes of the tables times sweeps over them: above it, what takes seconds would take minutes."""


def exact_terms(policy: Policy, env: Environment, gamma: float | None, epsilon: float = 0.0) -> dict[str, float]:
    """Return what the tables say of a policy; nothing where the environment has none, or they are too large.

    Args:
        policy: Acts in the environment.
        env: Made with `training=False`: its step limit counts.
        gamma: Discount factor for Q*; None: the agent has none.
        epsilon: Probability of a random legal action instead of the policy's.

    Returns:
        `expected_return`, the mean return of the policy's episodes, without discounting; `q_star_return`, that of the
        policy that is greedy on Q* at `gamma`, its epsilon the same; and `gamma`. What isn't known is left out, and
        the second where no agent can follow that policy, as it acts differently in states that look alike.
    """
    from tengen.planners import expected_return

    spec = env.spec
    tables, limit = spec.model, spec.max_episode_steps
    if tables is None or _changes(env) or len(tables.probability) * (limit or 0) > _MOST_BACKUPS:
        return {}
    terms: dict[str, float | None] = {}
    probabilities = tabulate_policy(policy, spec)
    if probabilities is not None:
        terms["expected_return"] = expected_return(tables, explore(probabilities, spec, epsilon), limit)
    if gamma is not None:
        terms |= {"q_star_return": _q_star_return(spec, gamma, epsilon), "gamma": gamma}
    return {name: value for name, value in terms.items() if value is not None}


def optimal_return(env: Environment) -> float | None:
    """Return the best mean return that any policy can have, without discounting, or None where it isn't known.

    It is that of the policy greedy on Q* without discounting or nearly so, whichever is better within the step limit.

    Args:
        env: Made with `training=False`: its step limit counts.
    """
    spec = env.spec
    tables, limit = spec.model, spec.max_episode_steps
    if tables is None or limit is None or _changes(env) or len(tables.probability) * limit > _MOST_BACKUPS:
        return None
    found = [_q_star_return(spec, gamma, 0.0) for gamma in (1.0, 0.999)]
    return max((value for value in found if value is not None), default=None)


def _q_star_return(spec: EnvSpec, gamma: float, epsilon: float) -> float | None:
    from tengen.agents.planned.table import tabulate_plan
    from tengen.planners import expected_return, value_iteration

    assert spec.model is not None
    try:
        most = max(1, _MOST_BACKUPS // len(spec.model.probability))
        plan = value_iteration(spec.model, gamma, max_sweeps=most)  # without discounting, values may have no end
        tabulate_plan(spec, plan)
    except UserError:
        return None
    greedy = np.eye(spec.num_actions)[plan.policy]
    return expected_return(spec.model, explore(greedy, spec, epsilon), spec.max_episode_steps)


def tabulate_policy(policy: Policy, spec: EnvSpec) -> Floats | None:
    """Return a policy's probabilities in each state of the environment's tables [S, A].

    Args:
        policy: Acts in the environment.
        spec: The environment; it has tables.

    Returns:
        None where the policy draws its actions and doesn't say with what probabilities, or the states can't be shown to
        it one by one.
    """
    assert spec.model is not None
    step = all_states(spec)
    if step is None:
        return None
    if isinstance(policy, StochasticPolicy):
        return policy.probabilities(step)
    rng = np.random.default_rng(0)
    untouched = rng.bit_generator.state
    actions = policy.act(step, rng)
    return np.eye(spec.num_actions)[actions] if rng.bit_generator.state == untouched else None


def explore(probabilities: Floats, spec: EnvSpec, epsilon: float) -> Floats:
    """Return the probabilities [S, A] of a policy that takes a random legal action with probability epsilon."""
    assert spec.model is not None
    legal = spec.model.legal if len(spec.model.legal) else np.ones(probabilities.shape, np.bool_)
    explored: Floats = (1.0 - epsilon) * probabilities + epsilon * legal / legal.sum(1, keepdims=True)
    return explored


def _changes(env: Environment) -> bool:
    """Return whether the environment's tables hold for a while only."""
    return isinstance(env, TabledEnvironment) and env.steps_until_change() is not None
