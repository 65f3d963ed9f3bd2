"""What a run's folder keeps, and what may not change it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib import resources
from pathlib import Path

import pytest

from tengen.agents import RandomConfig
from tengen.agents.random.agent import RandomAgent
from tengen.cli import main
from tengen.config import RunConfig, TrackConfig
from tengen.envs import EnvConfig
from tengen.envs.protocols import load_protocol
from tengen.errors import UserError
from tengen.run import load_policy, open_run, resume, train
from tengen.types import State


def pong(protocol: Path) -> RunConfig:
    return RunConfig("random", RandomConfig(), EnvConfig("ALE/Pong-v5", protocol=str(protocol)), 8, eval_episodes=1)


@pytest.fixture
def own_protocol(tmp_path: Path) -> Path:
    """A protocol's file, whose evaluation games are over soon."""
    text = (resources.files("tengen.presets") / "protocols" / "nature2015.toml").read_text(encoding="utf-8")
    (path := tmp_path / "mine.toml").write_text(text.replace("max_frames = 18_000", "max_frames = 400"))
    return path


def test_a_run_keeps_what_its_protocols_file_held_when_it_began(
    own_protocol: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    train(pong(Path(own_protocol.name)), tmp_path / "run")
    own_protocol.write_text(own_protocol.read_text().replace("frame_skip = 4", "frame_skip = 3"))
    resume(tmp_path / "run", steps=12)
    own_protocol.unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    resume(tmp_path / "run", steps=16)
    protocols = [session["protocol"] for session in open_run(tmp_path / "run").sessions()]
    assert [(protocol["name"], protocol["frame_skip"]) for protocol in protocols] == [("mine", 4)] * 3
    assert main(["evaluate", str(tmp_path / "run"), "--episodes", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["protocol"], found["length_mean"]) == ("mine", 100)


def test_a_settings_file_may_hold_a_protocol_as_a_table(
    own_protocol: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    knobs = asdict(load_protocol(str(own_protocol)))
    (config := tmp_path / "run.toml").write_text(
        "[env]\nid = 'ALE/Pong-v5'\n[env.protocol]\n"
        + "".join(f"{name} = {json.dumps(value)}\n" for name, value in knobs.items() if value is not None)
    )
    command = ["train", "random", "--config", str(config), "--steps", "8", "--run-dir", str(tmp_path / "run")]
    assert main([*command, "--help"]) == 0
    assert "mine)" in capsys.readouterr().out
    assert main(command) == 0
    assert open_run(tmp_path / "run").config.env.protocol == knobs


def test_a_setting_may_be_infinite(tmp_path: Path) -> None:
    run, network = tmp_path / "run", ["--agent.hidden", "8", "--agent.gradient-clip", "inf"]
    assert main(["train", "dqn", "--env", "CartPole-v1", "--steps", "8", *network, "--run-dir", str(run)]) == 0
    assert open_run(run).config.to_dict()["agent_config"]["gradient_clip"] == math.inf
    assert main(["evaluate", str(run), "--episodes", "1"]) == 0


def test_a_run_that_has_only_its_protocols_path_keeps_the_content_once_it_goes_on(
    own_protocol: Path, tmp_path: Path
) -> None:
    train(pong(own_protocol), tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    settings = json.loads(path.read_text())
    settings["env"]["protocol"] = str(own_protocol)
    path.write_text(json.dumps(settings))
    load_policy(open_run(tmp_path / "run")).env.close()
    resume(tmp_path / "run", steps=12)
    own_protocol.unlink()
    resume(tmp_path / "run", steps=16)
    assert [session["protocol"]["name"] for session in open_run(tmp_path / "run").sessions()] == ["mine"] * 3


def contents(folder: Path) -> dict[str, bytes]:
    """Each file of a run but its lock."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def lack_tensorboard(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)


def refuse_the_agents_state(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: RandomAgent, state: State) -> None:
        raise UserError("it does not fit")

    monkeypatch.setattr(RandomAgent, "load_state_dict", refuse)


def damage_the_sessions(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "sessions.json").write_text("3")


@pytest.mark.parametrize("spoil", [lack_tensorboard, refuse_the_agents_state, damage_the_sessions])
def test_a_run_that_can_not_go_on_is_left_as_it_was(
    spoil: Callable[[Path, pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(RunConfig("random", RandomConfig(), EnvConfig("CartPole-v1"), 40, log_period=10), tmp_path)
    with open(tmp_path / "metrics.jsonl", "a") as file:  # as a kill after the checkpoint leaves it
        file.write('{"global_step": 50, "charts/SPS": 1.0}\n')
    spoil(tmp_path, monkeypatch)
    before = contents(tmp_path)
    with pytest.raises(UserError):
        resume(tmp_path, steps=80, track=TrackConfig("tensorboard"))
    assert contents(tmp_path) == before
