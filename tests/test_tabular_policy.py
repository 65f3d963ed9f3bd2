"""The policy whose values prediction learns: random, optimal, or that of a run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_steps import ALL_LEGAL
from run_helpers import digest

from tengen.agents.dyna import DynaQConfig
from tengen.agents.planned import PlannedConfig
from tengen.agents.tabular import PredictionConfig, QLearningConfig
from tengen.agents.tabular import _prediction_kernels as kernels
from tengen.config import RunConfig
from tengen.contracts import Policy
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.evaluate import evaluate
from tengen.planners.dynamic_programming import value_iteration
from tengen.run import load_policy, open_run, resume, train
from tengen.tables import EpisodeLog
from tengen.types import EnvSpec


def agent_on(env_id: str, **settings: Any) -> Any:
    env = make_env(EnvConfig(env_id), training=True)
    agent: Any = PredictionConfig(**settings).build(env.spec, np.random.default_rng(0), "cpu")
    agent.policy()  # refuses what it can't follow
    return agent


def test_the_optimal_policy_is_that_of_value_iteration() -> None:
    spec = make_env(EnvConfig("FrozenLake-v1"), training=True).spec
    assert spec.model is not None
    plan = value_iteration(spec.model, 0.95)
    probability = agent_on("FrozenLake-v1", policy="optimal", gamma=0.95).learner.policy.probability
    np.testing.assert_array_equal(probability, np.eye(4)[plan.policy])


def test_the_optimal_policy_goes_by_what_is_seen_of_states() -> None:
    probability = agent_on("tengen/Blackjack-v0", policy="optimal", gamma=1.0).learner.policy.probability
    hit = probability.reshape(32, 11, 2, 2)[..., 1]
    assert hit[16, 10, 0] == 1.0
    assert hit[17, 10, 0] == 0.0
    assert hit[21, 5, 1] == 0.0


def test_an_optimal_policy_that_can_not_tell_its_states_apart_is_refused() -> None:
    with pytest.raises(UserError, match="states of tengen/ShortCorridor-v0 that look alike"):
        agent_on("tengen/ShortCorridor-v0", policy="optimal", gamma=0.99)


def test_an_optimal_policy_without_tables_is_refused() -> None:
    with pytest.raises(UserError, match="CartPole-v1 has none: choose random"):
        agent_on("CartPole-v1", policy="optimal", discretiser="uniform", low=(-1,) * 4, high=(1,) * 4)


# --- Runs as policies ---


def q_learning_run(folder: Path) -> Path:
    train(RunConfig("q_learning", QLearningConfig(), EnvConfig("FrozenLake-v1"), 5_000, checkpoint_period=0), folder)
    return folder


def policy_on(spec: EnvSpec, run: Path) -> Policy:
    """The policy of a run in an environment that is not made."""
    return PredictionConfig(policy=str(run)).build(spec, np.random.default_rng(0), "cpu").policy()


def td_run(policy: str, **fields: Any) -> RunConfig:
    settings = {"steps": 1_500, "checkpoint_period": 0, **fields}
    return RunConfig("td", PredictionConfig(policy=policy), EnvConfig("FrozenLake-v1"), **settings)


def test_a_run_s_policy_is_greedy_on_what_it_learnt_last(tmp_path: Path) -> None:
    run = q_learning_run(tmp_path / "run")
    saved = open_run(run).store.load()
    learner = agent_on("FrozenLake-v1", policy=str(run)).learner
    np.testing.assert_array_equal(learner.policy.q, saved.state()["agent"]["learner"]["q"])
    assert np.count_nonzero(learner.policy.q) > 4


def test_a_run_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    run = q_learning_run(tmp_path / "run")
    large = make_env(EnvConfig("FrozenLake-v1", kwargs={"map_name": "8x8"}), training=True).spec
    with pytest.raises(UserError, match=r"has values of the shape \(16, 4\), expected \(64, 4\) for FrozenLake-v1"):
        policy_on(large, run)
    with pytest.raises(UserError, match=r"random, optimal or the folder of a run, got 'nowhere'"):
        agent_on("Taxi-v4", policy="nowhere")
    td = RunConfig("td", PredictionConfig(), EnvConfig("FrozenLake-v1"), 100, checkpoint_period=0)
    train(td, tmp_path / "td")
    with pytest.raises(UserError, match=r"td has no table of action values"):
        agent_on("FrozenLake-v1", policy=str(tmp_path / "td"))


def test_a_run_of_another_environment_is_refused_though_its_table_has_our_shape(tmp_path: Path) -> None:
    run = q_learning_run(tmp_path / "run")
    spec = make_env(EnvConfig("FrozenLake-v1"), training=True).spec
    with pytest.raises(UserError, match=r"run is a run on FrozenLake-v1, expected one on Pond-v0$"):
        policy_on(replace(spec, id="Pond-v0"), run)
    policy_on(replace(spec, id="lakes:FrozenLake-v1"), run)  # the module that registers it


def test_a_run_with_other_bins_is_refused_though_its_table_has_our_shape(tmp_path: Path) -> None:
    binned: dict[str, Any] = {"discretiser": "uniform", "bins": (2, 3), "low": (-1, -1), "high": (1, 1)}
    config = RunConfig("q_learning", QLearningConfig(**binned), EnvConfig("MountainCar-v0"), 50, checkpoint_period=0)
    train(config, tmp_path / "run")
    agent_on("MountainCar-v0", policy=str(tmp_path / "run"), **binned)
    with pytest.raises(UserError, match=r"run has agent\.bins \[2, 3\], got \[3, 2\]"):
        agent_on("MountainCar-v0", policy=str(tmp_path / "run"), **{**binned, "bins": (3, 2)})
    with pytest.raises(UserError, match=r"run has agent\.high \[1, 1\], got \[1, 2\]"):
        agent_on("MountainCar-v0", policy=str(tmp_path / "run"), **{**binned, "high": (1, 2)})


@pytest.mark.parametrize("damaged", ["{", "[]", '{"env": {}}', '{"env": {"id": "FrozenLake-v1"}, "agent_config": 1}'])
def test_a_run_whose_settings_are_damaged_is_refused_in_one_line(damaged: str, tmp_path: Path) -> None:
    run = q_learning_run(tmp_path / "run")
    (run / "config.json").write_text(damaged)
    with pytest.raises(UserError, match=r"^agent\.policy: .*config\.json can't be read as a run's settings: .*$"):
        agent_on("FrozenLake-v1", policy=str(run))


def test_a_plan_is_followed_as_it_is_not_as_its_values_are(tmp_path: Path) -> None:
    calm = EnvConfig("FrozenLake-v1", kwargs={"is_slippery": False})
    settings: dict[str, Any] = {"planner": "value_iteration", "settings": {"gamma": 1.0}}
    train(RunConfig("planned", PlannedConfig(**settings), calm, 1, checkpoint_period=0), tmp_path / "plan")
    plan = open_run(tmp_path / "plan").store.load().state()["agent"]
    assert (plan["q"].argmax(1) != plan["policy"]).any()  # at gamma 1 going in circles is worth as much
    td = PredictionConfig(policy=str(tmp_path / "plan"), gamma=1.0)
    train(RunConfig("td", td, calm, 500, checkpoint_period=0), tmp_path / "td")
    loaded = load_policy(open_run(tmp_path / "td"))
    result = evaluate(loaded.policy, loaded.env, 5, 0)
    assert result is not None
    assert result.summary()["return_mean"] == 1.0


def test_where_a_planned_action_is_illegal_the_best_legal_one_is_followed(tmp_path: Path) -> None:
    env = EnvConfig("Taxi-v4")
    train(RunConfig("planned", PlannedConfig(), env, 1, checkpoint_period=0), tmp_path / "plan")
    plan = open_run(tmp_path / "plan").store.load().state()["agent"]
    agent = agent_on("Taxi-v4", policy=str(tmp_path / "plan"))
    for s in range(0, 500, 50):
        legal = np.arange(6) != plan["policy"][s]
        best = np.where(legal, plan["q"][s], -np.inf).argmax()
        assert kernels.choose(agent.learner.policy, s, legal, np.random.default_rng(0)) == best
        assert kernels.choose(agent.learner.policy, s, ALL_LEGAL, np.random.default_rng(0)) == plan["policy"][s]


def test_a_dyna_run_s_policy_can_be_followed(tmp_path: Path) -> None:
    config = RunConfig("dyna_q", DynaQConfig(), EnvConfig("FrozenLake-v1"), 2_000, checkpoint_period=0)
    train(config, tmp_path / "run")
    saved = open_run(tmp_path / "run").store.load().state()["agent"]
    q = agent_on("FrozenLake-v1", policy=str(tmp_path / "run")).learner.policy.q
    np.testing.assert_array_equal(q, saved["learner"]["learner"]["q"])


def test_several_runs_at_once_are_refused_as_a_policy(tmp_path: Path) -> None:
    config = RunConfig("q_learning", QLearningConfig(), EnvConfig("FrozenLake-v1"), 50, num_runs=3)
    train(config, tmp_path / "runs")
    with pytest.raises(UserError, match="runs holds 3 runs at once: train one by itself"):
        agent_on("FrozenLake-v1", policy=str(tmp_path / "runs"))


def test_a_run_needs_the_policy_s_folder_only_when_it_starts(tmp_path: Path) -> None:
    policy = q_learning_run(tmp_path / "policy")
    config = td_run(str(policy))
    train(config, tmp_path / "straight")
    train(replace(config, steps=700), tmp_path / "parts")
    shutil.rmtree(policy)
    resume(tmp_path / "parts", steps=config.steps)
    assert digest(tmp_path / "parts") == digest(tmp_path / "straight")
    loaded = load_policy(open_run(tmp_path / "parts"))
    step = loaded.env.reset(0)
    assert loaded.policy.act(step, np.random.default_rng(0)).shape == (1,)


@pytest.mark.parametrize("driver", ["python", "compiled"])
def test_a_policy_that_is_not_there_is_refused_before_a_folder_is_made(driver: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="got 'nowhere'"):
        train(td_run("nowhere", driver=driver), tmp_path / "td")
    assert not (tmp_path / "td").exists()


def test_nothing_is_done_by_a_policy_that_is_not_there() -> None:
    env = make_env(EnvConfig("FrozenLake-v1"), training=True)
    agent: Any = PredictionConfig(policy="nowhere").build(env.spec, np.random.default_rng(0), "cpu")
    step, log = env.reset(0), EpisodeLog(np.zeros(1), np.zeros(1), np.zeros(1, np.int64), np.zeros(1, np.int64))
    world = env.world()  # type: ignore[attr-defined]  # it is a TabledEnvironment
    for use in (agent.policy, agent.state_dict, lambda: agent.act(step), lambda: agent.drive(world, log, 1)):
        with pytest.raises(UserError, match="got 'nowhere'"):
            use()


def test_both_drivers_follow_a_run_s_policy_alike(tmp_path: Path) -> None:
    run = q_learning_run(tmp_path / "run")
    for driver in ("python", "compiled"):
        train(td_run(str(run), driver=driver), tmp_path / driver)
    assert digest(tmp_path / "python") == digest(tmp_path / "compiled")
