"""Gridworlds, mazes and chains of tengen.envs.book have the values that Sutton & Barto (2018) print."""

from __future__ import annotations

import tracemalloc
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from dense_tables import optimal_values, policy_values, uniform

from tengen.envs.book import TabularEnv
from tengen.envs.book._base import GridLayout
from tengen.envs.book._grids import FOUR_MOVES, KINGS_MOVES, STAY, destinations
from tengen.envs.book.gridworlds import WIND


def made(name: str, **kwargs: Any) -> TabularEnv:
    env = gym.make(f"tengen/{name}-v0", **kwargs).unwrapped
    assert isinstance(env, TabularEnv)
    return env


def steps_at_best(env: TabularEnv, gamma: float = 0.95) -> float:
    """The length of the shortest path, read off the value of a lone reward of 1 at its end."""
    return float(1 + np.log(optimal_values(env.tables, gamma)[0][env.s]) / np.log(gamma))


# --- Gridworlds ---


def test_random_moves_on_the_gridworld_have_the_values_of_figure_3_2() -> None:
    tables = made("Gridworld").tables
    values = policy_values(tables, 0.9, uniform(tables)).reshape(5, 5)
    assert values[0] == pytest.approx([3.309, 8.789, 4.428, 5.322, 1.492], abs=5e-4)
    assert values[4].round(1).tolist() == [-1.9, -1.3, -1.2, -1.4, -2.0]


def test_the_gridworld_has_the_optimal_values_of_figure_3_5() -> None:
    values = optimal_values(made("Gridworld").tables, 0.9)[0].reshape(5, 5)
    assert values[0] == pytest.approx([21.978, 24.419, 21.978, 19.419, 17.478], abs=1e-3)
    assert values[4].round(1).tolist() == [14.4, 16.0, 14.4, 13.0, 11.7]


def test_the_gridworld_goes_on_for_ever_and_begins_anywhere() -> None:
    tables = made("Gridworld").tables
    assert (tables.discount == 1).all()
    assert tables.initial == pytest.approx(np.full(25, 1 / 25))


def test_random_moves_on_the_small_gridworld_have_the_values_of_figure_4_1() -> None:
    tables = made("SmallGridworld").tables
    values = policy_values(tables, 1.0, uniform(tables)).round(9).reshape(4, 4)
    assert values.tolist() == [[0, -14, -20, -22], [-14, -18, -20, -20], [-20, -20, -18, -14], [-22, -20, -14, 0]]


@pytest.mark.parametrize(
    ("kwargs", "num_actions", "steps"),
    [({}, 4, 15), ({"kings_moves": True}, 8, 7), ({"kings_moves": True, "no_move": True}, 9, 7)],
)
def test_the_shortest_path_through_the_wind(kwargs: dict[str, bool], num_actions: int, steps: int) -> None:
    env = made("WindyGridworld", **kwargs)
    assert env.tables.num_actions == num_actions
    assert optimal_values(env.tables, 1.0)[0][env.s] == -steps


def test_stochastic_wind_is_one_row_more_or_less_a_third_of_the_time_where_there_is_wind() -> None:
    tables = made("WindyGridworld", kings_moves=True, stochastic=True).tables
    for state in range(70):
        row, column = divmod(state, 10)
        for action, (drow, dcolumn) in enumerate(KINGS_MOVES):
            expected: dict[int, float] = {}
            for change in (0, 1, -1) if WIND[column] else (0,):
                to_row = min(max(row + drow - WIND[column] - change, 0), 6)
                to = 10 * to_row + min(max(column + dcolumn, 0), 9)
                expected[to] = expected.get(to, 0) + (1 / 3 if WIND[column] else 1)
            found: dict[int, float] = {}
            for p, to, reward, discount in tables.outcomes(state, action):
                found[to] = found.get(to, 0) + p
                assert (reward, discount) == ((0, 0) if state == 37 else (-1, 0 if to == 37 else 1))
            assert found == pytest.approx({37: 1.0} if state == 37 else expected)


def test_destinations_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        height, width = (int(n) for n in rng.integers(1, 6, 2))
        walls = frozenset(rng.choice(height * width, rng.integers(0, height * width), replace=False).tolist())
        layout = GridLayout(height, width, (*KINGS_MOVES, STAY), walls=walls)
        drift = rng.integers(-2, 3, width)
        found = destinations(layout, drift)
        for state in range(layout.num_states):
            row, column = divmod(state, width)
            for action, (drow, dcolumn) in enumerate(layout.moves):
                to_row = min(max(row + drow + int(drift[column]), 0), height - 1)
                to = to_row * width + min(max(column + dcolumn, 0), width - 1)
                assert found[state, action] == (state if to in walls else to)


@pytest.mark.parametrize("size", [2, 7])
def test_an_open_grid_is_worth_its_distance_from_the_goal(size: int) -> None:
    values = optimal_values(made("OpenGrid", size=size).tables, 1.0)[0].reshape(size, size)
    row, column = np.mgrid[:size, :size]
    assert (values == row + column - 2 * (size - 1)).all()


def test_a_million_states_take_less_than_a_gigabyte() -> None:
    tracemalloc.start()
    tables = made("OpenGrid", size=1000).tables
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tables.num_states == 1_000_000
    assert peak < 1e9
    for state in (0, 999, 500_500, 999_998):
        row, column = divmod(state, 1000)
        for action, (drow, dcolumn) in enumerate(FOUR_MOVES):
            to = min(max(row + drow, 0), 999) * 1000 + min(max(column + dcolumn, 0), 999)
            assert tables.outcomes(state, action) == [(1.0, to, -1.0, 0.0 if to == 999_999 else 1.0)]


# --- Mazes ---


@pytest.mark.parametrize(("scale", "free", "steps"), [(1, 47, 14), (2, 188, 27), (3, 423, 40)])
def test_the_maze_grows_with_its_scale(scale: int, free: int, steps: int) -> None:
    env = made("DynaMaze", scale=scale)
    assert env.layout is not None
    assert env.layout.num_states - len(env.layout.walls) == free
    assert steps_at_best(env) == pytest.approx(steps)


def test_no_maze_leads_into_a_wall() -> None:
    env = made("DynaMaze", scale=2)
    assert env.layout is not None
    for state in set(range(env.layout.num_states)) - env.layout.walls:
        for action in range(4):
            ((_, to, reward, discount),) = env.tables.outcomes(state, action)
            assert to not in env.layout.walls
            enters = to in env.layout.goals and state not in env.layout.goals
            assert (reward, discount) == (float(enters), 0.0 if to in env.layout.goals else 1.0)


@pytest.mark.parametrize(
    ("name", "change", "steps"), [("BlockingMaze", 1000, (10, 16)), ("ShortcutMaze", 3000, (16, 10))]
)
def test_the_shortest_path_changes_with_the_maze(name: str, change: int, steps: tuple[int, int]) -> None:
    env = made(name)
    env.num_steps = change - 1
    assert steps_at_best(env) == pytest.approx(steps[0])
    env.step(2)  # down, against the grid's edge
    assert env.num_steps == change
    assert steps_at_best(env) == pytest.approx(steps[1])


# --- Chains ---


def test_a_random_walk_has_the_values_of_example_6_2() -> None:
    tables = made("RandomWalk").tables
    assert policy_values(tables, 1.0, uniform(tables))[1:-1] == pytest.approx(np.arange(1, 6) / 6)
    assert tables.initial.argmax() == 3


def test_the_walk_of_19_states_has_values_from_minus_09_to_09() -> None:
    tables = made("RandomWalk19").tables
    assert policy_values(tables, 1.0, uniform(tables))[1:-1] == pytest.approx(np.arange(-9, 10) / 10)
    assert tables.initial.argmax() == 10


def test_going_left_is_wrong_by_the_mean_of_what_b_pays() -> None:
    tables = made("MaximizationBias").tables
    values, q = optimal_values(tables, 1.0)
    assert q[0, :2].tolist() == [-0.1, 0.0]
    assert values.tolist() == [0.0, -0.1, 0.0]
    assert tables.legal.sum(1).tolist() == [2, 10, 10]


@pytest.mark.parametrize(("num_actions", "legal"), [(1, [2, 1, 2]), (3, [2, 3, 3])])
def test_b_has_as_many_actions_as_told(num_actions: int, legal: list[int]) -> None:
    assert made("MaximizationBias", num_actions=num_actions).tables.legal.sum(1).tolist() == legal


def test_what_b_pays_is_normal() -> None:
    env = made("MaximizationBias")
    env.reset(seed=0)
    rewards = []
    for _ in range(4000):
        env.s = 1
        rewards.append(env.step(4)[1])
    assert np.mean(rewards) == pytest.approx(-0.1, abs=4 / np.sqrt(4000))
    assert np.std(rewards) == pytest.approx(1.0, abs=4 / np.sqrt(8000))


def test_the_mask_says_which_actions_a_has() -> None:
    env = made("MaximizationBias")
    assert env.reset(seed=0)[1]["action_mask"].tolist() == [1, 1] + [0] * 8
    assert env.step(0)[4]["action_mask"].tolist() == [1] * 10


def test_the_short_corridor_is_best_walked_at_random() -> None:
    tables = made("ShortCorridor").tables
    grid = np.linspace(0.01, 0.99, 99)
    values = [policy_values(tables, 1.0, np.tile([1 - p, p], (4, 1)))[0] for p in grid]
    assert grid[int(np.argmax(values))] == pytest.approx(0.59)
    assert max(values) == pytest.approx(-11.66, abs=0.005)
    best = 2 - np.sqrt(2)  # where the derivative of -(4 - 2 p) / (p (1 - p)) is 0
    assert policy_values(tables, 1.0, np.tile([1 - best, best], (4, 1)))[0] == pytest.approx(-6 - 4 * np.sqrt(2))


def test_every_state_of_the_short_corridor_looks_the_same() -> None:
    env = made("ShortCorridor")
    assert env.observation_space == gym.spaces.Discrete(1)
    env.reset(seed=0)
    assert [env.step(action)[0] for action in (1, 0, 1)] == [0, 0, 0]
    assert env.s == 3
