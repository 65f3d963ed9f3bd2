"""Pictures of tables, and what is asked of policies for all pictures."""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import pytest
from inspect_helpers import LAKE, POLE, SPAN, built, line, pixels, subject, texts, with_table

from tengen.contracts import ActionValuing
from tengen.envs import EnvConfig
from tengen.evaluation.drawing import ink, limits, numerals
from tengen.evaluation.inspection import draw
from tengen.evaluation.inspection.labels import action_names, part_names
from tengen.evaluation.inspection.learnt import Learnt, ask
from tengen.evaluation.inspection.shown import all_observations, step_of
from tengen.evaluation.inspection.table_figure import columns_of, means


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
