"""`tengen inspect`: a picture of a run, or a clear line."""

from __future__ import annotations

import errno
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from inspect_helpers import CAR, LAKE, POLE, SPAN, WITHOUT_VALUES, built, random_table, subject, with_table
from matplotlib.figure import Figure

from tengen.cli import main
from tengen.config import RunConfig, default_settings, make_run_config
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.evaluation import picture_file
from tengen.evaluation.drawing import plain, save
from tengen.evaluation.inspection import draw
from tengen.evaluation.inspection.table_figure import MOST_STATES
from tengen.registry import names, resolve_agent
from tengen.run import load_policy, open_run, train
from tengen.run.untrained import save_untrained


def saved(name: str, env: EnvConfig, folder: Path, **settings: Any) -> RunConfig:
    """A run of an agent at its step 0."""
    defaults = default_settings(name)
    config = make_run_config(name, {**defaults, "env": vars(env), "agent_config": defaults["agent_config"] | settings})
    made = make_env(env, training=True)
    agent = config.agent_config.build(made.spec, np.random.default_rng(0), "cpu")
    save_untrained(config, folder, agent, made, summary={})
    return config


@pytest.mark.parametrize("name", sorted({*names("agents")} - WITHOUT_VALUES))
def test_a_run_of_every_agent_that_knows_values_can_be_inspected(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = make_env(LAKE, training=False).spec
    env = CAR if resolve_agent(name)[0].refusal(spec) else LAKE
    saved(name, env, tmp_path / "run")
    assert main(["inspect", str(tmp_path / "run")]) == 0
    path = tmp_path / "run" / "inspect-0.png"
    assert capsys.readouterr().out == f"{path}\n"
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", sorted(WITHOUT_VALUES))
def test_a_run_without_values_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = resolve_agent(name)[0].refusal(make_env(POLE, training=False).spec)
    saved(name, EnvConfig("tengen/TicTacToe-v0") if refused else POLE, tmp_path / "run")
    assert main(["inspect", str(tmp_path / "run")]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"tengen: error: {name} has no table of values to be drawn")
    assert message.count("\n") == 1


@pytest.mark.parametrize("env", ["Blackjack-v1", "tengen/AccessControl-v0"])
def test_a_policy_without_values_or_preferences_is_refused(
    env: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved("reinforce", EnvConfig(env), tmp_path / "run", baseline=False)
    assert main(["inspect", str(tmp_path / "run")]) == 2
    assert "reinforce has no preference in any state yet, and tells no values" in capsys.readouterr().err


def test_a_part_of_one_bin_is_drawn(recwarn: pytest.WarningsRecorder) -> None:
    figure = draw(with_table(CAR, random_table(10, 3), discretiser="uniform", bins=(1, 10)))
    picture = figure.axes[0]
    left, right, low, high = picture.images[0].get_extent()
    assert right - left == 1.0
    assert high > low
    assert not [warning for warning in recwarn if "identical" in str(warning.message)]


def test_repetitions_and_checkpoints_are_chosen_as_in_evaluate(tmp_path: Path) -> None:
    defaults = default_settings("q_learning")
    settings = {**defaults, "env": vars(LAKE), "steps": 400, "checkpoint_period": 200, "num_runs": 2}
    train(make_run_config("q_learning", settings), tmp_path / "run")
    run = open_run(tmp_path / "run")

    def picture(*more: str) -> bytes:
        path = tmp_path / "picture.svg"
        assert main(["inspect", str(run.folder), "--out", str(path), *more]) == 0
        return path.read_bytes()

    files = {(step, r): picture("--checkpoint", step, "--repetition", r) for step in ("200", "400") for r in "01"}
    assert files["400", "0"] == picture()
    assert len(set(files.values())) == 4
    assert "400 steps · gamma 0.99 · repetition 1 of 0 to 1" in files["400", "1"].decode()
    policies = [load_policy(run, "latest", repetition=r).policy for r in (0, 1)]
    assert not np.array_equal(*(policy.table for policy in policies))  # type: ignore[attr-defined]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_run_gives_the_same_file_whatever_the_users_style_and_the_time(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = with_table(LAKE, random_table(16, 4))
    files = []
    for number, colour in enumerate(("white", "red")):
        path = tmp_path / f"{number}{suffix}"
        monkeypatch.setenv("SOURCE_DATE_EPOCH", f"{1_000_000_000 + number}")
        with mpl.rc_context({"axes.facecolor": colour, "figure.facecolor": colour, "font.size": 20.0}), plain():
            save(draw(told), path)
        files.append(path.read_bytes())
    assert files[0] == files[1]


def test_a_file_that_can_not_be_written_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(picture_file, "replace", full)
    with pytest.raises(UserError, match=r"picture\.png' can't be written: No space left on device"):
        save(Figure(), path)
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("picture.gif", "a picture's file must end in .png, .pdf or .svg, got "),
        ("picture", "a picture's file must end in .png, .pdf or .svg, got "),
        ("nowhere/picture.png", "the folder of "),
        ("folder.png", "is a folder: name a file"),
    ],
)
def test_a_wrong_file_is_refused_in_a_line(
    out: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.png").mkdir()
    saved("q_learning", LAKE, tmp_path / "run")
    assert main(["inspect", str(tmp_path / "run"), "--out", str(tmp_path / out)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--checkpoint", "best"), "has no best checkpoint"),
        (("--checkpoint", "soon"), "--checkpoint must be latest, best or a step's number"),
        (("--repetition", "1"), "--repetition must be from 0 to 0"),
        (("--step", "1"), "there is no option --step"),
    ],
)
def test_a_wrong_choice_is_refused_in_a_line(
    more: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved("q_learning", LAKE, tmp_path / "run")
    assert main(["inspect", str(tmp_path / "run"), *more]) == 2
    assert message in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "nothing")]) == 2
    assert "is not a run" in capsys.readouterr().err


def test_too_large_a_table_is_refused() -> None:
    agent = built("q_learning", POLE, discretiser="uniform", bins=(2,), **SPAN)
    side = math.ceil(MOST_STATES**0.25) + 1
    object.__setattr__(agent.policy().states, "sizes", (side,) * 4)
    with pytest.raises(UserError, match=f"the table of CartPole-v1 has {side**4:,} states, and a picture can show"):
        draw(subject(agent, POLE))


def test_the_help_is_quick() -> None:
    code = "import sys\nfrom tengen.cli import main\nmain(['inspect', '--help'])\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert not {"matplotlib", "numpy", "numba", "gymnasium", "torch"} & set(done.stderr.split())


def test_the_help_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--help"]) == 0
    shown = capsys.readouterr().out
    for word in ("--out", "--checkpoint", "--repetition", "tengen inspect runs/mine"):
        assert word in shown
