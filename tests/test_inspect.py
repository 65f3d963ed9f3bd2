"""Pictures of runs: that what is drawn is what was learnt. Figures are looked at as objects, not as pixels."""

from __future__ import annotations

import errno
import itertools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.projections import get_projection_class
from matplotlib.quiver import Quiver

from tengen.cli import main
from tengen.config import RunConfig, default_settings, make_run_config
from tengen.contracts import ActionValuing
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.evaluation import picture_file
from tengen.evaluation.chart_figure import choice_colours, is_cost
from tengen.evaluation.domain import domain_of
from tengen.evaluation.drawing import action_colours, ink, limits, numerals, plain, save
from tengen.evaluation.grid_marks import marks
from tengen.evaluation.inspection import Subject, draw
from tengen.evaluation.labels import action_names, part_names
from tengen.evaluation.learnt import Learnt, ask
from tengen.evaluation.places import GridPanel, charts_of, grids_of, layout_at
from tengen.evaluation.shown import all_observations, all_states, step_of
from tengen.evaluation.table_figure import MOST_STATES, columns_of, means
from tengen.registry import names, resolve_agent
from tengen.run import load_policy, open_run, train
from tengen.run.untrained import save_untrained

LAKE, CARDS, CAR = EnvConfig("FrozenLake-v1"), EnvConfig("tengen/Blackjack-v0"), EnvConfig("MountainCar-v0")
POLE = EnvConfig("CartPole-v1")
SPAN = {"low": (-2.4, -3.0, -0.21, -3.0), "high": (2.4, 3.0, 0.21, 3.0)}

WITHOUT_VALUES = {"dqn", "random", "reinforce_network"}
"""Agents whose policies tell no values, so that there is nothing to be drawn."""


def built(name: str, env: EnvConfig, **settings: Any) -> Any:
    """An agent that has learnt nothing yet."""
    spec = make_env(env, training=False).spec
    return resolve_agent(name)[0](**settings).build(spec, np.random.default_rng(0), "cpu")


def subject(agent: Any, env: EnvConfig, step: int = 0) -> Subject:
    return Subject("mine", agent.policy(), make_env(env, training=False).spec, env, step, "a title")


def with_table(env: EnvConfig, table: Any, **settings: Any) -> Subject:
    """What is drawn of Q-learning with a table of values."""
    agent = built("q_learning", env, **settings)
    agent.learner.q[:] = table
    return subject(agent, env)


def random_table(num_states: int, num_actions: int, seed: int = 0) -> Any:
    """Values of which some tie."""
    return np.random.default_rng(seed).integers(0, 4, (num_states, num_actions)).astype(np.float64)


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def pixels(axes: Any) -> Any:
    return axes.images[0].get_array()


def line(axes: Any) -> list[float]:
    return [float(y) for y in axes.lines[0].get_ydata()]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for found in figure.legends for text in found.get_texts()]


def arrows(axes: Any) -> dict[tuple[int, int], list[tuple[tuple[int, int], float, float]]]:
    """Direction (rows, columns), length and strength of the arrows in each cell (row, column)."""
    quiver: Any
    (quiver,) = (found for found in axes.collections if isinstance(found, Quiver))
    found: dict[tuple[int, int], list[tuple[tuple[int, int], float, float]]] = {}
    for (x, y), u, v, colour in zip(quiver.XY, quiver.U, quiver.V, quiver.get_facecolor(), strict=True):
        cell = (round(y + v / 2), round(x + u / 2))
        move = (round(np.sign(v) * (abs(v) > 1e-9)), round(np.sign(u) * (abs(u) > 1e-9)))
        found.setdefault(cell, []).append((move, math.hypot(u, v), float(colour[3])))
    return found


def dots(axes: Any) -> set[tuple[int, int]]:
    """Cells in which no action is preferred."""
    places: list[Any] = [found.get_offsets() for found in axes.collections if type(found) is PathCollection]
    return {(round(float(y) + 0.1), round(float(x))) for x, y in np.concatenate(places)}


# --- Grids ---


def test_arrows_on_a_grid_are_the_greedy_policy_of_the_table_and_pale_ones_tie_with_it() -> None:
    table = random_table(16, 4)
    table[4] = 1.0
    layout = layout_at(LAKE)
    assert layout is not None
    axes = draw(with_table(LAKE, table)).axes[0]
    drawn, pale_ones = arrows(axes), 0
    for state in range(16):
        cell, best = divmod(state, 4), np.flatnonzero(table[state] == table[state].max())
        assert (cell in dots(axes)) == (len(best) == 4 and state not in layout.traps | layout.goals)
        if state in layout.traps | layout.goals or len(best) == 4:
            assert cell not in drawn
            continue
        assert [move for move, _, strength in drawn[cell] if strength == 1] == [layout.moves[table[state].argmax()]]
        pale = sorted(move for move, _, strength in drawn[cell] if strength < 1)
        assert pale == sorted(layout.moves[a] for a in best[1:])
        pale_ones += len(pale)
    assert pale_ones > 0


def test_a_grid_shows_the_value_of_the_best_action_in_each_cell_where_one_acts() -> None:
    table = np.arange(64.0).reshape(16, 4)
    figure = draw(with_table(LAKE, table))
    axes, bar = figure.axes
    layout = layout_at(LAKE)
    assert layout is not None
    acting = sorted(set(range(16)) - layout.traps - layout.goals)
    shown = {divmod(s, 4): f"{table[s].max():.0f}" for s in acting} | {(3, 3): "G"}
    assert {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts} == shown
    image = pixels(axes)
    expected = mpl.colormaps["viridis"](limits(table[acting].max(1))(table.max(1))).reshape(4, 4, 4)
    for state in acting:
        np.testing.assert_array_equal(image[divmod(state, 4)], expected[divmod(state, 4)])
    (start,) = (patch for patch in axes.patches if isinstance(patch, Rectangle))
    assert (round(start.get_x()), round(start.get_y())) == (0, 0)
    assert bar.get_ylabel() == "max q(s, a), value of the best action"
    assert legend(figure) == ["start", "goal", "hole or cliff", "what the policy does"]
    assert (axes.get_xlabel(), axes.get_ylabel(), figure.get_suptitle()) == ("column", "row", "a title")


def test_kings_moves_point_diagonally_a_ring_stays_and_the_wind_is_told() -> None:
    env = EnvConfig("tengen/WindyGridworld-v0", kwargs={"kings_moves": True, "no_move": True})
    figure = draw(with_table(env, np.eye(9)[np.arange(70) % 9]))
    layout = layout_at(env)
    assert layout is not None
    drawn = arrows(figure.axes[0])
    for state in set(range(70)) - layout.goals:
        move = layout.moves[state % 9]
        assert [found for found, *_ in drawn.get(divmod(state, 10), [])] == ([move] if move != (0, 0) else [])
    lines: list[Any] = list(figure.axes[0].lines)
    rings = [(round(line.get_ydata()[0]), round(line.get_xdata()[0])) for line in lines]
    assert rings == [divmod(state, 10) for state in range(70) if state % 9 == 8]
    assert "stay" in legend(figure)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert [label.split("\n")[1] for label in labels] == [f"wind {w}" for w in (0, 0, 0, 1, 1, 1, 2, 2, 1, 0)]


def test_a_maze_is_drawn_as_it_is_at_the_step_of_the_checkpoint() -> None:
    env = EnvConfig("tengen/BlockingMaze-v0", num_envs=2)
    before, after = layout_at(env, 1_999), layout_at(env, 2_000)
    assert before is not None
    assert before == layout_at(env)
    assert after is not None
    assert before.walls != after.walls
    agent = built("q_learning", env)
    agent.learner.q[:] = np.eye(4)[np.zeros(54, int)]
    for step, layout in ((1_999, before), (2_000, after)):
        drawn = arrows(draw(subject(agent, env, step)).axes[0])
        assert {divmod(s, 9) for s in range(54)} - set(drawn) == {divmod(s, 9) for s in layout.walls | layout.goals}


def test_a_large_grid_is_drawn_without_arrows_and_numbers() -> None:
    env = EnvConfig("tengen/OpenGrid-v0", kwargs={"size": 140})
    axes = draw(with_table(env, random_table(19_600, 4))).axes[0]
    assert not axes.texts
    assert not axes.collections
    assert pixels(axes).shape == (140, 140, 4)


def test_a_mark_is_never_drawn_for_an_illegal_action() -> None:
    layout = layout_at(LAKE)
    assert layout is not None
    panel = GridPanel(layout, np.arange(16), layout.moves)
    legal = np.random.default_rng(1).random((16, 4)) < 0.5
    legal[~legal.any(1), 0] = True
    policy = with_table(LAKE, 1.0).policy
    shown = all_states(make_env(LAKE, training=False).spec)
    assert shown is not None
    drawn = marks(panel, ask(policy, shown._replace(legal=legal)))
    assert legal[drawn.cell, drawn.action].all()
    acting = set(range(16)) - layout.traps - layout.goals
    assert set(drawn.cell) == {state for state in acting if legal[state].sum() == 1}
    assert set(drawn.undecided) == {state for state in acting if legal[state].sum() > 1}


def test_each_panel_of_the_taxi_shows_the_states_of_its_passenger_and_destination() -> None:
    env = EnvConfig("Taxi-v4")
    import gymnasium as gym

    taxi: Any = gym.make("Taxi-v4").unwrapped
    grids = grids_of(env)
    assert grids is not None
    seen = set()
    for to, row in enumerate(grids.panels):
        for at, panel in enumerate(row):
            assert (panel is None) == (at == to)
            if panel is None:
                continue
            for cell, state in enumerate(panel.states.tolist()):
                assert tuple(taxi.decode(state)) == (*divmod(cell, 5), at, to)
            seen |= set(panel.states.tolist())
            assert {cell: panel.letters[cell] for cell in (0, 4, 20, 23)} == {0: "R", 4: "G", 20: "Y", 23: "B"}
            assert panel.bars == {1, 6, 15, 17, 20, 22}
    assert len(seen) == 400
    axes = draw(with_table(env, np.eye(6)[np.arange(500) % 6])).axes[1]
    assert axes.get_title() == "Green to Red"
    panel = grids.panels[0][1]
    assert panel is not None
    actions = panel.states % 6
    assert [text for text in texts(axes) if text in "PD"] == [
        "PD"[action - 4] for action in actions.tolist() if action >= 4
    ]
    moves = ((1, 0), (-1, 0), (0, 1), (0, -1))
    expected = {divmod(cell, 5): moves[action] for cell, action in enumerate(actions.tolist()) if action < 4}
    assert {cell: found[0][0] for cell, found in arrows(axes).items()} == expected


def test_a_masked_action_of_the_taxi_is_not_drawn() -> None:
    env = EnvConfig("Taxi-v4", action_mask=True)
    told = with_table(env, -1.0)
    told.policy.table[:, 5] = 0.0  # type: ignore[attr-defined]  # to drop off is the best wherever it is legal
    for to, axes in enumerate(draw(told).axes[4:20:5]):
        assert axes.get_title() == f"in the taxi to {('Red', 'Green', 'Yellow', 'Blue')[to]}"
        assert texts(axes).count("D") == 4
    assert "D" not in texts(draw(told).axes[1])
    assert all_states(told.spec) is None


def test_a_stochastic_policy_is_drawn_by_longer_arrows_for_likelier_actions() -> None:
    agent = built("reinforce", LAKE)
    agent.learner.theta[:] = [2.0, 1.0, 0.0, -9.0]
    agent.learner.theta[1] = 0.0
    agent.learner.baseline[:] = np.arange(16)
    figure = draw(subject(agent, LAKE))
    found = arrows(figure.axes[0])[0, 0]
    lengths = {move: length for move, length, _ in found}
    assert list(lengths) == [(0, -1), (1, 0), (0, 1)]  # left, down, right; up has less than a twentieth
    assert lengths[0, -1] > lengths[1, 0] > lengths[0, 1]
    assert dots(figure.axes[0]) == {(0, 1)}
    assert "10" in texts(figure.axes[0])
    assert "policy: the longer, the likelier" in legend(figure)


def test_without_values_a_grid_is_coloured_by_probabilities() -> None:
    figure = draw(subject(built("reinforce", LAKE, baseline=False, initial_preferences=(0.0, 1.0, 0.0, 0.0)), LAKE))
    axes, bar = figure.axes
    assert bar.get_ylabel() == "probability of the likeliest action"
    likeliest = math.e / (3 + math.e)
    assert set(texts(axes)) == {f"{likeliest:.2f}", "G"}


def test_prediction_of_the_random_policy_is_drawn_as_values_only() -> None:
    agent = built("td", LAKE)
    agent.learner.v[:] = np.arange(16)
    figure = draw(subject(agent, LAKE))
    axes, bar = figure.axes
    assert not [found for found in axes.collections if isinstance(found, Quiver | PathCollection)]
    assert "10" in texts(axes)
    assert bar.get_ylabel() == "v(s), value of the state"


def test_a_plan_is_drawn_with_its_own_values_and_policy() -> None:
    agent = built(
        "planned", EnvConfig("tengen/SmallGridworld-v0"), planner="policy_evaluation", settings={"gamma": 1.0}
    )
    axes = draw(subject(agent, EnvConfig("tengen/SmallGridworld-v0"))).axes[0]
    # S&B figure 4.1, of the random policy, and the policy that is greedy for its values
    values = ["-14", "-20", "-22", "-14", "-18", "-20", "-20", "-20", "-20", "-18", "-14", "-22", "-20", "-14"]
    assert [text for text in texts(axes) if text != "G"] == values
    assert {move for move, *_ in arrows(axes)[0, 3]} == {(0, -1), (1, 0)}
    assert {move for move, *_ in arrows(axes)[2, 1]} == {(-1, 0), (0, 1)}


# --- What policies tell ---


def test_double_q_learning_tells_the_mean_of_its_tables() -> None:
    agent = built("double_q_learning", LAKE)
    agent.learner.tables[:] = np.random.default_rng(0).random((2, 16, 4))
    agent.learner.q[:] = agent.learner.tables.sum(0)
    policy = agent.policy()
    assert isinstance(policy, ActionValuing)
    values = policy.action_values(step_of(np.arange(16)))
    np.testing.assert_allclose(values, agent.learner.tables.mean(0))


def test_what_is_learnt_of_illegal_actions_is_not_shown() -> None:
    env = EnvConfig("tengen/MaximizationBias-v0")
    table = np.arange(30.0).reshape(3, 10)
    told = with_table(env, table)
    shown = all_observations(told.spec)
    assert shown is not None
    learnt = ask(told.policy, shown)
    assert learnt.q is not None
    assert learnt.v is not None
    assert np.isnan(learnt.q[0, 2:]).all()
    assert learnt.v.tolist() == [1.0, 19.0, 29.0]
    assert learnt.probabilities.argmax(1).tolist() == [1, 9, 9]


def test_nothing_is_decided_where_all_legal_actions_tie() -> None:
    q = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 9.0], [3.0, 3.0]])
    legal = np.array([[True, True], [True, True], [True, False], [True, True]])
    learnt = Learnt(None, q, np.eye(2)[[0, 1, 0, 0]], (q == q.max(1, keepdims=True)) & legal, legal, "v")
    learnt = learnt._replace(best=np.array([[True, True], [False, True], [True, False], [True, True]]))
    assert learnt.undecided.tolist() == [True, False, False, True]
    assert learnt.rows(np.array([2, 0])).undecided.tolist() == [False, True]


# --- Charts ---


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


def test_more_than_two_real_parts_are_drawn_as_slices_through_the_middle() -> None:
    agent = built("semi_gradient_sarsa", POLE, **SPAN)
    agent.learner.weights[:] = np.random.default_rng(0).random(agent.learner.weights.shape)
    told = subject(agent, POLE)
    figure = draw(told)
    squares = np.array(figure.axes[:16]).reshape(4, 4)
    assert [len(axes.images) for axes in squares.ravel()] == [int(i != j) for i in range(4) for j in range(4)]
    assert [texts(squares[part, part])[0] for part in range(4)] == list(part_names("CartPole-v1", 4))
    domain = domain_of(told.policy, told.spec)
    assert domain is not None
    for (chart, observations), (x, y) in zip(domain.slices(), itertools.combinations(range(4), 2), strict=True):
        others = [part for part in range(4) if part not in (x, y)]
        np.testing.assert_allclose(observations[:, others], 0.0, atol=1e-6)
        at = int(chart.states[11, 5])
        assert observations[at, x] == pytest.approx(domain.axes[x].points[5], rel=1e-5)
        assert observations[at, y] == pytest.approx(domain.axes[y].points[11], rel=1e-5)
        action = told.policy.act(step_of(observations[at : at + 1]), np.random.default_rng(0))[0]
        np.testing.assert_allclose(pixels(squares[x, y])[5, 11], action_colours(2)(action))


# --- Tables ---


def test_any_other_table_is_a_heat_map_with_numbers_where_there_is_room() -> None:
    env = EnvConfig("tengen/MaximizationBias-v0")
    table = np.arange(30.0).reshape(3, 10)
    figure = draw(with_table(env, table))
    axes, bar = figure.axes
    image = pixels(axes)
    assert image.shape == (10, 3, 4)
    np.testing.assert_array_equal(image[2:, 0], 1.0)  # illegal
    assert [(t.get_position(), t.get_text()) for t in axes.texts if t.get_position()[0] == 1] == [
        ((1, a), f"{10 + a}") for a in range(10)
    ]
    assert len(axes.texts) == 22
    assert (axes.get_xlabel(), axes.get_ylabel(), bar.get_ylabel()) == ("state", "action", "q(s, a)")


def test_a_discretised_table_is_a_heat_map_of_means_over_its_last_parts() -> None:
    sizes = (6, 6, 6, 7)
    table = np.random.default_rng(0).random((math.prod(sizes), 2))
    by_column = table.reshape(216, 7, 2)
    by_column[4, 0] = by_column[9] = 0.0  # nothing was learnt of these
    axes = draw(with_table(POLE, table, discretiser="uniform", bins=sizes, **SPAN)).axes[0]
    image = pixels(axes)
    assert image.shape == (2, 216, 4)
    expected = np.array([[column[1:].mean(0)] if n == 4 else [column.mean(0)] for n, column in enumerate(by_column)])[
        :, 0
    ]
    expected[9] = np.nan
    colours = mpl.colormaps["viridis"](limits(expected)(expected)).transpose(1, 0, 2)
    colours[:, 9] = 1.0
    np.testing.assert_allclose(image, colours)
    assert axes.get_xlabel() == (
        "state: cart position, cart velocity, pole angle [rad] (the last one runs fastest)\n"
        "each column is the mean over pole velocity at its tip, of the states with a preference; white: there is none"
    )


def test_columns_are_as_few_whole_parts_as_fit() -> None:
    assert columns_of((1_000,)) == (1, 0)
    assert columns_of((1_001,)) == (2, 0)
    assert columns_of((10, 10, 10, 10)) == (10, 1)
    assert columns_of((20, 20, 20, 20)) == (400, 2)
    assert columns_of((5_000, 2)) == (10, 0)


@pytest.mark.parametrize("size", [1, 3, 4, 50])
def test_means_are_over_known_values_of_each_group(size: int) -> None:
    table = np.random.default_rng(0).random((11, 3))
    table[::2, 1] = np.nan
    table[:4, 2] = np.nan
    found = means(table, size)
    for group, first in enumerate(range(0, 11, size)):
        for action in range(3):
            known = [value for value in table[first : first + size, action] if not math.isnan(value)]
            if known:
                assert found[group, action] == pytest.approx(sum(known) / len(known))
            else:
                assert math.isnan(found[group, action])


def test_a_policy_that_can_not_be_seen_on_a_grid_is_a_table_of_probabilities() -> None:
    env = EnvConfig("tengen/ShortCorridor-v0")
    agent = built("reinforce", env, initial_preferences=(0.0, 1.0))
    agent.learner.baseline[:] = -11.5
    figure = draw(subject(agent, env))
    assert texts(figure.axes[0]) == ["0.27", "0.73"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["left", "right"]
    assert line(figure.axes[1]) == [-11.5]


def test_values_alone_are_drawn_as_a_line() -> None:
    env = EnvConfig("tengen/AccessControl-v0")
    agent = built("td", env)
    agent.learner.v[:] = np.arange(44)
    (axes,) = draw(subject(agent, env)).axes
    assert line(axes) == list(range(44))


def test_numbers_have_equally_many_decimals() -> None:
    assert numerals(np.array([-14.0, -0.0])) == ["-14", "0"]
    assert numerals(np.array([0.5, -0.001])) == ["0.50", "0.00"]
    assert numerals(np.array([12.34, -5.0])) == ["12.3", "-5.0"]
    assert numerals(np.array([123.4, 5.5])) == ["123", "6"]
    assert numerals(np.array([0.0123, np.nan])) == ["0.012", "nan"]


def test_text_can_be_read_on_its_background() -> None:
    np.testing.assert_array_equal(ink(np.array([[1.0, 1.0, 0.9, 1.0], [0.1, 0.0, 0.3, 1.0]])), [[0.0] * 3, [1.0] * 3])


def test_names_that_nobody_knows_are_numbers() -> None:
    assert action_names("tengen/RandomWalk-v0", 2) == ("left", "right")
    assert action_names("my/Own-v3", 3) == ("0", "1", "2")
    assert action_names("MountainCar-v0", 5) == ("0", "1", "2", "3", "4")
    assert part_names("my/Own-v3", 2) == ("observation 0", "observation 1")


# --- Runs and the command ---


def saved(name: str, env: EnvConfig, folder: Path, **settings: Any) -> RunConfig:
    """A run of an agent at its step 0."""
    defaults = default_settings(name)
    config = make_run_config(name, {**defaults, "env": vars(env), "agent_config": defaults["agent_config"] | settings})
    made = make_env(env, training=True)
    agent = config.agent_config.build(made.spec, np.random.default_rng(0), "cpu")
    save_untrained(config, folder, agent, made, summary={})
    return config


@pytest.mark.parametrize("name", sorted({*names("agents")} - WITHOUT_VALUES))
def test_a_run_of_every_agent_that_knows_values_can_be_inspected(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = make_env(LAKE, training=False).spec
    env = CAR if resolve_agent(name)[0].refusal(spec) else LAKE
    saved(name, env, tmp_path / "run")
    assert main(["inspect", str(tmp_path / "run")]) == 0
    path = tmp_path / "run" / "inspect-0.png"
    assert capsys.readouterr().out == f"{path}\n"
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", sorted(WITHOUT_VALUES))
def test_a_run_without_values_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = {"dqn": {"hidden": (8,), "replay_capacity": 100, "learn_start": 50, "batch_size": 8}}
    saved(name, POLE, tmp_path / "run", **small.get(name, {}))
    assert main(["inspect", str(tmp_path / "run")]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"tengen: error: {name} has no table of values to be drawn")
    assert message.count("\n") == 1


def test_repetitions_and_checkpoints_are_chosen_as_in_evaluate(tmp_path: Path) -> None:
    defaults = default_settings("q_learning")
    settings = {**defaults, "env": vars(LAKE), "steps": 400, "checkpoint_period": 200, "num_runs": 2}
    train(make_run_config("q_learning", settings), tmp_path / "run")
    run = open_run(tmp_path / "run")

    def picture(*more: str) -> bytes:
        path = tmp_path / "picture.svg"
        assert main(["inspect", str(run.folder), "--out", str(path), *more]) == 0
        return path.read_bytes()

    files = {(step, r): picture("--checkpoint", step, "--repetition", r) for step in ("200", "400") for r in "01"}
    assert files["400", "0"] == picture()
    assert b"repetition 1 of 2" in files["400", "1"] or len(set(files.values())) == 4
    policies = [load_policy(run, "latest", repetition=r).policy for r in (0, 1)]
    assert not np.array_equal(*(policy.table for policy in policies))  # type: ignore[attr-defined]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_run_gives_the_same_file_whatever_the_users_style_and_the_time(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = with_table(LAKE, random_table(16, 4))
    files = []
    for number, colour in enumerate(("white", "red")):
        path = tmp_path / f"{number}{suffix}"
        monkeypatch.setenv("SOURCE_DATE_EPOCH", f"{1_000_000_000 + number}")
        with mpl.rc_context({"axes.facecolor": colour, "figure.facecolor": colour, "font.size": 20.0}), plain():
            save(draw(told), path)
        files.append(path.read_bytes())
    assert files[0] == files[1]


def test_a_file_that_can_not_be_written_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(picture_file, "replace", full)
    with pytest.raises(UserError, match=r"picture\.png' can't be written: No space left on device"):
        save(Figure(), path)
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("picture.gif", "a picture's file must end in .png, .pdf or .svg, got "),
        ("picture", "a picture's file must end in .png, .pdf or .svg, got "),
        ("nowhere/picture.png", "the folder of "),
        ("folder.png", "is a folder: name a file"),
    ],
)
def test_a_wrong_file_is_refused_in_a_line(
    out: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.png").mkdir()
    saved("q_learning", LAKE, tmp_path / "run")
    assert main(["inspect", str(tmp_path / "run"), "--out", str(tmp_path / out)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--checkpoint", "best"), "has no best checkpoint"),
        (("--checkpoint", "soon"), "--checkpoint must be latest, best or a step's number"),
        (("--repetition", "1"), "--repetition must be from 0 to 0"),
        (("--step", "1"), "there is no option --step"),
    ],
)
def test_a_wrong_choice_is_refused_in_a_line(
    more: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved("q_learning", LAKE, tmp_path / "run")
    assert main(["inspect", str(tmp_path / "run"), *more]) == 2
    assert message in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "nothing")]) == 2
    assert "is not a run" in capsys.readouterr().err


def test_too_large_a_table_is_refused() -> None:
    agent = built("q_learning", POLE, discretiser="uniform", bins=(2,), **SPAN)
    side = math.ceil(MOST_STATES**0.25) + 1
    object.__setattr__(agent.policy().states, "sizes", (side,) * 4)
    with pytest.raises(UserError, match=f"the table of CartPole-v1 has {side**4:,} states, and a picture can show"):
        draw(subject(agent, POLE))


def test_too_many_real_parts_are_refused() -> None:
    env = EnvConfig("tengen/TicTacToe-v0")
    ends = {"tiles": (1,), "num_tilings": 1}
    spec = make_env(env, training=False).spec
    parts = math.prod(spec.observation_space.shape or ())
    if resolve_agent("semi_gradient_sarsa")[0].refusal(spec):
        pytest.skip("tile coding doesn't take it")
    agent = built("semi_gradient_sarsa", env, **ends)
    with pytest.raises(UserError, match=f"observations of {parts} parts"):
        draw(subject(agent, env))


def test_the_help_is_quick() -> None:
    code = "import sys\nfrom tengen.cli import main\nmain(['inspect', '--help'])\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert not {"matplotlib", "numpy", "numba", "gymnasium", "torch"} & set(done.stderr.split())


def test_the_help_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--help"]) == 0
    shown = capsys.readouterr().out
    for word in ("--out", "--checkpoint", "--repetition", "tengen inspect runs/mine"):
        assert word in shown
