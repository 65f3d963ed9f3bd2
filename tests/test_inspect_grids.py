"""Pictures of grids: that what is drawn is what was learnt. Figures are looked at as objects, not as pixels."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import matplotlib as mpl
import numpy as np
from inspect_helpers import LAKE, arrows, built, dots, legend, pixels, random_table, subject, texts, with_table
from matplotlib.collections import PathCollection
from matplotlib.patches import Rectangle
from matplotlib.quiver import Quiver

from tengen.envs import EnvConfig, make_env
from tengen.evaluation.drawing import limits
from tengen.evaluation.inspection import draw
from tengen.evaluation.inspection.grid_marks import marks
from tengen.evaluation.inspection.learnt import ask
from tengen.evaluation.inspection.places import GridPanel, grids_of, layout_at
from tengen.evaluation.inspection.shown import all_states


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
