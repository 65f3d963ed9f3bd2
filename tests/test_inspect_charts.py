"""Pictures of cards, cars and real observations: that what is drawn is what was learnt."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from inspect_helpers import (
    CAR,
    CARDS,
    POLE,
    SPAN,
    built,
    legend,
    line,
    pixels,
    random_table,
    subject,
    texts,
    with_table,
)
from matplotlib.projections import get_projection_class

from tengen.envs import EnvConfig
from tengen.errors import UserError
from tengen.evaluation.drawing import action_colours
from tengen.evaluation.inspection import Subject, draw
from tengen.evaluation.inspection.chart_figure import choice_colours, is_cost
from tengen.evaluation.inspection.domain import domain_of
from tengen.evaluation.inspection.labels import part_names
from tengen.evaluation.inspection.learnt import Learnt
from tengen.evaluation.inspection.places import charts_of
from tengen.evaluation.inspection.shown import step_of
from tengen.registry import resolve_agent
from tengen.types import EnvSpec


def test_the_chart_of_blackjack_shows_what_the_policy_does_with_each_hand() -> None:
    rng = np.random.default_rng(3)
    told = with_table(CARDS, rng.random((704, 2)))
    figure = draw(told)
    charts = [axes for axes in figure.axes if axes.name == "rectilinear"]
    assert [axes.get_title() for axes in charts] == ["policy: usable ace", "policy: no usable ace"]
    assert legend(figure) == ["stick", "hit"]
    colours = action_colours(2)
    for axes, ace, least in zip(charts, (1, 0), (12, 11), strict=True):
        image = pixels(axes)
        assert image.shape == (22 - least, 10, 4)
        for player, dealer in itertools.product(range(least, 22), range(1, 11)):
            hand = step_of(np.array([[player, dealer, ace]]))
            action = told.policy.act(hand, rng)[0]
            np.testing.assert_allclose(image[player - least, dealer - 1], colours(action))
        assert [label.get_text() for label in axes.get_xticklabels()] == ["A", *map(str, range(2, 11))]
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("dealer showing", "player sum")
        assert tuple(axes.images[0].get_extent()) == (0.5, 10.5, least - 0.5, 21.5)
        assert axes.images[0].origin == "lower"
    surfaces = [axes for axes in figure.axes if axes.name == "3d"]
    assert [axes.get_title() for axes in surfaces] == [
        "max q(s, a), value of the best action: usable ace",
        "max q(s, a), value of the best action: no usable ace",
    ]


def test_gymnasiums_blackjack_has_the_same_chart() -> None:
    ours, theirs = charts_of(CARDS), charts_of(EnvConfig("Blackjack-v1"))
    assert [chart.title for chart in theirs] == ["usable ace", "no usable ace"]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.states, b.states)


def test_prediction_in_blackjack_is_drawn_as_surfaces_only() -> None:
    agent = built("td", CARDS)
    agent.learner.v[:] = np.random.default_rng(0).random(704)
    assert [axes.name for axes in draw(subject(agent, CARDS)).axes] == ["3d", "3d"]


def test_the_chart_of_cars_names_how_many_are_moved() -> None:
    env = EnvConfig("tengen/JacksCarRental-v0", kwargs={"max_cars": 4, "max_move": 2})
    figure = draw(with_table(env, random_table(25, 5)))
    assert legend(figure)[:5] == ["-2", "-1", "0", "+1", "+2"]
    assert figure.legends[0].get_title().get_text() == "cars moved from the first to the second location"
    (chart,) = charts_of(env)
    assert chart.states[3, 1] == 3 * 5 + 1


@pytest.fixture
def surfaces(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The points [R * C, 3] of each surface that is drawn."""
    drawn: list[Any] = []
    three_dimensional: Any = get_projection_class("3d")
    plot = three_dimensional.plot_surface

    def watched(axes: Any, x: Any, y: Any, heights: Any, **settings: Any) -> Any:
        drawn.append(np.stack([x.ravel(), y.ravel(), heights.ravel()], axis=-1))
        return plot(axes, x, y, heights, **settings)

    monkeypatch.setattr(three_dimensional, "plot_surface", watched)
    return drawn


def test_the_surface_of_mountain_car_is_the_cost_to_go(surfaces: list[Any]) -> None:
    agent = built("semi_gradient_sarsa", CAR)
    agent.learner.weights[:] = -np.random.default_rng(0).random(agent.learner.weights.shape)
    told = subject(agent, CAR)
    figure = draw(told)
    chart, surface = figure.axes
    (points,) = surfaces
    assert len(points) == 3_600
    policy: Any = told.policy
    np.testing.assert_allclose(points[:, 2], policy.cost_to_go(points[:, :2].astype(np.float32)), atol=2e-6)
    assert points[:, 0].min() == pytest.approx(-1.2)
    assert points[:, 1].max() == pytest.approx(0.07)
    assert surface.get_title() == "cost to go, -max q(s, a)"
    assert (surface.get_xlabel(), surface.get_ylabel()) == ("position", "velocity")
    image, domain = pixels(chart), domain_of(told.policy, told.spec)
    assert domain is not None
    position, velocity = (axis.points for axis in domain.axes)
    for row, column in ((0, 0), (7, 40), (59, 13)):
        seen = step_of(np.array([[position[column], velocity[row]]], np.float32))
        action = told.policy.act(seen, np.random.default_rng(0))[0]
        np.testing.assert_allclose(image[row, column], action_colours(3)(action))
    assert legend(figure) == ["push left", "no push", "push right"]


def test_a_table_of_two_real_parts_is_drawn_at_the_centres_of_its_bins(surfaces: list[Any]) -> None:
    table = np.random.default_rng(0).random((12, 3))
    told = with_table(CAR, table, discretiser="uniform", bins=(4, 3))
    draw(told)
    (points,) = surfaces
    first = points[np.lexsort((points[:, 1], points[:, 0]))]  # position, then velocity
    np.testing.assert_allclose(first[:, 2], table.max(1))
    np.testing.assert_allclose(np.unique(points[:, 0].round(6)), [-0.975, -0.525, -0.075, 0.375])


def test_values_are_costs_where_they_are_below_zero_but_for_an_approximations_errors() -> None:
    assert is_cost(np.array([-100.0, 0.0]))
    assert is_cost(np.array([-100.0, 5.0]))
    assert not is_cost(np.array([-100.0, 20.0]))
    assert not is_cost(np.array([0.0, 0.0]))
    assert not is_cost(np.array([1.0, 3.0]))


def test_a_choice_is_the_paler_the_less_probable_it_is() -> None:
    probabilities = np.array([[1.0, 0.0], [0.75, 0.25], [0.5, 0.5]])
    none, legal = np.zeros((3, 2), np.bool_), np.ones((3, 2), np.bool_)
    sure, unsure, even = choice_colours(Learnt(None, None, probabilities, none, legal, ""))[:, :3]
    own = np.array(action_colours(2)(0)[:3])
    np.testing.assert_allclose(sure, own)
    np.testing.assert_allclose(unsure, (own + 1) / 2)
    np.testing.assert_allclose(even, 0.85)


def test_more_than_two_real_parts_are_drawn_as_slices_through_an_episodes_start() -> None:
    agent = built("semi_gradient_sarsa", POLE, **SPAN)
    agent.learner.weights[:] = np.random.default_rng(0).random(agent.learner.weights.shape)
    told = subject(agent, POLE)
    figure = draw(told)
    squares = np.array(figure.axes[:16]).reshape(4, 4)
    assert [len(axes.images) for axes in squares.ravel()] == [int(i != j) for i in range(4) for j in range(4)]
    assert [texts(squares[part, part])[0] for part in range(4)] == list(part_names("CartPole-v1", 4))
    domain = domain_of(told.policy, told.spec)
    assert domain is not None
    first, _ = gym.make("CartPole-v1").reset(seed=0)
    for (chart, observations), (x, y) in zip(domain.slices(first), itertools.combinations(range(4), 2), strict=True):
        others = [part for part in range(4) if part not in (x, y)]
        np.testing.assert_array_equal(observations[:, others], np.tile(first[others], (3_600, 1)))
        at = int(chart.states[11, 5])
        assert observations[at, x] == pytest.approx(domain.axes[x].points[5], rel=1e-5)
        assert observations[at, y] == pytest.approx(domain.axes[y].points[11], rel=1e-5)
        action = told.policy.act(step_of(observations[at : at + 1]), np.random.default_rng(0))[0]
        np.testing.assert_allclose(pixels(squares[x, y])[5, 11], action_colours(2)(action))


def boxed(name: str, num_parts: int, **settings: Any) -> tuple[Any, Subject]:
    """An agent in an environment of real numbers that only its spec tells of, and what is drawn of it."""
    space = gym.spaces.Box(-1.0, 1.0, (num_parts,))
    spec = EnvSpec("my/Own-v0", space, gym.spaces.Discrete(2), num_envs=1)
    agent = resolve_agent(name)[0](**settings).build(spec, np.random.default_rng(0), "cpu")
    return agent, Subject("mine", agent.policy(), spec, EnvConfig(spec.id), 0, "a title")


def test_one_real_part_is_drawn_as_lines() -> None:
    agent, told = boxed("q_learning", 1, discretiser="uniform", bins=(4,))
    agent.learner.q[:] = np.arange(8.0).reshape(4, 2)
    (axes,) = draw(told).axes
    found: list[Any] = list(axes.lines)
    np.testing.assert_allclose(found[0].get_xdata(), [-0.75, -0.25, 0.25, 0.75])
    assert [list(own.get_ydata()) for own in found] == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("observation 0", "q(s, a)")
    agent, told = boxed("reinforce", 1, discretiser="uniform", bins=(4,), initial_preferences=(1.0, 0.0))
    agent.learner.baseline[:] = np.arange(4)
    above, below = draw(told).axes
    assert above.get_ylabel() == "probability"
    assert line(below) == [0, 1, 2, 3]


def test_slices_go_through_the_middle_where_nobody_knows_an_episodes_start() -> None:
    _, told = boxed("semi_gradient_sarsa", 3)
    figure = draw(told)
    about = "above the diagonal: the policy; all other parts in the middle of their range"
    assert figure.legends[0].get_title().get_text() == about
    assert legend(figure) == ["0", "1", "no preference"]


def test_too_many_real_parts_are_refused() -> None:
    _, told = boxed("semi_gradient_sarsa", 7, tiles=(1,))
    with pytest.raises(UserError, match=r"my/Own-v0 has observations of 7 parts, .* slices of at most 6"):
        draw(told)
