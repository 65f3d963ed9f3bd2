"""The Dyna agents: what they arrive at, by both drivers, over a resume, and from several environments at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from control_twins import learner_of
from gymnasium.spaces import Discrete
from run_helpers import digest, in_two

from tengen.agents.dyna import DynaQConfig, DynaQPlusConfig, PrioritizedSweepingConfig, learned_model
from tengen.agents.tabular import QLearningConfig, TabularAgent
from tengen.cli import main
from tengen.config import RunConfig
from tengen.drive import record_episodes
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.planners import DeterministicModel, value_iteration
from tengen.run import resume, train
from tengen.tables import EpisodeLog, TransitionTables, World, tabulate
from tengen.types import Decision, EnvSpec, Floats, Ints, TimeStep

GAMMA = 0.9
numba_config: Any = numba.config  # its settings are set by name, out of mypy's sight
compiled_only = pytest.mark.skipif(numba_config.DISABLE_JIT, reason="many steps take long as plain Python")
AGENTS: dict[str, Any] = {
    "dyna_q": DynaQConfig(),
    "dyna_q_plus": DynaQPlusConfig(),
    "prioritized_sweeping": PrioritizedSweepingConfig(step_size=0.9),
}


def random_tables(seed: int, *, chance: bool) -> TransitionTables:
    """6 states, 3 actions; sides alternate or not, and now and then an episode ends."""
    rng = np.random.default_rng(seed)

    def outcomes(s: int, a: int) -> list[tuple[float, int, float, float]]:
        n = 3 if chance else 1
        probability, reward = rng.dirichlet(np.ones(n)).tolist(), rng.normal(size=n).tolist()
        discount = rng.choice([1.0, -1.0, 0.0], p=[0.6, 0.3, 0.1], size=n).tolist()
        return list(zip(probability, rng.integers(6, size=n).tolist(), reward, discount, strict=True))

    return tabulate(6, 3, outcomes, np.full(6, 1 / 6))


def trained(config: Any, tables: TransitionTables, num_steps: int, limit: int = 2**62) -> TabularAgent:
    """An agent that acted at random on tables, its episodes truncated after `limit` steps."""
    config = replace(config, gamma=GAMMA, epsilon_start=1.0, epsilon_end=1.0)
    spec = EnvSpec("tables", Discrete(tables.num_states), Discrete(tables.num_actions), 1)
    agent: TabularAgent = config.build(spec, np.random.default_rng(0), "cpu")
    log = EpisodeLog(np.zeros(1), np.zeros(num_steps), np.zeros(num_steps, np.int64), np.zeros(num_steps, np.int64))
    world = World(tables, np.array([0, 0, 1]), np.zeros(2), limit, np.random.default_rng(1))
    assert agent.drive(world, log, num_steps)[0] == num_steps
    return agent


# --- The values learnt ---


@compiled_only
@pytest.mark.parametrize("limit", [2**62, 3])
@pytest.mark.parametrize(
    "config",
    [
        DynaQConfig(step_size=0.5),
        DynaQConfig(step_size=0.5, search_control="pairs", model="counts"),
        DynaQPlusConfig(step_size=0.5, kappa=0.0),
        PrioritizedSweepingConfig(theta=1e-12),
        PrioritizedSweepingConfig(theta=1e-12, model="deterministic", step_size=0.5),
    ],
)
def test_without_chance_the_values_become_those_of_the_best_policy(config: Any, limit: int) -> None:
    tables = random_tables(2, chance=False)
    expected = value_iteration(tables, GAMMA, theta=1e-13).q
    assert np.ptp(expected) > 1
    agent = trained(config, tables, 3_000, limit)
    np.testing.assert_allclose(agent.learner.learner.q, expected, atol=1e-7)


@compiled_only
def test_with_chance_prioritized_sweeping_solves_the_world_that_it_has_seen() -> None:
    tables = random_tables(4, chance=True)
    config = PrioritizedSweepingConfig(theta=1e-9, planning_steps=100)
    agent = trained(config, tables, 1_500)
    solved = value_iteration(learned_model(agent).tables(), GAMMA, theta=1e-12).q
    np.testing.assert_allclose(agent.learner.learner.q, solved, atol=1e-7)
    exact = value_iteration(tables, GAMMA, theta=1e-12).q
    assert 0.01 < np.abs(solved - exact).max() < 0.5
    agent = trained(replace(config, planning_steps=5), tables, 60_000)
    np.testing.assert_allclose(agent.learner.learner.q, exact, atol=0.08)


@compiled_only
def test_with_chance_and_counts_dyna_q_learns_the_exact_values() -> None:
    tables = random_tables(4, chance=True)
    exact = value_iteration(tables, GAMMA, theta=1e-12).q
    settings: dict[str, Any] = {"model": "counts", "step_size": 1.0, "step_size_power": 0.8}
    for expected_updates in (False, True):
        agent = trained(DynaQConfig(**settings, expected_updates=expected_updates), tables, 60_000)
        np.testing.assert_allclose(agent.learner.learner.q, exact, atol=0.08)


def test_without_planning_dyna_q_is_q_learning() -> None:
    tables = random_tables(0, chance=True)
    dyna, plain = trained(DynaQConfig(planning_steps=0), tables, 2_000), trained(QLearningConfig(), tables, 2_000)
    np.testing.assert_array_equal(dyna.learner.learner.q, plain.learner.q)


def mean_lengths(config: Any, env_id: str, episodes: int, runs: int) -> Floats:
    """The mean steps of each episode."""
    env: Any = make_env(EnvConfig(env_id), training=True)
    lengths = []
    for run in range(runs):
        agent = config.build(env.spec, np.random.default_rng(run), "cpu")
        lengths.append(record_episodes(agent, env, run, episodes)[1])
    means: Floats = np.mean(lengths, axis=0)
    return means


@compiled_only
def test_the_more_dyna_q_plans_the_sooner_it_learns_the_maze() -> None:
    book = DynaQConfig(gamma=0.95, step_size=0.1)
    reached = []
    for planning_steps in (0, 5, 50):
        lengths = mean_lengths(replace(book, planning_steps=planning_steps), "tengen/DynaMaze-v0", 40, 30)
        reached.append(int(np.flatnonzero(lengths <= 20)[0]) + 1)
    for found, expected, most in zip(reached, (29, 6, 3), (4, 1, 0), strict=True):  # figure 8.2 over many runs
        assert abs(found - expected) <= most


@compiled_only
def test_prioritized_sweeping_learns_the_maze_in_an_episode() -> None:
    lengths = mean_lengths(PrioritizedSweepingConfig(gamma=0.95, planning_steps=50), "tengen/DynaMaze-v0", 4, 10)
    assert lengths[0] > 300
    assert lengths[1] < 30
    assert lengths[3] < 20


@compiled_only
def test_only_with_a_bonus_is_a_shortcut_found() -> None:
    shared: dict[str, Any] = {"gamma": 0.95, "step_size": 1.0, "planning_steps": 10}
    for config, finds in ((DynaQConfig(**shared), False), (DynaQPlusConfig(**shared), True)):
        env: Any = make_env(EnvConfig("tengen/ShortcutMaze-v0", kwargs={"change_step": 2_000}), training=True)
        agent: Any = config.build(env.spec, np.random.default_rng(0), "cpu")
        assert (record_episodes(agent, env, 0, 350)[1].min() < 16) == finds


# --- The model ---


@compiled_only
def test_what_an_agent_knows_of_the_world_can_be_planned_with() -> None:
    env = make_env(EnvConfig("tengen/DynaMaze-v0"), training=True)
    tables = env.spec.model
    assert tables is not None
    for config in (DynaQConfig(planning_steps=0), PrioritizedSweepingConfig()):
        agent = trained(config, tables, 20_000)
        model = learned_model(agent, unvisited_value=0.0)
        assert isinstance(model, DeterministicModel) == (config.model == "deterministic")
        start = int(tables.initial.argmax())
        learnt, exact = (value_iteration(each, 0.95).v[start] for each in (model.tables(), tables))
        assert learnt == pytest.approx(exact, abs=1e-9)
        assert exact == pytest.approx(0.95**13)
    with pytest.raises(TypeError, match="QLearning learner has no model"):
        learned_model(trained(QLearningConfig(), tables, 1))


def test_rows_side_by_side_share_one_model_that_has_room_for_all_of_them() -> None:
    num_envs, num_states = 5, 30
    config = DynaQConfig(epsilon_start=1.0, planning_steps=1, model="counts")
    spec = EnvSpec("test", Discrete(num_states), Discrete(3), num_envs)
    agent: Any = config.build(spec, np.random.default_rng(0), "cpu")
    rng, nothing, no = np.random.default_rng(1), np.zeros(num_envs), np.zeros(num_envs, np.bool_)

    def look(states: Ints, reward: Floats) -> TimeStep:
        return TimeStep(states, reward, nothing + 1, no, no)

    counts = np.zeros((num_states * 3, num_states), np.int64)
    step = look(rng.integers(num_states, size=num_envs), nothing)
    for _ in range(300):
        decision: Decision = agent.act(step)
        next_step = look(rng.integers(num_states, size=num_envs), rng.normal(size=num_envs))
        agent.update(step, decision, next_step)
        np.add.at(counts, (step.observation * 3 + decision.actions, next_step.observation), 1)
        step = next_step
        seen = agent.learner.model.outcomes
        assert seen.length[0] <= seen.pair.shape[1]
    assert seen.length[0] == np.count_nonzero(counts)
    found = np.zeros_like(counts)
    size = int(seen.length[0])
    found[seen.pair[0, :size], seen.next_state[0, :size]] = seen.times[0, :size]
    np.testing.assert_array_equal(found, counts)


# --- Both drivers, and resume ---


def run_of(agent: str, config: Any, env_id: str, steps: int, driver: Any) -> RunConfig:
    settings = {"epsilon_start": 1.0, "epsilon_decay_steps": 2_000, "planning_steps": 4}
    env = EnvConfig(env_id)
    return RunConfig(agent, replace(config, **settings), env, steps, seed=3, checkpoint_period=0, driver=driver)


@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "tengen/DynaMaze-v0"])
@pytest.mark.parametrize("model", ["deterministic", "counts"])
@pytest.mark.parametrize("agent", AGENTS)
def test_both_drivers_arrive_at_the_same_agent(agent: str, model: str, env_id: str, tmp_path: Path) -> None:
    config = replace(AGENTS[agent], model=model)
    for driver in ("compiled", "python"):
        train(run_of(agent, config, env_id, 2_000, driver), tmp_path / driver)
    assert digest(tmp_path / "compiled") == digest(tmp_path / "python")


@pytest.mark.parametrize("model", ["deterministic", "counts"])
@pytest.mark.parametrize("agent", AGENTS)
def test_a_run_goes_on_in_the_middle_of_an_episode_and_by_the_other_driver(
    agent: str, model: str, tmp_path: Path
) -> None:
    straight = run_of(agent, replace(AGENTS[agent], model=model), "CliffWalking-v1", 1_500, "compiled")
    train(straight, tmp_path / "straight")
    in_two(straight, 1_111, tmp_path / "two")
    assert digest(tmp_path / "two") == digest(tmp_path / "straight")
    train(replace(straight, steps=1_111), tmp_path / "changed")
    resume(tmp_path / "changed", steps=1_500, driver="python")
    assert digest(tmp_path / "changed") == digest(tmp_path / "straight")


@pytest.mark.parametrize("agent", AGENTS)
def test_a_run_of_several_rows_goes_on_as_well(agent: str, tmp_path: Path) -> None:
    straight = run_of(agent, replace(AGENTS[agent], model="counts"), "FrozenLake-v1", 1_200, "python")
    straight = replace(straight, env=EnvConfig("FrozenLake-v1", 3))
    train(straight, tmp_path / "straight")
    in_two(straight, 600, tmp_path / "two")
    assert digest(tmp_path / "two") == digest(tmp_path / "straight")


def test_every_array_that_decides_what_comes_next_is_in_the_checkpoint() -> None:
    for config in AGENTS.values():
        for model in ("deterministic", "counts"):
            spec = EnvSpec("test", Discrete(4), Discrete(2), 1)
            agent: TabularAgent = replace(config, model=model).build(spec, np.random.default_rng(0), "cpu")
            saved = agent.state_dict()["learner"]
            assert {"learner", "model", "planner"} <= saved.keys()
            assert ("control" in saved) == isinstance(config, PrioritizedSweepingConfig)
            assert {"known", "outcomes" if model == "counts" else "next_state"} <= saved["model"].keys()


# --- Wrong settings ---


@pytest.mark.parametrize(
    ("config_class", "settings", "message"),
    [
        (DynaQConfig, {"planning_steps": -1}, r"agent.planning_steps must not be negative, got -1"),
        (DynaQConfig, {"model": "tables"}, r"agent.model must be deterministic or counts, got 'tables'"),
        (DynaQConfig, {"search_control": "all"}, r"agent.search_control must be states or pairs, got 'all'"),
        (DynaQPlusConfig, {"kappa": -0.1}, r"agent.kappa must be finite and not negative, got -0.1"),
        (DynaQPlusConfig, {"kappa": float("nan")}, r"agent.kappa must be finite and not negative, got nan"),
        (PrioritizedSweepingConfig, {"theta": -1.0}, r"agent.theta must be finite and not negative, got -1.0"),
        (PrioritizedSweepingConfig, {"theta": float("inf")}, r"agent.theta must be finite and not negative, got inf"),
        (PrioritizedSweepingConfig, {"planning_steps": 0}, r"agent.planning_steps must be at least 1 .* got 0"),
        (DynaQConfig, {"gamma": 1.5}, r"agent.gamma must be between 0 and 1, got 1.5"),
    ],
)
def test_a_wrong_setting_is_refused(config_class: type[Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}$"):
        config_class(**settings)


def test_the_command_line_refuses_a_wrong_setting_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for setting, expected in (
        ("--agent.planning-steps=-3", "planning_steps must not be negative, got -3"),
        ("--agent.model=exact", "agent.model must be"),
    ):
        with pytest.raises(SystemExit) as caught:
            raise SystemExit(main(["train", "dyna_q", "--env", "tengen/DynaMaze-v0", setting]))
        assert caught.value.code == 2
        message = capsys.readouterr().err.strip()
        assert expected in message
        assert "\n" not in message


def test_an_agents_settings_reach_its_parts() -> None:
    learner = learner_of(PrioritizedSweepingConfig(theta=0.25, planning_steps=7, initial_value=2.0))
    assert (learner.control.theta, learner.planner.num_updates, learner.learns_directly) == (0.25, 7, False)
    assert (learner.learner.q == 2.0).all()
    learner = learner_of(DynaQPlusConfig(kappa=0.5))
    assert (learner.planner.kappa, learner.control.untried, learner.learns_directly) == (0.5, True, True)
