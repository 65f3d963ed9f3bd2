"""`tengen sweep`: Optuna chooses settings, and the result is a preset."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tengen.cli import main
from tengen.config import default_settings
from tengen.errors import UserError
from tengen.evaluation.sweep.preset_file import preset_text
from tengen.evaluation.sweep.search_space import parse_field
from tengen.evaluation.sweep.sweep import judged
from tengen.presets import read_preset_file

FIELDLESS = ["sweep", "q_learning", "--env", "FrozenLake-v1", "--steps", "400", "--eval-episodes", "2", "--jobs", "2"]
SMALL = [*FIELDLESS, "--field", "agent.step_size=loguniform(1e-2,1)", "agent.gamma=choice(0.9,0.99)"]


def table(out: Path) -> list[dict[str, str]]:
    with open(out / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search, not to be changed."""
    out = tmp_path_factory.mktemp("sweep") / "out"
    assert main([*SMALL, "--trials", "3", "--out", str(out)]) == 0
    return out


def test_every_trial_is_a_run_with_settings_of_its_own(finished: Path) -> None:
    rows = table(finished)
    assert len(rows) == 3
    for row in rows:
        config = json.loads((finished / "trials" / f"trial_{int(row['trial']):05d}" / "config.json").read_text())
        assert config["agent_config"]["step_size"] == float(row["agent.step_size"])
        assert config["agent_config"]["gamma"] == float(row["agent.gamma"])
        assert config["seed"] == int(row["trial"])
        assert 0.01 <= float(row["agent.step_size"]) <= 1


def test_the_best_trial_is_a_preset_that_train_takes(finished: Path, tmp_path: Path) -> None:
    best = table(finished)[0]
    assert float(best["value"]) == max(float(row["value"]) for row in table(finished) if row["state"] == "complete")
    preset = read_preset_file(finished / "best.toml")
    assert (preset.agent, preset.env) == ("q_learning", "FrozenLake-v1")
    run = tmp_path / "run"
    command = ["train", "q_learning", "--env", "FrozenLake-v1", "--preset", str(finished / "best.toml")]
    assert main([*command, "--run-dir", str(run)]) == 0
    config = json.loads((run / "config.json").read_text())
    trial = json.loads((finished / "trials" / f"trial_{int(best['trial']):05d}" / "config.json").read_text())
    assert config["agent_config"] == trial["agent_config"]
    assert config["steps"] == trial["steps"]


def test_the_same_command_adds_only_the_trials_that_are_missing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main([*SMALL, "--trials", "1", "--out", str(out)]) == 0
    (before,) = table(out)
    assert main([*SMALL, "--trials", "2", "--out", str(out)]) == 0
    rows = table(out)
    assert len(rows) == 2
    assert before in rows


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill -9", "Ctrl-C"])
def test_an_interrupted_search_resumes_the_trials_that_were_under_way(how: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    slow = [*SMALL, "--steps", "20000", "--set", "driver=python", "checkpoint_period=2000", "--trials", "2"]
    command = [sys.executable, "-m", "tengen.cli", *slow, "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(out.glob("trials/*/checkpoints/*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL if how == "kill -9" else signal.SIGINT)
    process.communicate()
    assert process.returncode == (-signal.SIGKILL if how == "kill -9" else 130)
    again = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=200, check=False)
    assert again.returncode == 0, again.stderr
    assert "goes on" in again.stderr
    assert sorted(row["state"] for row in table(out)) == ["complete", "complete"]
    sessions = [len(json.loads(path.read_text())) for path in out.glob("trials/*/sessions.json")]
    assert max(sessions) == 2


@pytest.mark.slow
def test_several_processes_share_a_search_and_one_of_them_may_be_killed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    slow = [
        *SMALL,
        "--steps",
        "8000",
        "--set",
        "driver=python",
        "checkpoint_period=1000",
        "--trials",
        "7",
        "--jobs",
        "1",
    ]
    command = [sys.executable, "-m", "tengen.cli", *slow, "--out", str(out)]
    first, second = (subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2))
    deadline = time.monotonic() + 120
    while len(list(out.glob("trials/*/checkpoints/*"))) < 2:
        assert first.poll() is None
        assert second.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.kill()
    first.communicate()
    with open(out / "journal.log", "ab") as journal:  # as a process leaves it that is killed while it writes
        journal.write(b'{"op_code":4,"wor')
    third = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    errors = [process.communicate(timeout=250)[1] for process in (second, third)]
    assert (second.returncode, third.returncode) == (0, 0), errors
    rows = table(out)
    assert sorted(int(row["trial"]) for row in rows) == list(range(7)), "none too many, and none twice"
    assert {row["state"] for row in rows} <= {"complete", "pruned"}
    assert len({row["agent.step_size"] for row in rows}) == 7, "no two processes drew the same settings"
    sessions = {path.parent.name: len(json.loads(path.read_text())) for path in out.glob("trials/*/sessions.json")}
    assert len(sessions) == 7
    assert max(sessions.values()) == 2, "the trial of the killed process goes on"
    assert sum(sessions.values()) <= 7 + 2  # and nothing that is done is done again
    train = ["train", "q_learning", "--env", "FrozenLake-v1", "--preset", str(out / "best.toml"), "--steps", "100"]
    assert main([*train, "--run-dir", str(tmp_path / "run")]) == 0


@pytest.mark.slow
def test_a_trial_worse_than_most_is_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from optuna.trial import Trial

    monkeypatch.setattr(Trial, "should_prune", lambda self: self.number == 0)
    out = tmp_path / "out"
    slow = [*SMALL, "--steps", "20000", "--set", "driver=python", "--trials", "2", "--jobs", "1"]
    assert main([*slow, "--eval-period", "1000", "--out", str(out)]) == 0
    states = {row["trial"]: row["state"] for row in table(out)}
    assert states == {"0": "pruned", "1": "complete"}
    summary = json.loads((out / "trials" / "trial_00000" / "summary.json").read_text())
    assert summary["step"] < 20_000


def test_a_line_that_a_killed_process_did_not_finish_is_cut_off(tmp_path: Path) -> None:
    journal = pytest.importorskip("tengen.evaluation.sweep.journal", reason="needs tengen[sweep]")
    path = tmp_path / "journal.log"
    for content, kept in (
        (b"", b""),
        (b"{}\n", b"{}\n"),
        (b"{}\n{", b"{}\n"),
        (b"{", b""),
        (b"a\n" + b"b" * 10_000, b"a\n"),
    ):
        path.write_bytes(content)
        lock = journal.JournalLock(path)
        assert lock.acquire()
        lock.release()
        assert path.read_bytes() == kept


def test_the_settings_of_a_trial_are_drawn_by_its_number(tmp_path: Path) -> None:
    journal = pytest.importorskip("tengen.evaluation.sweep.journal", reason="needs tengen[sweep]")
    field = parse_field("x=uniform(0,1)")

    def drawn(folder: Path, number: int) -> str:
        folder.mkdir()
        study = journal.open_study(folder, "none")
        study.sampler = journal.sampler(0, number)
        return field.suggest(study.ask())

    first, second, third = (drawn(tmp_path / str(k), number) for k, number in enumerate((0, 1, 0)))
    assert first == third
    assert first != second


def test_a_trial_is_judged_by_its_last_quarter() -> None:
    assert judged([0.0] * 6 + [4.0, 8.0]) == 6.0
    assert judged([3.0]) == 3.0


def test_a_preset_holds_what_differs_from_the_defaults() -> None:
    settings: dict[str, Any] = json.loads(json.dumps(default_settings("dqn")))
    settings["steps"], settings["env"]["num_envs"] = 1_234, 8
    settings["agent_config"] |= {"learning_rate": 1e-3, "hidden": [64, 64], "double": True, "replay": "prioritized"}
    (preset,) = tomllib.loads(preset_text("dqn", "ALE/Pong-v5", 'a "source"', settings)).values()
    assert preset == {
        "for": {"agent": "dqn", "env": "ALE/Pong-v5"},
        "source": 'a "source"',
        "steps": 1_234,
        "num_envs": 8,
        "agent": {"learning_rate": 1e-3, "hidden": [64, 64], "double": True, "replay": "prioritized"},
    }


def test_a_preset_holds_the_environments_settings_and_any_id(tmp_path: Path) -> None:
    settings: dict[str, Any] = json.loads(json.dumps(default_settings("q_learning")))
    settings["env"] |= {"kwargs": {"sab": True}, "action_mask": True}
    file = tmp_path / "best.toml"
    file.write_text(preset_text("q_learning", "gymnasium.envs.toy_text:My.Env-v0", "mine", settings))
    preset = read_preset_file(file)
    assert preset.env == "gymnasium.envs.toy_text:My.Env-v0"
    assert preset.settings["env"] == {"kwargs": {"sab": True}, "action_mask": True}


def test_values_that_can_not_be_had_together_fail_their_trial_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    fields = ["agent.method=choice:td:batch_td", "agent.step_size_power=choice:0:1"]
    search = ["sweep", "td", "--env", "FrozenLake-v1", "--steps", "100", "--eval-episodes", "1", "--eval-period", "100"]
    assert main([*search, "--field", *fields, "--trials", "3", "--seed", "11", "--jobs", "1", "--out", str(out)]) == 0
    assert "failed: agent.step_size_power is not for the batch methods" in capsys.readouterr().err
    states = [row["state"] for row in table(out)]
    assert states.count("complete") == 3
    assert "fail" in states
    assert (out / "best.toml").exists()


@pytest.mark.parametrize("text", ["a.b=uniform(0,1)", "a.b=uniform:0:1", "a-b=choice(x,y)", "n=int:1:10"])
def test_a_field_is_read_as_it_is_written(text: str) -> None:
    field = parse_field(text)
    assert field.name == text.partition("=")[0].replace("-", "_")
    assert parse_field(str(field)) == field


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gamma", "takes NAME=KIND"),
        ("gamma=0.9", "takes NAME=KIND"),
        ("gamma=unifrom(0,1)", "Did you mean 'uniform'?"),
        ("gamma=uniform(0)", "takes two numbers"),
        ("gamma=uniform(1,0)", "must be below"),
        ("gamma=loguniform(1e-5,inf)", "both ends must be finite"),
        ("gamma=loguniform(0,1)", "needs values above 0"),
        ("n=int(0.5,3)", "takes whole numbers"),
    ],
)
def test_a_wrong_field_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        parse_field(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--field", "agent.step_sice=uniform(0,1)"], "there is no option --agent.step-sice"),
        (["--field", "agent.epsilon_end=uniform(0.5,1.5)"], "agent.epsilon_end must be"),
        (["--trials", "0"], "--trials must be at least 1"),
        (["--env", "NoSuch-v0"], "no environment is called"),
        (["--eval-period", "500"], "--eval-period must be between 1 and --steps 400, got 500"),
        (["--set", "driver"], "--set takes NAME=VALUE"),
        (["--set", "seed=3"], "--set seed: this is the sweep's own"),
        (["--field", "eval_period=int:1:10"], "--field eval_period: this is the sweep's own"),
        (["--field", "agent.epsilon_end=uniform:0:1", "agent.epsilon_end=uniform:0:1"], "given twice"),
        (["--field", "agent.gamma=uniform:0:1"], "--field agent.gamma is given twice"),
    ],
)
def test_a_wrong_call_is_one_clear_line(
    changes: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, "--out", str(tmp_path / "out"), *changes]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


def test_a_search_without_fields_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for fields in ([], ["--field"]):
        assert main([*FIELDLESS, *fields, "--out", str(tmp_path / "out")]) == 2
        assert "--field is missing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_fields_and_settings_of_a_repeated_option_add_up(tmp_path: Path) -> None:
    out = tmp_path / "out"
    repeated = ["--field", "agent.step_size=loguniform(1e-2,1)", "--field=agent.gamma=choice(0.9,0.99)"]
    repeated += ["--set", "agent.epsilon_end=0.25", "--set", "agent.initial_value=0.5"]
    assert main([*FIELDLESS, *repeated, "--trials", "1", "--out", str(out)]) == 0
    (row,) = table(out)
    chosen = tomllib.loads((out / "best.toml").read_text("utf-8"))
    config = json.loads((out / "trials" / "trial_00000" / "config.json").read_text())["agent_config"]
    assert config["step_size"] == float(row["agent.step_size"])
    assert config["gamma"] == float(row["agent.gamma"])
    assert (config["epsilon_end"], config["initial_value"]) == (0.25, 0.5)
    (settings,) = (table["agent"] for table in chosen.values())
    assert {"step_size", "gamma", "epsilon_end", "initial_value"} <= set(settings)


def test_another_search_in_the_same_folder_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--steps", "500", "--out", str(finished)]) == 2
    assert "holds another search (steps is 400 there, and 500 here)" in capsys.readouterr().err


def test_another_protocol_in_the_same_file_is_another_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (resources.files("tengen.presets") / "protocols" / "nature2015.toml").read_text(encoding="utf-8")
    (file := tmp_path / "mine.toml").write_text(text.replace("max_frames = 18_000", "max_frames = 400"))
    search = ["sweep", "random", "--env", "ALE/Pong-v5", "--protocol", str(file), "--steps", "8", "--trials", "1"]
    search += ["--eval-episodes", "1", "--field", "num_envs=choice(1,2)", "--out", str(tmp_path / "out")]
    assert main(search) == 0
    file.write_text(file.read_text().replace("frame_skip = 4", "frame_skip = 3"))
    assert main(search) == 2
    assert "holds another search (protocol is" in capsys.readouterr().err
