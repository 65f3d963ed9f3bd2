from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import dqn_learning
import pytest

pytestmark = pytest.mark.skipif(find_spec("minatar") is None, reason="needs the extra minatar")


def test_both_sides_are_trained_evaluated_alike_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "learning.csv"
    sizes = "--steps 160 --eval-period 80 --episodes 1 --seeds 0"
    dqn_learning.main([*sizes.split(), "--out", str(out)])
    points = dqn_learning.read(out)
    assert [(p.side, p.seed, p.step) for p in points] == [(s, 0, n) for s in ("sb3", "tengen") for n in (80, 160)]
    assert out.with_suffix(".png").stat().st_size > 1000
    before = out.read_text("utf-8")
    capsys.readouterr()
    dqn_learning.main([*sizes.split(), "--out", str(out)])
    assert out.read_text("utf-8") == before
    assert "seed 0:" not in capsys.readouterr().out  # nothing is trained twice


def made_up(job: dqn_learning.Job) -> list[dqn_learning.Point]:
    """Return what a run might give."""
    steps = range(job.eval_period, job.steps + 1, job.eval_period)
    return [dqn_learning.Point(job.env, job.side, job.seed, n, 1.0, 0.5, job.digest) for n in steps]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dqn_learning.Job]:
    """Do nothing that takes long; note what would have been trained."""
    jobs: list[dqn_learning.Job] = []

    def run(job: dqn_learning.Job) -> list[dqn_learning.Point]:
        jobs.append(job)
        return made_up(job)

    monkeypatch.setattr(dqn_learning, "run", run)
    monkeypatch.setattr(dqn_learning, "ProcessPoolExecutor", lambda *_: ThreadPoolExecutor(1))
    monkeypatch.setattr(dqn_learning, "mean_return", lambda *_: (0.0, 0.0))
    monkeypatch.setattr(dqn_learning, "draw", lambda points, path: None)
    return jobs


def test_the_csv_keeps_runs_of_other_games_lengths_and_settings(
    tmp_path: Path, trained: list[dqn_learning.Job], capsys: pytest.CaptureFixture[str]
) -> None:
    out, points = tmp_path / "learning.csv", []
    base = "--env MinAtar/Breakout-v1 --steps 160 --eval-period 80 --episodes 1 --seeds 0"
    changes = "", "--env MinAtar/Freeway-v1", "--steps 320", "--steps 80", "--eval-period 40", "--episodes 2"
    for change in changes:
        dqn_learning.main([*base.split(), *change.split(), "--out", str(out)])
        points += [point for job in trained[-2:] for point in made_up(job)]
        assert sorted(dqn_learning.read(out)) == sorted(points)
        assert capsys.readouterr().out.count("(1 seeds: [1.0])") == 2  # only runs of these settings are reported
    assert len(trained) == 2 * len(changes)
    before = out.read_bytes()
    for change in changes:
        dqn_learning.main([*base.split(), *change.split(), "--out", str(out)])
    assert len(trained) == 2 * len(changes)
    assert out.read_bytes() == before


def test_a_row_that_does_not_say_its_settings_is_kept_and_not_taken_for_done(
    tmp_path: Path, trained: list[dqn_learning.Job]
) -> None:
    out = tmp_path / "learning.csv"
    out.write_text("env,side,seed,step,return_mean,return_ci95\nMinAtar/Breakout-v1,sb3,0,80,2.0,0.5\n")
    sizes = "--steps 80 --eval-period 80 --episodes 1 --seeds 0"
    dqn_learning.main([*sizes.split(), "--out", str(out)])
    assert len(trained) == 2
    assert dqn_learning.read(out)[0] == ("MinAtar/Breakout-v1", "sb3", 0, 80, 2.0, 0.5, "")


def test_the_committed_results_are_those_of_the_default_settings() -> None:
    points = dqn_learning.read(Path(dqn_learning.__file__).parent / "results" / "dqn_learning.csv")
    job = dqn_learning.Job("MinAtar/Breakout-v1", "tengen", 0, 100_000, 10_000, 50)
    assert {point.settings for point in points} == {job.digest}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--steps 5000", "must be a multiple of 8 that divides --steps, got 10000 and 5000"),
        ("--steps 800 --eval-period 100", "must be a multiple of 8 that divides --steps, got 100 and 800"),
        ("--eval-period 0", "must be a whole number of at least 1"),
        ("--jobs 0", "must be a whole number of at least 1"),
    ],
)
def test_sizes_that_leave_nothing_to_report_are_refused(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        dqn_learning.main(arguments.split())
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_the_settings_are_those_of_the_preset() -> None:
    from tengen.config import check_settings, default_settings, from_short_names, lay_over, make_run_config
    from tengen.presets import get_preset

    preset = check_settings("dqn", from_short_names(get_preset("dqn-minatar").settings, "preset"), "preset")
    config = make_run_config("dqn", lay_over("dqn", default_settings("dqn"), preset))
    assert config.agent_config == dqn_learning.settings(1_000_000)
    assert config.env.num_envs == dqn_learning.NUM_ENVS
