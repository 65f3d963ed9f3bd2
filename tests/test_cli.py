from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import tengen
import tengen.run
from tengen import presets, registry
from tengen.agents.dqn.config import DQNConfig
from tengen.cli import main
from tengen.cli.train_command import default_folder
from tengen.config import RunConfig, TrackConfig, run_config_from_dict
from tengen.device import resolve_device, resolve_threads
from tengen.run import RunResult, open_run

HEAVY = {"torch", "numpy", "gymnasium", "wandb", "rich", "numba", "stable_baselines3", "matplotlib", "typeguard", "PIL"}
TRAIN = "train random --env CartPole-v1 --device cpu --steps 20 --run-dir"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "mine"
    assert main([*TRAIN.split(), str(folder)]) == 0
    return folder


class Recorded:
    """Stands for training: remembers what it was asked for."""

    def __init__(self) -> None:
        self.config: Any = None
        self.folder: Any = None
        self.keywords: dict[str, Any] = {}
        self.signal: int | None = None

    def train(self, config: RunConfig, folder: Path, *, command: Sequence[str]) -> RunResult:
        self.config, self.folder, self.keywords = config, folder, {"command": command}
        return RunResult(folder, config.steps, self.signal is None, self.signal, {})

    def resume(self, folder: Path, **keywords: Any) -> RunResult:
        self.folder, self.keywords = folder, keywords
        return RunResult(folder, 20, self.signal is None, self.signal, {})


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recorded:
    recorded = Recorded()
    monkeypatch.setattr(tengen.run, "train", recorded.train)
    monkeypatch.setattr(tengen.run, "resume", recorded.resume)
    monkeypatch.chdir(tmp_path)
    return recorded


def train(recorded: Recorded, options: str | list[str], agent: str = "dqn", env: str = "CartPole-v1") -> RunConfig:
    words = options.split() if isinstance(options, str) else options
    assert main(["train", agent, "--env", env, "--device", "cpu", *words]) == 0
    config = recorded.config
    assert isinstance(config, RunConfig)
    return config


def modules_after(*arguments: str) -> set[str]:
    code = (
        "import sys; from tengen.cli import main; main(sys.argv[1:]); print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    # Measuring coverage would import a lot itself.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "COV_"))}
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=env)
    return set(done.stderr.split())


def test_the_top_level_help_imports_hardly_anything() -> None:
    assert not modules_after("--help") & {*HEAVY, "tyro", "dataclasses", "tengen.config", "tengen.registry"}


@pytest.mark.parametrize("command", ["train", "train dqn --env CartPole-v1", "evaluate", "play", "checkpoint", "list"])
def test_a_commands_help_imports_nothing_heavy(command: str) -> None:
    assert not modules_after(*command.split(), "--help") & HEAVY


def test_checkpoint_does_not_import_torch(trained: Path) -> None:
    assert "torch" not in modules_after("checkpoint", str(trained), "--json")


@pytest.mark.parametrize("command", ["", "train", "train dqn", "evaluate", "play", "checkpoint", "list"])
def test_help_ends_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    examples = capsys.readouterr().out.partition("examples:\n")[2].splitlines()
    assert examples
    for example in examples:
        assert example.startswith(f"  tengen {command.partition(' ')[0]}")


def test_the_help_of_an_agent_lists_each_of_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "dqn", "--help"])
    out = capsys.readouterr().out
    for field in dataclasses.fields(DQNConfig):
        assert f"--agent.{field.name.replace('_', '-')}" in out
    assert "Discount factor. (default: 0.99)" in out


def test_the_help_shows_the_presets_defaults_once_the_environment_is_known(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = presets.Preset("mine", "dqn", "Mine-v0", "a test", {"agent": {"gamma": 0.125}})
    monkeypatch.setattr(presets, "presets", lambda: {"mine": preset})

    def shown(*words: str) -> str:
        main(["train", "dqn", *words, "--help"])
        return capsys.readouterr().out

    assert "(default: mine)" in shown("--env", "Mine-v0")
    assert "Discount factor. (default: 0.125)" in shown("--env", "Mine-v0")
    assert "Discount factor. (default: 0.99)" in shown("--env", "Mine-v0", "--preset", "none")


def test_no_arguments_print_the_help_and_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: tengen COMMAND" in capsys.readouterr().out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tengen {tengen.__version__}\n"


@pytest.mark.parametrize(
    ("options", "path", "value"),
    [
        ("--steps 123", "steps", 123),
        ("--steps=123", "steps", 123),
        ("--steps 1_000", "steps", 1000),
        ("--steps 1 --steps 2", "steps", 2),
        ("--seed 7", "seed", 7),
        ("--num-envs 3", "env.num_envs", 3),
        ("--num_envs 3", "env.num_envs", 3),
        ("--checkpoint-period 5", "checkpoint_period", 5),
        ("--eval-period 6", "eval_period", 6),
        ("--eval-episodes 7", "eval_episodes", 7),
        ("--log-period 8", "log_period", 8),
        ("--threads 2", "threads", 2),
        ("--protocol machado2018", "env.protocol", "machado2018"),
        ("--env.action-mask", "env.action_mask", True),
        ("--env.no-action-mask", "env.action_mask", False),
        ("--env.action_mask true", "env.action_mask", True),
        ("--env.kwargs {a=1,b=[2]}", "env.kwargs", {"a": 1, "b": [2]}),
        ('--env.kwargs {"a":null}', "env.kwargs", {"a": None}),
        ("--track wandb", "track.to", "wandb"),
        ("--track.project p", "track.project", "p"),
        ("--track.entity e", "track.entity", "e"),
        ("--track.entity none", "track.entity", None),
        ("--track.group g", "track.group", "g"),
        ("--track.name n", "track.name", "n"),
        ("--track.tags a b", "track.tags", ("a", "b")),
        ("--track.tags a,b --seed 1", "track.tags", ("a", "b")),
        ("--track.tags a --seed 1 --track.tags=b --track.tags c d", "track.tags", ("a", "b", "c", "d")),
        ("--track.mode offline", "track.mode", "offline"),
        ("--track.video", "track.video", True),
        ("--agent.learning-rate 1e-3", "agent_config.learning_rate", 1e-3),
        ("--agent.learning_rate 1", "agent_config.learning_rate", 1.0),
        ("--agent.hidden 3 4", "agent_config.hidden", (3, 4)),
        ("--agent.hidden 3 4 --agent.hidden 5", "agent_config.hidden", (5,)),
        ("--agent.hidden", "agent_config.hidden", ()),
        ("--agent.replay none", "agent_config.replay", "none"),
        ("--agent.double", "agent_config.double", True),
        ("--agent.gradient-clip none", "agent_config.gradient_clip", None),
        ("--agent.reward-clip 1", "agent_config.reward_clip", 1.0),
        ("--agent.target polyak", "agent_config.target", "polyak"),
    ],
)
def test_an_option_reaches_its_setting(options: str, path: str, value: Any, recorded: Recorded) -> None:
    setting: Any = train(recorded, f"--preset none {options}")
    for name in path.split("."):
        setting = getattr(setting, name)
    assert setting == value
    assert type(setting) is type(value)


def test_every_setting_of_a_run_has_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "random", "--help"])
    out = capsys.readouterr().out
    for field in dataclasses.fields(RunConfig):
        name = field.name.replace("_", "-")
        assert f"--{name} " in out or field.name in ("agent", "agent_config")
    for field in dataclasses.fields(TrackConfig):
        name = field.name.replace("_", "-")
        assert f"--track.{name} " in out or f"--track.{name}," in out or name == "to"


def test_without_options_a_run_has_the_defaults(recorded: Recorded) -> None:
    config = train(recorded, "--preset none --env Blackjack-v1")
    assert config == RunConfig("dqn", DQNConfig(), dataclasses.replace(config.env, id="Blackjack-v1"))


def test_each_layer_of_settings_overrides_those_below(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Defaults < the variant's changes < the preset < the file < the command line."""
    changes = {"gamma": 0.1, "n_step": 2, "batch_size": 2, "learn_start": 2}
    monkeypatch.setitem(registry._BUILT_IN["agents"], "variant", registry.Variant("dqn", changes))
    settings = {"steps": 3, "seed": 3, "agent": {"n_step": 3, "batch_size": 3, "learn_start": 3}}
    preset = presets.Preset("mine", "variant", "CartPole-v1", "a test", settings)
    monkeypatch.setattr(presets, "presets", lambda: {"mine": preset})
    (tmp_path / "mine.toml").write_text("seed = 4\nlog_period = 4\n[agent]\nbatch_size = 4\nlearn_start = 4")
    config = train(recorded, "--config mine.toml --log-period 5 --agent.learn-start 5", agent="variant")
    agent = config.agent_config
    assert (config.eval_episodes, agent.epsilon_end) == (10, 0.05)  # defaults
    assert agent.gamma == 0.1  # the variant
    assert (config.steps, agent.n_step) == (3, 3)  # the preset
    assert (config.seed, agent.batch_size) == (4, 4)  # the file
    assert (config.log_period, agent.learn_start) == (5, 5)  # the command line
    assert (config.agent, config.preset) == ("variant", "mine")


def test_a_preset_is_chosen_by_itself_and_can_be_left_out(recorded: Recorded) -> None:
    assert train(recorded, "").preset == "dqn-cartpole"
    assert train(recorded, "--preset none").preset is None
    assert train(recorded, "--preset none").agent_config == DQNConfig()
    assert train(recorded, "--preset dqn-acrobot").preset == "dqn-acrobot"
    assert train(recorded, "", env="Blackjack-v1").preset is None


def test_a_file_can_name_the_agent_the_environment_and_the_preset(recorded: Recorded, tmp_path: Path) -> None:
    text = 'env = "CartPole-v1"\npreset = "none"\ntrack = "tensorboard"\n[agent]\nname = "dqn"\ngamma = 0.5'
    (tmp_path / "mine.toml").write_text(text)
    assert main(["train", "--config", "mine.toml", "--device", "cpu"]) == 0
    config = recorded.config
    assert (config.agent, config.env.id, config.preset, config.track.to) == ("dqn", "CartPole-v1", None, "tensorboard")
    assert config.agent_config == DQNConfig(gamma=0.5)


def test_the_command_line_is_recorded(recorded: Recorded) -> None:
    train(recorded, "--seed 3")
    assert recorded.keywords["command"] == [
        "tengen",
        "train",
        "dqn",
        "--env",
        "CartPole-v1",
        "--device",
        "cpu",
        "--seed",
        "3",
    ]


def test_a_run_gets_a_fresh_folder_unless_it_names_its_own(recorded: Recorded) -> None:
    assert train(recorded, "--run-dir here/mine")
    assert recorded.folder == Path("here/mine")
    config = train(recorded, "--seed 5", env="ALE/Pong-v5")
    assert recorded.folder.parent == Path("runs/ALE-Pong-v5/dqn")
    assert "-seed5-" in recorded.folder.name
    taken = [default_folder(config)]
    for _ in range(2):
        taken[-1].mkdir(parents=True)
        taken.append(default_folder(config))
    assert len(set(taken)) == 3


def test_a_resumed_run_changes_only_what_is_given(trained: Path, recorded: Recorded) -> None:
    assert main(["train", "--resume", str(trained)]) == 0
    keywords = recorded.keywords
    assert recorded.folder == trained
    assert (keywords["steps"], keywords["device"], keywords["track"]) == (None, None, None)
    assert main(["train", f"--resume={trained}", "--steps", "99", "--device", "cpu", "--track.group", "g"]) == 0
    keywords = recorded.keywords
    assert (keywords["steps"], keywords["device"]) == (99, "cpu")
    assert keywords["track"] == TrackConfig(group="g")
    assert keywords["command"][:2] == ["tengen", "train"]


def test_a_run_goes_on(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def step() -> int:
        assert main(["checkpoint", str(trained), "--json"]) == 0
        return int(json.loads(capsys.readouterr().out)["step"])

    before = step()
    assert main(["train", "--resume", str(trained), "--steps", str(before + 10)]) == 0
    capsys.readouterr()
    assert step() == before + 10


@pytest.mark.parametrize(("number", "name"), [(2, "SIGINT"), (15, "SIGTERM")])
def test_a_stopped_run_says_how_to_go_on(
    number: int, name: str, recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded.signal = number
    assert main(["train", "random", "--env", "CartPole-v1", "--device", "cpu", "--run-dir", "mine"]) == 128 + number
    err = capsys.readouterr().err
    assert f"stopped by {name}" in err
    assert "`tengen train --resume mine`" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_leaves_with_the_code_that_a_shell_expects(number: int, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = f"train random --env CartPole-v1 --device cpu --steps 1000000000 --run-dir {folder}"
    process = subprocess.Popen(
        [sys.executable, "-m", "tengen.cli", *command.split()], stderr=subprocess.PIPE, text=True
    )
    rows = folder / "metrics.jsonl"
    while not rows.exists() or not rows.stat().st_size:  # until it is under way
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"tengen train --resume {folder}" in err
    latest = open_run(folder).store.latest()
    assert latest is not None
    assert latest.step > 0


def test_evaluate_prints_one_object(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["evaluate", str(trained), "--episodes", "7", "--seed", "3", "--json"]) == 0
    out = capsys.readouterr().out
    result = json.loads(out)
    assert out.count("\n") == 1
    assert list(result) == [
        *("agent", "env", "step", "episodes", "seed", "return_mean", "return_std", "return_ci95"),
        *("return_min", "return_max", "length_mean"),
    ]
    assert (result["agent"], result["env"], result["episodes"], result["seed"]) == ("random", "CartPole-v1", 7, 3)
    assert result["return_min"] <= result["return_mean"] == result["length_mean"] <= result["return_max"]


def test_evaluate_prints_the_same_values_for_people(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["evaluate", str(trained), "--episodes", "2"]) == 0
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert lines["agent"] == "random"
    assert float(lines["return_mean"]) > 0


def test_evaluate_fails_below_the_wanted_return(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(trained), "--episodes", "2", "--min-return", "1"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(trained), "--episodes", "2", "--min-return", "475", "--json"]) == 1
    captured = capsys.readouterr()
    assert "is below 475" in captured.err
    assert json.loads(captured.out)["return_mean"] < 475


def test_evaluate_reports_atari_under_its_protocol(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "run")
    command = "train random --env ALE/Pong-v5 --device cpu --steps 8 --env.kwargs {evaluation_max_frames=200} --run-dir"
    assert main([*command.split(), folder]) == 0
    capsys.readouterr()
    assert main(["evaluate", folder, "--episodes", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["protocol"].startswith("nature2015")
    assert result["score_table"] == "dqn_zoo_30min"
    expected = (result["return_mean"] + 20.7) / (14.6 + 20.7)  # the table's random -20.7 and human 14.6
    assert result["human_normalized_mean"] == pytest.approx(expected)
    assert main(["evaluate", folder, "--episodes", "1", "--json", "--epsilon", "0.5"]) == 0
    assert "evaluation_epsilon=0.5" in json.loads(capsys.readouterr().out)["protocol"]


def test_checkpoint_prints_the_digest_of_the_latest_state(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["checkpoint", str(trained), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    latest = open_run(trained).store.latest()
    assert latest is not None
    assert (result["step"], result["state_sha256"]) == (latest.step, latest.digest())
    assert result["step"] in result["steps"]
    assert result["best_step"] is None
    assert main(["checkpoint", str(trained)]) == 0
    assert latest.digest() in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("agents", "dqn"),
        ("envs", "tengen/TicTacToe-v0"),
        ("agents", "rainbow"),
        ("envs", "MinAtar/<Game>-v1"),
        ("envs", "ALE/<Game>-v5"),
        ("presets", "dqn-cartpole"),
        ("protocols", "nature2015"),
        ("planners", None),
    ],
)
def test_list_names_what_there_is(kind: str, name: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", kind]) == 0
    text = capsys.readouterr().out
    assert main(["list", kind, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)[kind]
    assert name is None or (name in entries and name in text)


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tengen.cli", "list", "agents"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait() == 141
    process.stderr.close()


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    def train(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(tengen.run, "train", train)
    return main(["train", "random", "--env", "CartPole-v1", "--device", "cpu"])


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "x")) == 2
    err = capsys.readouterr().err
    assert "No space left on device" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("unable to allocate 9 PiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 9 GiB"),
        RuntimeError("Storage size calculation overflowed with sizes=[3000000000000, 1000000]"),
        ValueError("array is too big; `arr.size * arr.dtype.itemsize` is larger than the maximum possible size."),
    ],
)
def test_too_little_memory_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(monkeypatch, error) == 2
    err = capsys.readouterr().err
    assert err.startswith("tengen: error: out of memory (")
    assert "ask for less" in err
    assert err.count("\n") == 1


class Immeasurable(gym.Env[Any, Any]):
    """Whose reward is no finite number."""

    observation_space = action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return 0, float("inf"), True, False, {}


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # numpy's, of the difference of two infinities
def test_json_has_null_where_there_is_no_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def strict(text: str) -> Any:
        return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))

    gym.register("tengen_test/Immeasurable-v0", lambda **_: Immeasurable())
    run = tmp_path / "run"
    try:
        options = ["--steps", "20", "--eval-period", "10", "--eval-episodes", "2", "--run-dir", str(run)]
        assert main(["train", "random", "--env", "tengen_test/Immeasurable-v0", *options]) == 0
        capsys.readouterr()
        assert main(["evaluate", str(run), "--episodes", "2", "--json"]) == 0
        assert strict(capsys.readouterr().out)["return_mean"] is None
        assert None in strict((run / "summary.json").read_text())["last_eval"].values()
        assert main(["checkpoint", str(run), "--json"]) == 0
        assert strict(capsys.readouterr().out)["best_return_mean"] is None
    finally:
        del gym.registry["tengen_test/Immeasurable-v0"]


def test_an_interruption_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "tengen: error: interrupted\n"


@pytest.mark.parametrize("error", [RuntimeError("a bug"), FileNotFoundError(errno.ENOENT, "a bug")])
def test_a_bug_keeps_its_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(type(error), match="a bug"):
        failing(monkeypatch, error)


def test_a_message_of_several_lines_becomes_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(monkeypatch, tengen.UserError("one\n  two")) == 2
    assert capsys.readouterr().err == "tengen: error: one two\n"


@pytest.mark.parametrize(("found", "device"), [(0, "cpu"), (2, "cuda")])
def test_the_device_is_cuda_where_torch_sees_it(found: int, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: found > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    assert resolve_device("auto") == device
    assert resolve_device("cpu") == "cpu"
    if found:
        assert resolve_device("cuda:1") == "cuda:1"
    with pytest.raises(tengen.UserError, match=f"sees {found} CUDA devices"):
        resolve_device("cuda:2")


def test_a_run_takes_cuda_by_itself(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert main(["train", "dqn", "--env", "CartPole-v1", "--preset", "none"]) == 0
    assert recorded.config.device == "cuda"


def test_threads_are_those_asked_for_or_up_to_four() -> None:
    assert resolve_threads(7) == 7
    assert 1 <= resolve_threads(0) <= 4


def test_the_settings_are_saved_as_they_were_resolved(trained: Path) -> None:
    saved = json.loads((trained / "config.json").read_text())
    assert saved["device"] == "cpu"
    assert run_config_from_dict({name: value for name, value in saved.items() if name != "format"}).agent == "random"


def test_an_agent_without_torch_looks_for_no_device_and_imports_nothing_heavy(tmp_path: Path) -> None:
    script = f"""
import sys
from tengen.cli import main
words = "train q_learning --env FrozenLake-v1 --steps 9 --run-dir"
assert main([*words.split(), {str(tmp_path / "r")!r}]) == 0
heavy = {{"torch", "stable_baselines3", "wandb", "matplotlib", "ale_py", "tensorboard"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "r" / "config.json").read_text("utf-8"))["device"] == "cpu"


def test_a_variant_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "agents", "--json"]) == 0
    agents = json.loads(capsys.readouterr().out)["agents"]
    assert agents["rainbow"].startswith("Rainbow (Hessel et al. 2018")
    assert agents["dqn"].startswith("Deep Q-network")
