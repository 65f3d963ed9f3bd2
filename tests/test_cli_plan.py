from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tengen.agents.planned import PlannedAgent, PlannedConfig, tabulate_plan
from tengen.cli import main
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.planners.dynamic_programming import Plan, value_iteration
from tengen.planners.exact import evaluate_exactly, finite_horizon_return
from tengen.registry import names
from tengen.run import load_policy, open_run
from tengen.tables import TransitionTables, tabulate
from tengen.testing import check_agent
from tengen.types import EnvSpec, TimeStep

LAKE = "plan value_iteration --env FrozenLake-v1 --run-dir"
HEAVY = {"torch", "numpy", "gymnasium", "wandb", "rich", "numba", "stable_baselines3", "matplotlib", "typeguard", "PIL"}


def model_of(env_id: str, **kwargs: Any) -> TransitionTables:
    model = make_env(EnvConfig(env_id, kwargs=kwargs), training=False).spec.model
    assert model is not None
    return model


def planned(capsys: pytest.CaptureFixture[str], command: str, *more: str) -> dict[str, Any]:
    assert main([*command.split(), *more, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert isinstance(result, dict)
    return result


# --- The command ---


@pytest.mark.parametrize("planner", names("planners"))
def test_a_plan_is_reported_and_saved(planner: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    result = planned(capsys, f"plan {planner} --env FrozenLake-v1 --planner.gamma 0.9 --run-dir {folder}")
    tables = model_of("FrozenLake-v1")
    plan = PlannedConfig(planner, {"gamma": 0.9}).make_planner().plan(tables)
    assert result["v"] == plan.v.tolist()
    assert result["policy"] == plan.policy.tolist()
    assert result["start_value"] == plan.v[0]
    assert result["expected_return"] == finite_horizon_return(tables, plan.policy, 100)
    assert (result["states"], result["actions"], result["sweeps"]) == (16, 4, plan.sweeps)
    assert result["residual"] == plan.residual
    assert result["error_bound"] == plan.error_bound
    assert result["run"] == str(folder)
    run = open_run(folder)
    saved = run.store.latest()
    assert saved is not None
    assert saved.step == 0
    state = saved.state()["agent"]
    np.testing.assert_array_equal(state["q"], plan.q)
    np.testing.assert_array_equal(state["v"], plan.v)
    np.testing.assert_array_equal(state["policy"], plan.policy)
    assert run.config.agent_config.settings["gamma"] == 0.9
    assert run.sessions()[0]["command"][:3] == ["tengen", "plan", planner]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["start_value"] == plan.v[0]


def test_the_commands_of_a_run_take_a_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    result = planned(capsys, f"{LAKE} {folder}")
    assert result["expected_return"] == pytest.approx(0.7402, abs=5e-5)
    measured = planned(capsys, f"evaluate {folder} --episodes 1000 --seed 0")
    assert abs(measured["return_mean"] - result["expected_return"]) < 3 * np.sqrt(0.7402 * 0.2598 / 1000)
    assert measured["agent"] == "planned"
    assert planned(capsys, f"checkpoint {folder}")["step"] == 0
    assert main(["play", str(folder), "--out", str(tmp_path / "film.gif")]) == 0
    assert (tmp_path / "film.gif").stat().st_size > 1_000
    assert main(["train", "--resume", str(folder), "--steps", "30"]) == 0
    capsys.readouterr()
    assert planned(capsys, f"checkpoint {folder}")["step"] == 30
    assert planned(capsys, f"evaluate {folder} --episodes 50 --seed 0")["episodes"] == 50


def test_the_planned_episodes_of_blackjack_bring_what_was_planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    command = f"plan value_iteration --env Blackjack-v1 --env.kwargs {{sab=true}} --planner.gamma 1 --run-dir {folder}"
    result = planned(capsys, command.replace("{sab=true}", '{"sab":true}'))
    assert result["start_value"] == pytest.approx(-0.043113, abs=1e-6)
    assert result["expected_return"] == pytest.approx(-0.043113, abs=1e-6)
    measured = planned(capsys, f"evaluate {folder} --episodes 4000 --seed 0")
    assert abs(measured["return_mean"] + 0.043113) < 3 * 0.955 / np.sqrt(4000)
    # Stick on these hard totals, and not on less, against A, 2..10 (Sutton & Barto, figure 5.2).
    policy = load_policy(open_run(folder)).policy
    sticks = [17, 13, 13, 12, 12, 12, 17, 17, 17, 17]
    hands = [(total, card, 0) for total in range(12, 22) for card in range(1, 11)]
    actions = policy.act(_step(np.array(hands)), np.random.default_rng(0))
    assert actions.tolist() == [int(total < sticks[card - 1]) for total, card, _ in hands]


def _step(observation: Any, legal: Any = None) -> TimeStep:
    size = len(observation)
    never = np.zeros(size, np.bool_)
    return TimeStep(observation, np.zeros(size), np.ones(size), never, never, legal)


def test_values_and_policy_are_drawn_on_the_grid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "plan value_iteration --env tengen/Gridworld-v0 --planner.gamma 0.9 --run-dir"
    assert main([*command.split(), f"{tmp_path}/a"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^start_value +\d", out, re.MULTILINE)
    assert re.search(r"^ +21\.98 +24\.42 +21\.98 +19\.42 +17\.48$", out, re.MULTILINE)  # figure 3.5
    assert "\n > ^ < ^ <\n" in out
    assert main(["plan", "value_iteration", "--env", "FrozenLake-v1", "--run-dir", f"{tmp_path}/b"]) == 0
    assert " < ^ ^ ^\n < x < x\n ^ v < x\n x > v G\n" in capsys.readouterr().out
    kwargs = ["--env.kwargs", '{"map_name": "8x8"}']
    assert main(["plan", "value_iteration", "--env", "FrozenLake-v1", *kwargs, "--run-dir", f"{tmp_path}/c"]) == 0
    assert len(re.findall(r"^( +[<>^vxG]){8}$", capsys.readouterr().out, re.MULTILINE)) == 8


def test_values_and_policy_without_a_grid_are_a_table_unless_there_are_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(f"plan value_iteration --env tengen/MaximizationBias-v0 --run-dir {tmp_path}/a".split()) == 0
    assert re.search(r"^state +value +action\n +0 +\S+ +\d+\n +1 ", capsys.readouterr().out, re.MULTILINE)
    assert main(f"plan value_iteration --env Taxi-v4 --run-dir {tmp_path}/b".split()) == 0
    assert "state  " not in capsys.readouterr().out


def test_a_run_folder_is_chosen_where_none_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = planned(capsys, "plan value_iteration --env FrozenLake-v1")
    assert Path(result["run"]).parts[:3] == ("runs", "FrozenLake-v1", "planned")
    assert open_run(Path(result["run"])).config.agent == "planned"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("plan", ["say which planner", "value_iteration", "policy_iteration"]),
        ("plan --env FrozenLake-v1", ["say which planner"]),
        ("plan value_iteratoin --env FrozenLake-v1", ["'value_iteratoin'", "Did you mean 'value_iteration'?"]),
        ("plan value_iteration", ["--env is missing"]),
        ("plan value_iteration --env CartPole-v1", ["CartPole-v1 has no transition tables", "FrozenLake-v1, Taxi-v4"]),
        ("plan value_iteration --env tengen/TicTacToe-v0", ["tengen/TicTacToe-v0 has no transition tables"]),
        ("plan value_iteration --env tengen/ShortCorridor-v0", ["the states 0, 1, 2 alike", "no agent can follow it"]),
        ("plan value_iteration --env NoSuch-v0", ["'NoSuch-v0'"]),
        (f"{LAKE} RUN --planner.gamma 2", ["planner.gamma must be between 0 and 1, got 2"]),
        (f"{LAKE} RUN --planner.gamma=-0.1", ["planner.gamma must be between 0 and 1, got -0.1"]),
        (f"{LAKE} RUN --planner.gamma nan", ["planner.gamma must be between 0 and 1, got nan"]),
        (f"{LAKE} RUN --planner.gamma high", ["--planner.gamma must be a number, got 'high'"]),
        (f"{LAKE} RUN --planner.theta 0", ["planner.theta must be greater than 0 and finite, got 0"]),
        (f"{LAKE} RUN --planner.max-sweeps 0", ["planner.max_sweeps must be at least 1, got 0"]),
        (f"{LAKE} RUN --planner.max-sweeps 9", ["not converged after 9 sweeps", "raise max_sweeps"]),
        (f"{LAKE} RUN --planner.method best", ["--planner.method must be", "'prioritized'", "got 'best'"]),
        (f"{LAKE} RUN --planner.sweeps 3", ["there is no option --planner.sweeps"]),
        (f"{LAKE} RUN --env.kwargs 8x8", ["--env.kwargs must be a table", "'8x8'"]),
        (
            "plan modified_policy_iteration --env FrozenLake-v1 --planner.evaluation-sweeps 0",
            ["planner.evaluation_sweeps must be at least 1, got 0"],
        ),
        (
            "plan policy_evaluation --env tengen/Gridworld-v0 --planner.gamma 1",
            ["with gamma 1 values are infinite", "choose a gamma below 1"],
        ),
    ],
)
def test_a_mistake_is_answered_by_one_line(
    command: str, said: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("tengen: error: ")
    assert captured.err.count("\n") == 1
    for part in said:
        assert part in captured.err
    assert list(tmp_path.iterdir()) == [], "something was left behind"


def test_a_folder_that_holds_another_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned(capsys, f"{LAKE} {tmp_path}/run")
    assert main(f"{LAKE} {tmp_path}/run".split()) == 2
    assert "holds another run" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["plan", "plan value_iteration", "plan modified_policy_iteration"])
def test_help_imports_nothing_heavy_and_ends_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert "tengen plan" in capsys.readouterr().out.partition("examples:\n")[2]
    code = "import sys; from tengen.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    words = [sys.executable, "-c", code, *command.split(), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert not set(done.stderr.split()) & HEAVY


def test_the_planners_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    listed = planned(capsys, "list planners")["planners"]
    assert set(listed) >= {"value_iteration", "policy_iteration", "modified_policy_iteration", "policy_evaluation"}
    assert all("Sutton & Barto" in about for name, about in listed.items() if name.endswith("iteration"))


# --- The agent ---


def spec_of(env_id: str, **settings: Any) -> EnvSpec:
    return make_env(EnvConfig(env_id, **settings), training=True).spec


def build(config: PlannedConfig, spec: EnvSpec) -> PlannedAgent:
    agent = config.build(spec, np.random.default_rng(0), "cpu")
    assert isinstance(agent, PlannedAgent)
    return agent


@pytest.mark.parametrize("env_id", ["Taxi-v4", "Blackjack-v1", "tengen/Gambler-v0"])
def test_the_agent_keeps_the_contract(env_id: str) -> None:
    check_agent(
        lambda spec, rng: PlannedConfig().build(spec, rng, "cpu"),
        lambda: make_env(EnvConfig(env_id, num_envs=2, action_mask=env_id == "Taxi-v4"), training=True),
        num_steps=60,
    )


def test_training_it_follows_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "planned", "--env", "CliffWalking-v1", "--steps", "26", "--run-dir", str(tmp_path / "run")]
    assert main([*words, "--agent.planner", "policy_iteration", "--agent.settings", "{gamma = 1.0}"]) == 0
    capsys.readouterr()
    assert planned(capsys, f"evaluate {tmp_path}/run --episodes 2")["return_mean"] == -13.0


@pytest.mark.parametrize("env_id", ["CartPole-v1", "tengen/TicTacToe-v0"])
def test_an_environment_without_tables_is_refused(env_id: str) -> None:
    assert f"planned needs an environment with transition tables, {env_id} has none" == PlannedConfig.refusal(
        spec_of(env_id)
    )


@pytest.mark.parametrize(
    ("planner", "settings", "said"),
    [
        ("dqn", {}, "no planner is called 'dqn'"),
        ("value_iteration", {"gama": 0.9}, r"the settings of value_iteration: there is no setting 'planner\.gama'"),
        ("value_iteration", {"gamma": "0.9"}, r"planner\.gamma must be a number, got '0\.9'"),
        ("value_iteration", {"gamma": 1.5}, r"planner\.gamma must be between 0 and 1, got 1\.5"),
    ],
)
def test_wrong_settings_of_its_planner_are_refused(planner: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        PlannedConfig(planner, settings)


def test_where_the_planned_action_is_illegal_the_best_legal_one_is_taken() -> None:
    spec = spec_of("FrozenLake-v1")
    agent = build(PlannedConfig(), spec)
    q = np.tile(np.array([0.1, 0.4, 0.3, 0.2]), (16, 1))
    agent.load_state_dict({"q": q, "v": q.max(1), "policy": np.full(16, 2)})
    legal = np.array([[True] * 4, [True, True, False, True], [True, False, False, True]])
    assert agent.act(_step(np.array([3, 4, 5]), legal)).actions.tolist() == [2, 1, 3]
    assert agent.act(_step(np.array([3, 4, 5]))).actions.tolist() == [2, 2, 2]


def test_states_that_look_alike_share_an_action_that_is_best_in_each() -> None:
    # States 0 and 1 are seen as 1, state 2 as 0. In state 0 both actions are the best, in state 1 only the second is.
    rewards = [[1.0, 1.0], [0.0, 3.0], [5.0, 0.0]]
    tables = tabulate(
        3,
        2,
        lambda state, action: [(1.0, (state + 1) % 3, rewards[state][action], 1.0 if state < 2 else 0.0)],
        np.array([0.5, 0.5, 0.0]),
        observation=np.array([1, 1, 0]),
    )
    lake = spec_of("FrozenLake-v1", kwargs={"desc": ["SFF", "FFG"]})
    spec = EnvSpec("Alike", lake.observation_space, lake.action_space, 1, model=tables)
    plan = value_iteration(tables, 1.0)
    assert plan.policy.tolist() == [0, 1, 0]
    table = tabulate_plan(spec, plan)
    assert table.policy[:2].tolist() == [0, 1]
    np.testing.assert_allclose(table.v[:2], [5.0, (9.0 + 8.0) / 2])
    np.testing.assert_allclose(table.q[1], [(9.0 + 5.0) / 2, (9.0 + 8.0) / 2])
    torn = Plan(**{**vars(plan), "q": plan.q[:, ::-1] + np.array([[0.0, 1e-6], [0, 0], [0, 0]])})
    with pytest.raises(UserError, match=r"Alike shows the states 0, 1 alike \(observation 1\)"):
        tabulate_plan(spec, torn)


def test_a_state_in_which_nobody_acts_may_look_like_any_other() -> None:
    tables = tabulate(
        2,
        2,
        lambda state, action: [(1.0, 1, float(action == state), 0.0)],
        0,
        observation=np.array([0, 0]),
    )
    lake = spec_of("FrozenLake-v1", kwargs={"desc": ["SG"]})
    spec = EnvSpec("Alike", lake.observation_space, lake.action_space, 1, model=tables)
    table = tabulate_plan(spec, value_iteration(tables, 0.9))
    assert table.policy[0] == 0
    assert table.q[0].tolist() == [1.0, 0.0]
    assert evaluate_exactly(tables, np.array([0, 1]), 0.9).tolist() == [1.0, 1.0]
