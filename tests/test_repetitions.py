"""Many runs at once are the runs that each would have been alone."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_helpers import digest, rows

from tengen.agents.tabular.config import QLearningConfig
from tengen.cli import main
from tengen.config import RunConfig
from tengen.envs import EnvConfig
from tengen.errors import UserError
from tengen.run import load_policy, open_run, resume, train
from tengen.run.repetitions import summed_up


def config(num_runs: int, steps: int = 2000, **settings: Any) -> RunConfig:
    given = {"checkpoint_period": 700, "log_period": 500, "seed": 5, "log_episodes": "mean", **settings}
    return RunConfig("q_learning", QLearningConfig(), EnvConfig("FrozenLake-v1"), steps, num_runs=num_runs, **given)


def test_a_repetition_is_the_run_of_its_own_seed_and_rows_are_means(tmp_path: Path) -> None:
    train(config(3), tmp_path / "all")
    saved = open_run(tmp_path / "all").store.latest()
    assert saved is not None
    alone = []
    for r in range(3):
        train(config(1, seed=5 + r), tmp_path / str(r))
        checkpoint = open_run(tmp_path / str(r)).store.latest()
        assert checkpoint is not None
        mine, theirs = saved.state()["agent"]["runs"][r], checkpoint.state()["agent"]
        np.testing.assert_array_equal(mine["learner"]["q"], theirs["learner"]["q"])
        assert mine["rng"] == theirs["rng"]
        alone.append(rows(tmp_path / str(r)))
    together = rows(tmp_path / "all")
    assert [row["global_step"] for row in together] == [500, 1000, 1500, 2000]
    for n, row in enumerate(together):
        returns = np.array([own[n]["charts/episodic_return"] for own in alone])
        assert row["charts/episodic_return"] == pytest.approx(returns.mean())
        assert row["charts/episodic_return_ci95"] == pytest.approx(1.96 * returns.std(ddof=1) / np.sqrt(3))


@pytest.mark.parametrize("period", [100, 0])
def test_a_repetition_of_several_environments_is_the_run_of_its_own_seed(tmp_path: Path, period: int) -> None:
    several = EnvConfig("FrozenLake-v1", num_envs=7)  # which does not divide what is done at a time
    train(replace(config(2, checkpoint_period=period), env=several), tmp_path / "all")
    together = open_run(tmp_path / "all").store.latest()
    assert together is not None
    assert together.step == 2002
    for r in range(2):
        train(replace(config(1, seed=5 + r, checkpoint_period=period), env=several), tmp_path / str(r))
        alone = open_run(tmp_path / str(r)).store.latest()
        assert alone is not None
        mine, own = together.state()["agent"]["runs"][r], alone.state()["agent"]
        assert (mine["num_steps"], mine["rng"]) == (own["num_steps"], own["rng"])
        np.testing.assert_array_equal(mine["learner"]["q"], own["learner"]["q"])


def test_repetitions_go_on_exactly_and_on_either_driver(tmp_path: Path) -> None:
    train(config(2), tmp_path / "through")
    train(config(2, steps=900, driver="python"), tmp_path / "cut")
    resume(tmp_path / "cut", steps=2000, driver="compiled")
    assert digest(tmp_path / "cut") == digest(tmp_path / "through")
    assert rows(tmp_path / "cut") == rows(tmp_path / "through")


def test_a_finished_run_that_goes_on_for_no_step_keeps_its_means(tmp_path: Path) -> None:
    summary = train(config(2), tmp_path).summary
    assert summary["last_means"]["charts/episodic_return"] == rows(tmp_path)[-1]["charts/episodic_return"]
    assert resume(tmp_path).summary == summary


def test_each_repetition_can_be_evaluated(tmp_path: Path) -> None:
    train(config(2), tmp_path)
    run = open_run(tmp_path)
    tables = [load_policy(run, repetition=r).policy.table for r in range(2)]  # type: ignore[attr-defined]
    assert not np.array_equal(tables[0], tables[1])
    with pytest.raises(UserError, match="--repetition must be from 0 to 1"):
        load_policy(run, repetition=2)


@pytest.mark.parametrize(("made", "said"), [(1, 2), (2, 1), (2, 3)])
def test_another_number_of_repetitions_than_was_made_is_refused(
    made: int, said: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config(made, steps=100), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace(f'"num_runs": {made}', f'"num_runs": {said}'))
    for command in (f"train --resume {tmp_path} --steps 200", f"evaluate {tmp_path}"):
        capsys.readouterr()
        assert main(command.split()) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert f"has num_runs {said}, but the checkpoint at step 100 holds {made}: set it back" in error


def test_a_repetition_without_an_episode_has_no_part_in_the_mean() -> None:
    first = [(10, {"charts/epsilon": 0.5, "charts/episodic_return": 4.0, "charts/SPS": 1.0})]
    second = [(10, {"charts/epsilon": 0.5, "charts/SPS": 1.0})]
    ((step, row),) = summed_up([first, second], 7.0)
    assert step == 10
    assert row == {
        "charts/epsilon": 0.5,
        "charts/episodic_return": 4.0,
        "charts/episodic_return_ci95": 0.0,
        "charts/SPS": 7.0,
    }


def test_the_command_line_reports_the_mean_and_its_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "q_learning", "--env", "FrozenLake-v1", "--steps", "2000", "--num-runs", "4"]
    assert main([*arguments, "--run-dir", str(tmp_path / "run"), "--preset", "none"]) == 0
    printed = capsys.readouterr()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["num_runs"] == 4
    assert f"return {summary['last_means']['charts/episodic_return']:.6g} +- " in printed.out
    assert "4 runs at once" in printed.err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"log_episodes": "each"}, "--log-episodes each is for one run"),
        ({"eval_period": 100}, "--eval-period 100 is for one run"),
        ({"num_runs": 0}, "--num-runs must be at least 1"),
    ],
)
def test_what_does_not_go_with_repetitions_is_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        train(replace(config(2), **settings), tmp_path / "run")
    assert not os.path.exists(tmp_path / "run")
