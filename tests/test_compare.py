"""`tengen compare`: runs what is missing, once, and goes on after any interruption."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tengen.checkpoint import RunLock
from tengen.cli import main
from tengen.cli.compare_command import sensible_period
from tengen.cli.train_command import resolve
from tengen.evaluation.jobs.runner import differences, last_step
from tengen.run import open_run
from tengen.tracking import read_metrics, without_times

TABLES = ["--env", "FrozenLake-v1", "--agents", "q_learning", "random", "--no-film", "--jobs", "2"]
SMALL = [*TABLES, "--seeds", "2", "--steps", "1000", "--eval-episodes", "2"]
SLOW_RUNS = [  # step by step, so that there is time to stop them
    *(*TABLES, "--seeds", "2", "--steps", "12000", "--eval-episodes", "2", "--set"),
    *("q_learning.checkpoint_period=1500", "q_learning.driver=python"),
    *("random.checkpoint_period=1500", "random.driver=python"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison, not to be changed."""
    out = tmp_path_factory.mktemp("compare") / "out"
    assert main(["compare", *SMALL, "--out", str(out)]) == 0
    return out


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A finished comparison of one's own."""
    return Path(shutil.copytree(finished, tmp_path / "copied"))


def rows_of(out: Path) -> dict[str, list[dict[str, Any]]]:
    """Return every run's rows of metrics, without times."""
    return {
        str(path.parent.relative_to(out)): [without_times(row) for row in read_metrics(path)]
        for path in sorted(out.glob("runs/*/*/*/metrics.jsonl"))
    }


def sessions_of(out: Path) -> dict[str, int]:
    """Return how often each run was begun or gone on with."""
    return {
        str(path.parent.relative_to(out)): len(json.loads(path.read_text()))
        for path in sorted(out.glob("runs/*/*/*/sessions.json"))
    }


def scores_of(out: Path) -> list[Any]:
    """Return the scores in `results.json`."""
    found = json.loads((out / "results.json").read_text())
    return [[agent["name"], [run["score"] for run in agent["runs"]]] for agent in found["tasks"][0]["agents"]]


# --- What it does ---


def test_every_agent_is_run_with_every_seed_and_the_report_written(finished: Path) -> None:
    places = [f"runs/FrozenLake-v1/{agent}/seed_{seed}" for agent in ("q_learning", "random") for seed in (0, 1)]
    assert sorted(sessions_of(finished)) == places
    for name in ("report.html", "results.json", "curves.png", "curves.csv", "runs.csv", "table.md"):
        assert (finished / name).stat().st_size > 0, name
    found = json.loads((finished / "results.json").read_text())
    assert [agent["name"] for agent in found["tasks"][0]["agents"]] == ["q_learning", "random"]
    assert found["command"][:2] == ["tengen", "compare"]


def test_points_of_a_curve_are_evaluations_at_the_same_steps(finished: Path) -> None:
    for rows in rows_of(finished).values():
        assert [row["global_step"] for row in rows if "eval/return_mean" in row] == list(range(40, 1001, 40))


def test_runs_that_differ_in_nothing_but_their_seed_are_evaluated_apart(finished: Path) -> None:
    """Even of an agent that learns nothing: it has luck of its own, in its actions and in its episodes."""
    found = rows_of(finished)
    first, second = (
        [
            row["eval/length_mean"]
            for row in found[f"runs/FrozenLake-v1/random/seed_{seed}"]
            if "eval/length_mean" in row
        ]
        for seed in (0, 1)
    )
    assert len(first) == len(second) == 25
    assert first != second


def test_the_best_possible_return_is_a_line_of_reference_where_tables_tell_it(finished: Path) -> None:
    references = json.loads((finished / "results.json").read_text())["tasks"][0]["references"]
    assert 0.7 < references["optimal"] < 0.76  # FrozenLake within 100 steps: Gymnasium's threshold is 0.7


def test_a_finished_comparison_trains_nothing_again(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sessions_of(copied)
    assert main(["compare", *SMALL, "--out", str(copied)]) == 0
    assert sessions_of(copied) == before
    assert "4 of 4 runs were done before" in capsys.readouterr().err


def test_what_is_missing_is_added_to_what_is_there(copied: Path) -> None:
    shutil.rmtree(copied / "runs" / "FrozenLake-v1" / "q_learning" / "seed_1")
    expected, before = scores_of(copied), rows_of(copied)
    assert main(["compare", *SMALL, "--out", str(copied), "--seeds", "3"]) == 0
    after = rows_of(copied)
    assert {name: after[name] for name in before} == before
    assert sorted(set(after) - set(before)) == [
        "runs/FrozenLake-v1/q_learning/seed_1",
        "runs/FrozenLake-v1/q_learning/seed_2",
        "runs/FrozenLake-v1/random/seed_2",
    ]
    assert [[name, scores[:2]] for name, scores in scores_of(copied)] == expected


def test_settings_of_one_agent_are_set_for_it_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    changes = ["--set", "q_learning.step_size=0.25", "q_learning.driver=python"]
    assert main(["compare", *SMALL, "--seeds", "1", *changes, "--out", str(out)]) == 0
    config = json.loads((out / "runs/FrozenLake-v1/q_learning/seed_0/config.json").read_text())
    assert config["agent_config"]["step_size"] == 0.25
    assert config["driver"] == "python"


def test_a_preset_file_is_an_agent_beside_its_own_namesake(tmp_path: Path) -> None:
    file = tmp_path / "tuned.toml"
    file.write_text('[tuned]\nfor = { agent = "q_learning", env = "FrozenLake-v1" }\n[tuned.agent]\nstep_size = 0.3\n')
    out = tmp_path / "out"
    both = [str(file) if word == "random" else word for word in SMALL]
    assert main(["compare", *both, "--seeds", "1", "--out", str(out)]) == 0
    assert [name for name, _ in scores_of(out)] == ["q_learning", "tuned"]
    config = json.loads((out / "runs/FrozenLake-v1/tuned/seed_0/config.json").read_text())
    assert config["agent_config"]["step_size"] == 0.3


def test_preset_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    files = []
    for folder, step_size in (("one", 0.1), ("other", 0.9)):
        (tmp_path / folder).mkdir()
        files.append(tmp_path / folder / "best.toml")
        files[-1].write_text(
            f'[best]\nfor = {{ agent = "q_learning", env = "FrozenLake-v1" }}\n[best.agent]\nstep_size = {step_size}\n'
        )
    out = tmp_path / "out"
    both = ["compare", "--env", "FrozenLake-v1", "--agents", *map(str, files), "--steps", "400", "--seeds", "1"]
    assert main([*both, "--eval-episodes", "2", "--eval-period", "400", "--no-film", "--out", str(out)]) == 0
    assert [name for name, _ in scores_of(out)] == ["one-best", "other-best"]
    config = json.loads((out / "runs/FrozenLake-v1/other-best/seed_0/config.json").read_text())
    assert config["agent_config"]["step_size"] == 0.9


def test_finished_runs_are_compared_without_training(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = finished / "runs" / "FrozenLake-v1"
    out = str(tmp_path / "out")
    assert main(["compare", "--runs", str(runs / "random"), str(runs / "q_learning"), "--no-film", "--out", out]) == 0
    assert [name for name, _ in scores_of(tmp_path / "out")] == ["random", "q_learning"]
    assert "random" in capsys.readouterr().out


def test_the_terminal_says_it_in_a_table_and_in_words(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *SMALL, "--out", str(copied)]) == 0
    printed = capsys.readouterr().out
    assert "FrozenLake-v1 after 1,000 steps" in printed
    assert "optimal" in printed
    assert "q_learning" in printed
    assert "random" in printed
    assert str(copied / "report.html") in printed


def test_one_json_object_is_printed_where_asked_for(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *SMALL, "--out", str(copied), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [agent["name"] for agent in found["tasks"][0]["agents"]] == ["q_learning", "random"]
    assert found["failed"] == []


@pytest.mark.parametrize(("steps", "period"), [(50_000, 2_000), (1_000, 40), (42, 2), (7, 1), (10_007, 400)])
def test_a_curve_has_20_to_50_points_and_the_last_at_the_end_where_that_can_be(steps: int, period: int) -> None:
    assert sensible_period(steps) == period


# --- Interruptions ---


def start(arguments: list[str], out: Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tengen.cli", "compare", *arguments, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )


def wait_until_under_way(process: subprocess.Popen[str], out: Path) -> None:
    deadline = time.monotonic() + 60
    while not any(last_step(folder) > 2_000 for folder in out.glob("runs/*/*/*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children_of(process: subprocess.Popen[str]) -> list[int]:
    command = ["ps", "-o", "pid=", "--ppid", str(process.pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compare") / "whole"
    assert main(["compare", *SLOW_RUNS, "--out", str(out)]) == 0
    return out


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill -9 of the command", "kill -9 of everything", "Ctrl-C"])
def test_an_interrupted_comparison_goes_on_to_the_same_result(how: str, uninterrupted: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(SLOW_RUNS, out)
    wait_until_under_way(process, out)
    if how.startswith("kill -9"):
        children = children_of(process) if how.endswith("everything") else []
        process.kill()
        for child in children:
            os.kill(child, signal.SIGKILL)
        process.communicate()
    else:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGINT
        assert "the same command goes on" in errors
    begun = sessions_of(out)
    finished = [name for name in begun if (out / name / "summary.json").exists()]
    assert begun, "it was stopped before anything began"
    again = start(SLOW_RUNS, out)
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert rows_of(out) == rows_of(uninterrupted)
    assert scores_of(out) == scores_of(uninterrupted)
    sessions = sessions_of(out)
    assert all(sessions[name] <= 2 for name in sessions)
    assert any(sessions[name] == 2 for name in begun if name not in finished or how == "Ctrl-C")


# --- What can't be ---


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["compare", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--env"], "--env is missing"),
        (["--agents"], "--agents is missing"),
        (["--steps", "none"], "--steps is missing"),
        (["--seeds", "0"], "--seeds must be at least 1"),
        (["--agents", "randon"], "Did you mean 'random'?"),
        (["--agents", "random", "random"], "--agents has random twice"),
        (["--agents", "dqn", "no_such.toml"], "no_such.toml can't be read"),
        (["--env", "CartPole-v1", "--agents", "planned"], "can't be trained on CartPole-v1"),
        (["--env", "NoSuch-v0"], "no environment is called 'NoSuch-v0'"),
        (["--eval-period", "2000"], "--eval-period must be between 1 and --steps 1000"),
        (["--set", "dqn.gamma=0.9"], "'dqn' is none of --agents"),
        (["--set", "q_learning.step_sice=0.9"], "there is no option --step-sice"),
        (["--set", "q_learning.steps=9"], "steps is the comparison's own, the same for all agents"),
        (["--set", "random.seed=9"], "seed is the comparison's own"),
        (["--set", "gamma"], "--set takes AGENT.FIELD=VALUE"),
        (["--set", "q_learning.env.kwargs={is_slippery=false}"], "would play FrozenLake-v1 with different env.kwargs"),
        (["--runs", "somewhere"], "leave --agents out"),
    ],
)
def test_a_wrong_call_is_one_clear_line(
    changes: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused([*SMALL, "--out", str(tmp_path / "out"), *changes], capsys)
    assert not (tmp_path / "out").exists()


def test_runs_with_other_settings_in_the_way_are_refused(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused([*SMALL, "--out", str(copied), "--steps", "2000"], capsys)
    assert "holds a run with other settings (steps is 1000 there, and 2000 here" in line


def test_two_comparisons_in_one_folder_take_turns(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunLock(copied / "lock"):
        line = refused([*SMALL, "--out", str(copied)], capsys)
    assert f"the comparison {copied} is in use by process {os.getpid()}; wait for it" in line
    assert line.endswith("choose another --out")


def test_a_damaged_run_among_good_ones_is_left_out_and_named(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = copied / "runs" / "FrozenLake-v1" / "q_learning" / "seed_1"
    (damaged / "config.json").write_text("{")
    assert main(["compare", *SMALL, "--out", str(copied)]) == 1
    printed = capsys.readouterr()
    assert "failed: q_learning on FrozenLake-v1, seed 1" in printed.out
    found = json.loads((copied / "results.json").read_text())
    assert [Path(out["folder"]) for out in found["left_out"]] == [damaged]
    assert [len(agent["runs"]) for agent in found["tasks"][0]["agents"]] == [1, 2]


def test_a_folder_without_runs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds no run" in refused(["--runs", str(tmp_path)], capsys)
    assert "does not exist" in refused(["--runs", str(tmp_path / "nothing")], capsys)


def test_a_run_under_a_protocols_file_is_another_once_the_file_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text((resources.files("tengen.presets") / "protocols" / "nature2015.toml").read_text(encoding="utf-8"))
    arguments = ["random", "--env", "ALE/Pong-v5", "--protocol", str(file), "--steps", "8", "--device", "cpu"]
    assert main(["train", *arguments, "--run-dir", str(tmp_path / "run")]) == 0
    found = open_run(tmp_path / "run").config

    def differing() -> list[tuple[str, Any, Any]]:
        resolved = resolve(arguments)
        assert resolved is not None
        return differences(resolved[0], found)

    assert differing() == []
    file.write_text(file.read_text().replace("frame_skip = 4", "frame_skip = 3"))
    assert differing() == [("env.protocol.frame_skip", 3, 4)]
