"""Observations as a policy is shown them: all that there can be, by number, or those of an environment's states.

S states of the transition tables, N observations, K parts of an observation, A actions.
"""

from __future__ import annotations

import numpy as np

from tengen.errors import UserError
from tengen.types import Array, Bools, EnvSpec, Ints, TimeStep


def step_of(observations: Array, legal: Bools | None = None) -> TimeStep:
    """Return a TimeStep of observations [N, ...] in the middle of episodes.

    Args:
        observations: They lead with N.
        legal: Legal actions [N, A]; None: all are.
    """
    num_rows = len(observations)
    no = np.zeros(num_rows, np.bool_)
    return TimeStep(observations, np.zeros(num_rows), np.ones(num_rows), first=no, last=no, legal=legal)


def all_states(spec: EnvSpec, legal: Bools | None = None) -> TimeStep | None:
    """Return the states of an environment's tables [S] as an agent sees them.

    Args:
        spec: The environment; it has tables.
        legal: Legal actions [S, A], where the environment tells them and its tables don't.

    Returns:
        None where an agent doesn't see numbers, or nobody knows which actions are legal.
    """
    tables = spec.model
    assert tables is not None
    if spec.has_legal and legal is None:
        if not len(tables.legal):
            return None
        legal = tables.legal
    if number_sizes(spec) is None:
        return None
    numbers = tables.observation if len(tables.observation) else np.arange(tables.num_states)
    return step_of(_observations(spec, numbers), legal)


def all_observations(spec: EnvSpec) -> TimeStep | None:
    """Return each observation that there can be [N], in the order of their numbers; None where they aren't numbers.

    Which actions are legal is known only where states are what is observed; elsewhere all count as legal.
    """
    sizes = number_sizes(spec)
    if sizes is None:
        return None
    num_rows, tables = int(np.prod(sizes)), spec.model
    known = tables is not None and len(tables.legal) == num_rows and not len(tables.observation)
    legal = tables.legal if tables is not None and known and spec.has_legal else None
    return step_of(_observations(spec, np.arange(num_rows)), legal)


def number_sizes(spec: EnvSpec) -> tuple[int, ...] | None:
    """Return how many values each part of an observation has [K]; None where observations aren't whole numbers."""
    from tengen.agents.planned.table import numbering

    try:
        return numbering(spec).sizes
    except UserError:
        return None


def _observations(spec: EnvSpec, numbers: Ints) -> Array:
    """Return the observations [N, ...] of some numbers [N]."""
    from tengen.agents.planned.table import numbering

    states = numbering(spec)
    parts: Array = np.stack(np.unravel_index(numbers, states.sizes), axis=-1) + states.low  # [N, K]
    space = spec.observation_space
    return parts.reshape(-1, *(space.shape or ())).astype(space.dtype)
