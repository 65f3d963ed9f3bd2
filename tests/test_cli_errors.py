"""Whatever a user gets wrong: one line on standard error that says what and what to do, exit code 2, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import pytest
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv

from tengen.cli import main

TRAIN = "train random --env CartPole-v1 --device cpu --steps 20"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "mine"
    assert main([*TRAIN.split(), "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "mine"))


Check = Callable[..., None]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()

    def check(command: str | list[str], *fragments: str) -> None:
        code = main(command.split() if isinstance(command, str) else command)
        out, err = capsys.readouterr()
        assert err.startswith("tengen: error: "), err
        assert err.count("\n") == 1, err
        assert out == ""
        assert code == 2
        for fragment in fragments:
            assert fragment in err

    return check


@pytest.mark.parametrize(
    ("command", "fragments"),
    [
        ("trian dqn", ["'trian'", "Did you mean 'train'?"]),
        ("--hepl", ["'--hepl'", "tengen --help"]),
        ("train", ["say which agent", "dqn, dyna_q", "--resume RUN"]),
        ("train --env CartPole-v1 dqn", ["say which agent", "first of all"]),
        ("train dqnn --env CartPole-v1", ["'dqnn'", "Did you mean 'dqn'?"]),
        ("train dqn", ["--env is missing", "tengen train dqn --env CartPole-v1"]),
        ("train dqn CartPole-v1", ["unexpected argument 'CartPole-v1'", "tengen train dqn --help"]),
        (f"{TRAIN} --env CartPoel-v1", ["'CartPoel-v1'", "Did you mean 'CartPole-v1'?", "tengen list envs"]),
        (f"{TRAIN} --env ALE/Brakeout-v5", ["'ALE/Brakeout-v5'", "Did you mean 'ALE/Breakout-v5'?"]),
        (f"{TRAIN} --env Taxi-v3", ["'Taxi-v3'", "Taxi-v4"]),
        (f"{TRAIN} --env no_such_module:Env-v0", ["'no_such_module'", "can't be imported"]),
        (f"{TRAIN} --steps many", ["--steps must be a whole number", "'many'"]),
        (f"{TRAIN} --steps 1.5", ["--steps must be a whole number", "'1.5'"]),
        (f"{TRAIN} --steps", ["--steps needs a value", "a whole number"]),
        (f"{TRAIN} --steps -5", ["--steps must be at least 1", "-5"]),
        (f"{TRAIN} --seed -1", ["--seed must not be negative", "-1"]),
        (f"{TRAIN} --num-envs 0", ["number of environments must be at least 1", "0"]),
        (f"{TRAIN} --num-envs {10**12}", ["number of environments must be at most 65536", str(10**12)]),
        (f"{TRAIN} --num-runs {10**12}", ["--num-runs must be at most 65536", str(10**12)]),
        (f"{TRAIN} --checkpoint-period -1", ["--checkpoint-period must not be negative", "-1"]),
        (f"{TRAIN} --threads -2", ["--threads must not be negative", "-2"]),
        (f"{TRAIN} --step 5", ["there is no option --step.", "Did you mean '--steps'?"]),
        (f"{TRAIN} -s 5", ["there is no option -s.", "tengen train random --help"]),
        (f"{TRAIN} --device gpu", ["--device must be auto, cpu, cuda or cuda:N", "'gpu'"]),
        (f"{TRAIN} --device cpu:1", ["--device must be auto, cpu, cuda or cuda:N", "'cpu:1'"]),
        (f"{TRAIN} --device cuda:99", ["cuda:99", "--device auto or cpu"]),
        (f"{TRAIN} --track wanbd", ["--track must be 'none', 'wandb' or 'tensorboard'", "'wanbd'"]),
        (f"{TRAIN} --track.video maybe", ["unexpected argument 'maybe'"]),
        (f"{TRAIN} --track.video=maybe", ["--track.video must be true or false", "'maybe'"]),
        (f"{TRAIN} --env.kwargs difficulty", ["--env.kwargs must be a table", "'difficulty'"]),
        (f"{TRAIN} --env.kwargs {'[' * 100_000}", ["--env.kwargs must be a table"]),
        (f"{TRAIN} --env.kwargs {{colour=1}}", ["CartPole-v1", "colour=1"]),
        (f"{TRAIN} --protocol nature2015", ["CartPole-v1", "'nature2015'", "leave --protocol out"]),
        (f"{TRAIN} --env ALE/Pong-v5 --protocol nature", ["'nature'", "Did you mean 'nature2015'?"]),
        (f"{TRAIN} --preset dqn-cartpol", ["'dqn-cartpol'", "Did you mean 'dqn-cartpole'?"]),
        (f"{TRAIN} --preset dqn-cartpole", ["dqn-cartpole", "is for dqn, not for random"]),
        (f"{TRAIN} --config nowhere.toml", ["nowhere.toml", "can't be read"]),
        (f"{TRAIN} --agent.gamma 0.5", ["there is no option --agent.gamma"]),
        ("train dqn --env CartPole-v1 --agent.gama 0.5", ["--agent.gama.", "Did you mean '--agent.gamma'?"]),
        ("train dqn --env CartPole-v1 --agent.gamma 1.5", ["agent.gamma must be between 0 and 1", "1.5"]),
        ("train dqn --env CartPole-v1 --agent.hidden 64,x", ["--agent.hidden must be a list", "'64,x'"]),
        (
            "train dqn --env CartPole-v1 --agent.optimizer sgd",
            ["--agent.optimizer must be 'adam' or 'rmsprop'", "'sgd'"],
        ),
        ("train dqn --env Pendulum-v1 --device cpu", ["Pendulum-v1", "Box(", "discrete", "Agents that could"]),
        (
            "train q_learning --env CartPole-v1 --preset none",
            ["keeps a table", "Box(", "--agent.discretiser uniform", "--agent.bins"],
        ),
        ("train q_learning --env FrozenLake-v1 --agent.gamma 1.5", ["agent.gamma must be between 0 and 1", "1.5"]),
        ("train q_learning --env FrozenLake-v1 --agent.step-size -0.1", ["agent.step_size must be", "-0.1"]),
        (f"{TRAIN} --seed {2**63}", ["seed must be below 2**63", str(2**63)]),
        (
            f"train dyna_q --env FrozenLake-v1 --agent.planning-steps {2**70}",
            ["agent.planning_steps must be below 2**63", str(2**70)],
        ),
        (f"train q_learning --env CartPole-v1 --agent.bins 3 {2**64}", ["agent.bins must be below 2**63"]),
        ("train q_learning --env Pendulum-v1", ["a table needs a discrete action space", "Pendulum-v1"]),
        ("train planned --env CartPole-v1", ["needs an environment with transition tables", "CartPole-v1 has none"]),
        (
            "train td --env FrozenLake-v1 --agent.policy nowhere",
            ["must be random, optimal or the", "'nowhere'"],
        ),
        ("train semi_gradient_sarsa --env FrozenLake-v1", ["tile coding needs Box observations", "Discrete(16)"]),
        ("train q_learning --env CartPole-v1 --driver compiled", ["--driver compiled can't be had", "CartPole-v1"]),
        ("train --resume nowhere", ["nowhere is not a run", "config.json"]),
        ("train --resume", ["--resume needs a value"]),
        ("train --resume --steps 5", ["--resume needs a value"]),
        ("evaluate nowhere", ["nowhere is not a run"]),
        ("evaluate", ["RUN is missing", "tengen evaluate runs/mine"]),
        ("evaluate nowhere --episodes 0", ["--episodes must be at least 1"]),
        ("evaluate nowhere --min-return nan", ["--min-return must be a number", "nan"]),
        (
            f"sweep random --env CartPole-v1 --steps 9 --trials {10**20} --field seed=uniform(0,9)",
            ["--trials must be at most 100000", str(10**20)],
        ),
        (
            f"compare --env CartPole-v1 --agents random --steps 9 --seeds {10**20}",
            ["--seeds must be at most 10000", str(10**20)],
        ),
        (f"match random random --size 5 --games {10**20}", ["--games must be from 1 to 1000000", str(10**20)]),
        ("evaluate nowhere --epsilon 2", ["--epsilon must be between 0 and 1"]),
        ("evaluate nowhere --seed -1", ["--seed must be between 0 and", "-1"]),
        (f"evaluate nowhere --seed {2**63}", ["--seed must be between 0 and", str(2**63)]),
        (f"evaluate nowhere --seed {2**63 - 9} --episodes 9", [f"--seed must be between 0 and {2**63 - 10}"]),
        ("play nowhere --seed -1", ["--seed must be between 0 and", "-1"]),
        (f"play nowhere --seed {2**63}", ["--seed must be between 0 and", str(2**63)]),
        ("checkpoint nowhere", ["nowhere is not a run"]),
        ("play nowhere", ["nowhere is not a run"]),
        (f"{TRAIN} --env.kwargs {{a=2020-01-01}}", ["env.kwargs.a must be", "2020-01-01"]),
        ("plan value_iteration --env FrozenLake-v1 --env.kwargs {a=2020-01-01}", ["env.kwargs.a", "2020-01-01"]),
        ("list agent", ["KIND must be 'agents', 'envs'", "'agent'"]),
        ("list", ["KIND is missing", "tengen list agents"]),
    ],
)
def test_bad_input_gets_one_line_that_says_what_to_do(command: str, fragments: list[str], refused: Check) -> None:
    refused(command, *fragments)
    assert not Path("runs").exists(), "a run was begun"


@pytest.mark.parametrize("command", ["plan value_iteration", "train q_learning"])
def test_tables_that_do_not_sum_to_one_are_refused(command: str, refused: Check) -> None:
    class Leaky(FrozenLakeEnv):
        def __init__(self) -> None:
            super().__init__()
            self.P[3][1] = [(0.5, 0, 0.0, False), (0.2, 1, 0.0, False)]

    gym.register("Leaky-v0", entry_point=lambda **_: Leaky(), max_episode_steps=100)
    try:
        refused(f"{command} --env Leaky-v0", "Leaky-v0 has no valid transition tables", "action 1 in state 3", "0.7")
    finally:
        del gym.registry["Leaky-v0"]
    assert not Path("runs").exists(), "a run was begun"


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("steps = = 3", ["mine.toml", "not TOML", "line 1"]),
        ("stepps = 3", ["mine.toml", "'stepps'", "Did you mean 'steps'?"]),
        ("steps = '3'", ["mine.toml", "steps must be a whole number", "'3'"]),
        ("steps = true", ["mine.toml", "steps must be a whole number", "true"]),
        ("steps = -3", ["--steps must be at least 1", "-3"]),
        ("env = 3", ["mine.toml", "env.id must be a text", "3"]),
        ("env = 'CartPole-v1'\n[track]\nto = 'wanbd'", ["mine.toml", "track.to must be", "'wanbd'"]),
        ("[env]\nidd = 'CartPole-v1'", ["mine.toml", "'env.idd'", "Did you mean 'id'?"]),
        ("[agent]\ngama = 0.5", ["mine.toml", "'agent.gama'", "Did you mean 'gamma'?"]),
        ("[agent]\ngamma = 'high'", ["mine.toml", "agent.gamma must be a number", "'high'"]),
        ("[agent]\nhidden = [64, 'x']", ["mine.toml", "agent.hidden must be a list", "[64, 'x']"]),
        ("num_envs = 2\n[env]\nnum_envs = 3", ["mine.toml", "env.num_envs is given twice"]),
        ("preset = 3", ["mine.toml", "preset must be"]),
        ("[env]\nkwargs = {a = {b = [1, 2020-01-01]}}", ["env.kwargs.a.b must be", "date 2020-01-01"]),
        ("[env]\nkwargs = {a = 12:30:00}", ["env.kwargs.a must be a number, a text,", "time 12:30:00"]),
        ("[env]\nkwargs = {a = nan}", ["env.kwargs.a must be a number", "nan"]),
        ("[agent_config]\ngamma = 0.5", ["mine.toml", "'agent_config'", "Did you mean 'agent'?"]),
    ],
)
def test_a_bad_settings_file_is_named(text: str, fragments: list[str], refused: Check) -> None:
    Path("mine.toml").write_text(text)
    refused("train dqn --env CartPole-v1 --device cpu --config mine.toml", *fragments)


def test_a_settings_file_in_another_encoding_is_refused(refused: Check) -> None:
    Path("mine.toml").write_bytes(b"steps = '\xff'")
    refused(f"{TRAIN} --config mine.toml", "mine.toml", "not TOML")


def test_the_folder_of_another_run_is_refused(run: Path, refused: Check) -> None:
    refused(f"{TRAIN} --run-dir {run}", str(run), "another run", f"--resume {run}")


def test_a_folder_with_other_files_is_refused(tmp_path: Path, refused: Check) -> None:
    (tmp_path / "thesis.tex").write_text("!")
    refused(f"{TRAIN} --run-dir {tmp_path}", str(tmp_path), "other files", "choose another --run-dir")
    assert (tmp_path / "thesis.tex").read_text() == "!"


def test_a_folder_that_can_not_be_written_is_refused(tmp_path: Path, refused: Check) -> None:
    (tmp_path / "file").write_text("")  # permissions would not stop root
    refused(f"{TRAIN} --run-dir {tmp_path}/file/run", "file/run", "can't be written", "--run-dir")


def test_a_run_without_a_checkpoint_is_refused(run: Path, refused: Check) -> None:
    shutil.rmtree(run / "checkpoints")
    for command in ("evaluate", "checkpoint", "play"):
        refused(f"{command} {run}", "no checkpoint yet", f"tengen train --resume {run}")


@pytest.mark.parametrize(
    ("damage", "fragments"),
    [
        (lambda text: text[: len(text) // 2], ["can't be read"]),
        (lambda text: "[]", ["not a run's settings"]),
        (lambda text: json.dumps({**json.loads(text), "format": 99}), ["format"]),
        (lambda text: json.dumps({**json.loads(text), "agent": "nobody"}), ["'nobody'"]),
        (lambda text: json.dumps({**json.loads(text), "agent": 3}), ["agent must be a text", "3"]),
        (lambda text: json.dumps({**json.loads(text), "steps": "x"}), ["steps must be a whole number"]),
        (lambda text: json.dumps({**json.loads(text), "steps": -1}), ["at least 1"]),
        (lambda text: json.dumps({**json.loads(text), "colour": 1}), ["no setting 'colour'"]),
        (lambda text: json.dumps({**json.loads(text), "env": None}), ["env must be a table"]),
        (lambda text: text.replace('"agent"', '"agint"'), ["'agent' is missing"]),
    ],
)
def test_damaged_settings_of_a_run_are_refused(
    damage: Callable[[str], str], fragments: list[str], run: Path, refused: Check
) -> None:
    path = run / "config.json"
    path.write_text(damage(path.read_text()))
    for command in (f"evaluate {run}", f"checkpoint {run}", f"train --resume {run}"):
        refused(command, "config.json", *fragments)


def test_the_greatest_seed_is_taken_and_the_next_is_refused(
    run: Path, refused: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (f"evaluate {run} --episodes 3 --num-envs 2 --json", f"play {run} --episodes 3"):
        refused(f"{command} --seed {2**63}", "--seed must be between 0 and ")
        greatest = 2**63 - 3 - (2 if "evaluate" in command else 1)
        refused(f"{command} --seed {greatest + 1}", f"--seed must be between 0 and {greatest},")
        assert main([*command.split(), "--seed", str(greatest)]) == 0
        capsys.readouterr()


@pytest.mark.parametrize(
    ("checkpoint", "fragment"),
    [("7", "step 7"), ("newest", "latest, best or"), ("-3", "latest, best or"), ("best", "best")],
)
def test_an_unknown_checkpoint_is_refused(checkpoint: str, fragment: str, run: Path, refused: Check) -> None:
    refused(f"evaluate {run} --checkpoint {checkpoint}", fragment)


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        ("--seed 3", ["--seed can't change", "--steps, --device, --driver and --track*"]),
        ("--env Acrobot-v1", ["--env can't change"]),
        ("--num-envs 2", ["--num-envs can't change"]),
        ("--preset none", ["--preset can't change"]),
        ("--run-dir elsewhere", ["--run-dir can't change"]),
        ("--steps 10", ["is at step 20 already", "--steps must be larger"]),
        ("--steps 0", ["--steps must be at least 1"]),
        ("--colour red", ["there is no option --colour"]),
        ("random", ["unexpected argument 'random'"]),
    ],
)
def test_what_can_not_change_when_a_run_goes_on_is_refused(
    options: str, fragments: list[str], run: Path, refused: Check
) -> None:
    refused(f"train --resume {run} {options}", *fragments)


def test_another_agent_is_refused_when_a_run_goes_on(run: Path, refused: Check) -> None:
    refused(f"train dqn --resume {run}", "its own agent, random", "leave 'dqn' out")


def test_a_missing_extra_is_named(refused: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "Box2D", None)  # as if it were not installed
    refused("train dqn --env LunarLander-v3 --device cpu", "LunarLander-v3", "pip install tengen[box2d]")


def test_an_environment_without_masks_is_refused_at_its_first_reset_and_leaves_no_folder(
    refused: Check, tmp_path: Path
) -> None:
    refused(f"{TRAIN} --env.action-mask --run-dir {tmp_path}/run", "CartPole-v1 gives no info['action_mask']")
    refused(f"{TRAIN} --env.action-mask", "CartPole-v1 gives no info['action_mask']")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_torch_compile_without_a_compiler_is_refused_before_a_run_is_made_or_gone_on_with(tmp_path: Path) -> None:
    def tengen(command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"), **environ}
        arguments = [sys.executable, "-m", "tengen.cli", *command.split()]
        return subprocess.run(arguments, capture_output=True, text=True, env=environ, check=False)

    run, bare = tmp_path / "run", {"PATH": str(tmp_path), "CXX": "g++"}
    train = f"train rainbow --env CartPole-v1 --preset none --steps 20 --device cpu --agent.compile --run-dir {run}"
    for command in (train, f"train --resume {run} --steps 40"):
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        done = tengen(command, **bare)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("tengen: error: agent.compile can't be had here: torch.compile finds no C++")
        assert done.stderr.count("\n") == 1
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
        assert run.exists() == ("--resume" in command)
        if not run.exists():
            assert tengen(train).returncode == 0  # where there is one
    assert tengen(f"evaluate {run} --episodes 1", **bare).returncode == 0, "acting compiles nothing"


def test_a_film_in_another_format_is_refused(run: Path, refused: Check) -> None:
    refused(f"play {run} --out film.avi", ".gif or .mp4", "'film.avi'")


def test_a_film_into_a_missing_folder_is_refused(run: Path, refused: Check) -> None:
    refused(f"play {run} --out nowhere/film.gif", "nowhere/film.gif", "make it first")


@pytest.mark.parametrize("command", ["train dqn --env CartPole-v1 --steps x", "evaluate nowhere"])
def test_a_process_ends_with_code_2_and_no_traceback(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tengen.cli", *command.split()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("tengen: error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "random", "--env", "./mine:My-v0"], "names './mine', which is no module"),
        (["train", "random", "--env", "CartPole-v1", "--run-dir", "a" * 300], "File name too long"),
        (["evaluate", "a" * 300], "File name too long"),
        (["train", "q_learning", "--env", "ALE/Pong-v5"], "would have 10^"),
        (["train", "random", "--env", "CartPole-v1", "--threads", "3000000000"], "--threads must be at most 1024"),
        (["train", "random", "--env", "CartPole-v1", "--eval-episodes", "9" * 18], "--eval-episodes must be at most"),
        (["evaluate", "run", "--episodes", "9" * 18], "--episodes must be at most 1000000000"),
        (["train", "--resume", "run", "--steps", "9" * 22], "--steps must be"),
    ],
)
def test_what_can_not_be_is_refused_in_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "random", "--env", "CartPole-v1", "--steps", "20", "--run-dir", "run"]) == 0
    before = (tmp_path / "run" / "config.json").read_bytes()
    capsys.readouterr()
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert (tmp_path / "run" / "config.json").read_bytes() == before


def test_a_finished_run_of_several_environments_may_be_told_its_own_steps(tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    assert main(["train", "random", "--env", "CartPole-v1", "--num-envs", "3", "--steps", "100", "--run-dir", run]) == 0
    assert main(["train", "--resume", run, "--steps", "100"]) == 0
    assert main(["train", "--resume", run, "--steps", "99"]) == 2
