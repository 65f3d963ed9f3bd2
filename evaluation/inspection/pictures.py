"""Pictures of what a run has learnt. What is drawn follows from what the policy can tell, and where the states lie.

Start at `draw`. Real observations: `domain.py`; grids and charts: `places.py`; anything else is a table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from tengen.contracts import Policy
from tengen.envs.config import EnvConfig
from tengen.errors import UserError
from tengen.evaluation.inspection.chart_figure import chart_figure
from tengen.evaluation.inspection.domain import Domain, domain_of
from tengen.evaluation.inspection.grid_figure import grid_figure
from tengen.evaluation.inspection.labels import action_names, part_names
from tengen.evaluation.inspection.learnt import Learnt, ask, knows_values
from tengen.evaluation.inspection.places import Chart, charts_of, first_observation, grids_of, masks_of
from tengen.evaluation.inspection.shown import all_observations, all_states, number_sizes, step_of
from tengen.evaluation.inspection.slice_figure import MOST_PARTS, line_figure, slice_figure
from tengen.evaluation.inspection.table_figure import check_size, table_figure
from tengen.types import EnvSpec, TimeStep


@dataclass(frozen=True)
class Subject:
    """What a picture is made of.

    Attributes:
        agent: The agent's name, for messages.
        policy: What it has learnt.
        spec: The environment.
        env: Its settings.
        step: Environment steps of training.
        title: The picture's headline.
    """

    agent: str
    policy: Policy
    spec: EnvSpec
    env: EnvConfig
    step: int
    title: str


def draw(subject: Subject) -> Figure:
    """Return a picture of what has been learnt.

    Raises:
        UserError: The policy can't tell values, or there are too many states.
    """
    if not knows_values(subject.policy):
        raise UserError(
            f"{subject.agent} has no table of values to be drawn: inspect is for agents that can tell the values of"
            " states or actions, such as q_learning, planned, td or semi_gradient_sarsa"
        )
    if subject.spec.model is not None:
        figure = _draw_places(subject)
        if figure is not None:
            return figure
    domain = domain_of(subject.policy, subject.spec)
    return _draw_table(subject) if domain is None else _draw_domain(subject, domain)


def _ask(subject: Subject, shown: TimeStep) -> Learnt:
    learnt = ask(subject.policy, shown)
    if learnt.v is None and not learnt.decides:
        raise UserError(
            f"{subject.agent} has no preference in any state yet, and tells no values: there is nothing to be drawn"
        )
    return learnt


def _draw_places(subject: Subject) -> Figure | None:
    """Return a picture of the states of tables where they lie; None where that isn't known."""
    spec = subject.spec
    masked = spec.has_legal and spec.model is not None and not len(spec.model.legal)
    shown = all_states(spec, masks_of(subject.env) if masked else None)
    if shown is None:
        return None
    grids = grids_of(subject.env, subject.step)
    if grids is not None:
        return grid_figure(grids, _ask(subject, shown), subject.title)
    charts = charts_of(subject.env)
    if charts:
        actions = action_names(spec.id, spec.num_actions)
        return chart_figure(charts, _ask(subject, shown), actions, subject.title)
    return None


def _draw_domain(subject: Subject, domain: Domain) -> Figure:
    """Return a picture of values of real observations."""
    policy, spec, sizes = subject.policy, subject.spec, domain.sizes
    actions = action_names(spec.id, spec.num_actions)
    if len(sizes) > 2 and not domain.is_table:
        if len(sizes) > MOST_PARTS:
            raise UserError(
                f"{spec.id} has observations of {len(sizes)} parts, and a picture can show the slices of at most"
                f" {MOST_PARTS}: ask `policy().action_values` in Python for those that you want to see"
            )
        through, where = first_observation(subject.env), "as they are when an episode begins (seed 0)"
        if through is None:
            through, where = domain.middle(), "in the middle of their range"
        slices = [(chart, ask(policy, step_of(seen))) for chart, seen in domain.slices(through.ravel())]
        return slice_figure(slices, domain.axes, actions, subject.title, where)
    check_size(spec.id, math.prod(sizes))
    learnt = _ask(subject, step_of(domain.observations()))
    if len(sizes) == 1:
        return line_figure(domain.axes[0], learnt, actions, subject.title)
    if len(sizes) == 2:
        x, y = domain.axes
        chart = Chart("", x, y, np.arange(math.prod(sizes)).reshape(sizes).T)
        return chart_figure([chart], learnt, actions, subject.title)
    return table_figure(learnt, sizes, part_names(spec.id, len(sizes)), actions, subject.title)


def _draw_table(subject: Subject) -> Figure:
    """Return a picture of a table by the numbers of its states."""
    spec = subject.spec
    sizes = number_sizes(spec)
    if sizes is None:
        raise UserError(
            f"{subject.agent} has no table of {spec.id} to be drawn: its observations are {spec.observation_space}"
        )
    check_size(spec.id, math.prod(sizes))
    shown = all_observations(spec)
    assert shown is not None
    parts, actions = part_names(spec.id, len(sizes)), action_names(spec.id, spec.num_actions)
    return table_figure(_ask(subject, shown), sizes, parts, actions, subject.title)
