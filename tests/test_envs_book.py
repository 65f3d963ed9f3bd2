"""The environments of tengen.envs.book as Gymnasium environments: the contract, the draws, pictures, models."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from tengen import registry
from tengen.envs import EnvConfig, make_env
from tengen.envs.book import TabularEnv, layout_of, model_of, samples_like_tables
from tengen.errors import UserError
from tengen.tables import TransitionTables, tabulate

IDS = [name for name in registry.names("envs") if registry._BUILT_IN["envs"].get(name) == "tengen.envs.book:make"]


def made(env_id: str, **kwargs: Any) -> TabularEnv:
    env = gym.make(env_id, **kwargs).unwrapped
    assert isinstance(env, TabularEnv)
    return env


def first_above(cumulative: Any, u: float) -> int:
    """The rule of TransitionTables, as Gymnasium's own environments write it."""
    return int(np.argmax(np.asarray(cumulative) > u))


@pytest.mark.parametrize("env_id", IDS)
def test_an_environment_passes_gymnasiums_own_check(env_id: str) -> None:
    check_env(made(env_id))


@pytest.mark.parametrize("env_id", IDS)
def test_a_step_draws_one_number_and_takes_the_outcome_that_the_tables_say(env_id: str) -> None:
    env = made(env_id)
    rng = np.random.default_rng(3)
    env.reset(seed=3)
    twin = copy.deepcopy(env.np_random)
    for _ in range(200):
        env.reset()
        tables = env.tables
        assert env.s == first_above(tables.initial_cumulative, twin.random())
        for _ in range(20):
            tables, state = env.tables, env.s
            legal = tables.legal[state] if len(tables.legal) else np.ones(tables.num_actions, np.bool_)
            action = int(rng.choice(np.flatnonzero(legal)))
            observation, reward, terminated, truncated, _ = env.step(action)
            pair = state * tables.num_actions + action
            rows = slice(int(tables.start[pair]), int(tables.start[pair + 1]))
            outcome = rows.start + first_above(np.cumsum(tables.probability[rows]), twin.random())
            noise = tables.noise[outcome] if len(tables.noise) else 0.0
            expected = tables.reward[outcome] + (noise * twin.standard_normal() if noise > 0 else 0.0)
            assert (env.s, reward) == (tables.next_state[outcome], expected)
            assert (terminated, truncated) == (tables.discount[outcome] == 0, False)
            number = int(tables.observation[env.s]) if len(tables.observation) else env.s
            if not isinstance(observation, int):
                sizes = [int(space.n) for space in env.observation_space.spaces]  # type: ignore[attr-defined]
                observation = int(np.ravel_multi_index(observation, sizes))
            assert observation == number
            if terminated:
                break
    assert env.np_random.bit_generator.state == twin.bit_generator.state


def test_what_is_drawn_follows_the_probabilities() -> None:
    env = made("tengen/WindyGridworld-v0", stochastic=True)
    env.reset(seed=0)
    counts = np.zeros(env.tables.num_states)
    for _ in range(3000):
        env.s = 35  # row 3, column 5: wind 1
        env.step(0)
        counts[env.s] += 1
    # Up with the wind is two rows; a third each one more and one less.
    assert counts[[15, 5, 25]].sum() == 3000
    assert np.abs(counts[[15, 5, 25]] / 3000 - 1 / 3).max() < 4 * np.sqrt(2 / 9 / 3000)


def test_only_a_seeded_reset_takes_the_steps_back_to_zero() -> None:
    env = made("tengen/BlockingMaze-v0", change_step=3)
    env.reset(seed=0)
    before = env.tables
    left = []
    for _ in range(4):
        left.append(env.steps_until_change())
        env.step(0)
    assert left == [3, 2, 1, None]
    assert env.num_steps == 4
    env.reset()
    assert env.num_steps == 4
    assert env.tables is not before
    env.reset(seed=1)
    assert env.num_steps == 0
    assert env.tables is before


def test_the_number_of_steps_may_be_set() -> None:
    env = made("tengen/ShortcutMaze-v0")
    assert env.steps_until_change() == 3000
    env.num_steps = 2999
    assert env.steps_until_change() == 1
    env.num_steps = 3000
    assert env.steps_until_change() is None
    assert env.layout is not None
    assert 35 not in env.layout.walls


def test_rounding_that_leaves_no_outcome_takes_the_first() -> None:
    env = TabularEnv(tabulate(1, 1, lambda s, a: [(0.5, 0, 1.0, 1.0), (0.5, 0, 2.0, 1.0)], 0))
    env.tables.cumulative[:] = [0.0, 0.0]
    env.reset(seed=0)
    assert env.step(0)[1] == 1.0


def test_a_picture_shows_where_the_agent_is() -> None:
    env = made("tengen/DynaMaze-v0", render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    env.step(0)
    after = env.render()
    assert before.dtype == np.uint8
    assert before.shape[2] == 3
    changed = np.argwhere((before != after).any(axis=2))
    size = before.shape[1] // 9
    assert set(changed[:, 1] // size) == {0}
    assert set(changed[:, 0] // size) == {1, 2}


def test_text_shows_walls_start_goal_and_agent() -> None:
    env = made("tengen/DynaMaze-v0", render_mode="ansi")
    env.reset(seed=0)
    env.step(0)
    assert env.render() == ".......#G\n@.#....#.\nS.#....#.\n..#......\n.....#...\n.........\n"


@pytest.mark.parametrize(
    ("env_id", "text"),
    [
        ("FrozenLake-v1", "S...\n.x.x\n...x\nx..G\n"),
        ("CliffWalking-v1", "............\n............\n............\nSxxxxxxxxxxG\n"),
        ("tengen/RandomWalk-v0", "G..S..G\n"),
    ],
)
def test_a_layout_is_known_by_id(env_id: str, text: str) -> None:
    layout = layout_of(env_id)
    assert layout is not None
    assert layout.text() == text


@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "CliffWalking-v1", "tengen/DynaMaze-v0"])
def test_the_moves_of_a_layout_are_those_of_the_tables(env_id: str) -> None:
    env = gym.make(env_id, **({"is_slippery": False} if env_id == "FrozenLake-v1" else {}))
    layout, tables = layout_of(env), model_of(env)
    assert layout is not None
    assert tables is not None
    for state in range(layout.num_states):
        for action, (drow, dcolumn) in enumerate(layout.moves):
            row, column = state // layout.width + drow, state % layout.width + dcolumn
            (_, following, _, discount), *more = tables.outcomes(state, action)
            assert more == []
            if following not in (state, *layout.starts) and discount == 1:
                assert following == row * layout.width + column


def test_what_lies_on_no_grid_has_no_layout() -> None:
    assert layout_of("CartPole-v1") is None


@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "FrozenLake8x8-v1", "CliffWalking-v1", "Taxi-v4"])
def test_a_toy_text_environment_draws_as_its_tables_say(env_id: str) -> None:
    env: Any = gym.make(env_id).unwrapped
    tables = model_of(env)
    assert tables is not None
    assert samples_like_tables(env)
    rng = np.random.default_rng(0)
    env.reset(seed=5)
    twin = copy.deepcopy(env.np_random)
    for _ in range(30):
        env.reset()
        state = first_above(tables.initial_cumulative, twin.random())
        assert env.s == state
        for _ in range(20):
            action = int(rng.integers(tables.num_actions))
            _, reward, terminated, _, _ = env.step(action)
            pair = state * tables.num_actions + action
            rows = slice(int(tables.start[pair]), int(tables.start[pair + 1]))
            outcome = rows.start + first_above(tables.cumulative[rows], twin.random())
            state = int(tables.next_state[outcome])
            assert (env.s, reward, terminated) == (state, tables.reward[outcome], tables.discount[outcome] == 0)
            if terminated:
                break
    assert env.np_random.bit_generator.state == twin.bit_generator.state


@pytest.mark.parametrize(("env_id", "kwargs"), [("CartPole-v1", {}), ("Taxi-v4", {"fickle_passenger": True})])
def test_an_environment_without_tables_has_no_model(env_id: str, kwargs: dict[str, Any]) -> None:
    env = gym.make(env_id, **kwargs)
    assert model_of(env) is None
    assert not samples_like_tables(env)


class Published(gym.Env[int, int]):
    """Two states that say what follows them."""

    observation_space: gym.Space[Any] = gym.spaces.Discrete(2)
    action_space: gym.Space[Any] = gym.spaces.Discrete(1)

    def __init__(self, p: float) -> None:
        self.P = {0: {0: [(p, 1, 1.0, True), (0.5, 0, 0.0, False)]}, 1: {0: [(1.0, 1, 0.0, True)]}}
        self.initial_state_distrib = np.array([1.0, 0.0])


def test_anyone_who_publishes_tables_has_a_model_but_is_not_trusted_to_draw_from_it() -> None:
    env = Published(0.5)
    tables = model_of(env)
    assert isinstance(tables, TransitionTables)
    assert tables.outcomes(0, 0) == [(0.5, 1, 1.0, 0.0), (0.5, 0, 0.0, 1.0)]
    assert not samples_like_tables(env)


def test_tables_that_do_not_sum_to_one_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"Published has no valid .* sum to 0\.9, expected 1") as caught:
        model_of(Published(0.4))
    assert "\n" not in str(caught.value)


def test_published_tables_of_states_that_are_not_what_is_seen_are_no_model() -> None:
    env = Published(0.5)
    env.observation_space = gym.spaces.Box(0, 1, (2,))
    assert model_of(env) is None


@pytest.mark.parametrize("env_id", IDS)
def test_an_environment_is_made_by_its_id(env_id: str) -> None:
    env = make_env(EnvConfig(id=env_id), training=True)
    assert env.spec.id == env_id
    env.close()


@pytest.mark.parametrize(
    ("env_id", "kwargs", "message"),
    [
        ("tengen/RandomWalk-v0", {"num_states": 0}, "num_states must be at least 1, got 0"),
        ("tengen/RandomWalk-v0", {"start": 6}, "states 1 to 5, got 6"),
        ("tengen/DynaMaze-v0", {"scale": 0}, "scale must be at least 1, got 0"),
        ("tengen/BlockingMaze-v0", {"change_step": 0}, "change_step must be at least 1, got 0"),
    ],
)
def test_a_wrong_setting_is_refused(env_id: str, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        gym.make(env_id, **kwargs)


def test_importing_the_package_registers_its_environments_and_is_light() -> None:
    code = (
        "import sys, tengen.envs.book, gymnasium\n"
        "print(sum(name.startswith('tengen/') for name in gymnasium.registry))\n"
        "print({'torch', 'numba', 'matplotlib', 'pygame', 'ale_py', 'PIL', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.split("\n")[:2] == [str(len(IDS)), "set()"]


def test_gymnasium_finds_an_environment_by_the_module_that_registers_it() -> None:
    code = "import gymnasium; print(gymnasium.make('tengen.envs.book:tengen/Gambler-v0').spec.id)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "tengen/Gambler-v0\n"
