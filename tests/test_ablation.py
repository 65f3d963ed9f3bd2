"""`benchmarks/dqn_ablation.py`: an arm lacks one thing and nothing else, and a run is done once."""

from __future__ import annotations

import csv
import dataclasses
import math
from pathlib import Path
from typing import Any

import dqn_ablation
import numpy as np
import pytest
from _ablation_tasks import TASKS
from dqn_ablation import (
    Job,
    Row,
    complete,
    interval,
    main,
    read_rows,
    return_panels,
    run,
    summary,
    value_panels,
    wanted,
    write_csv,
)
from PIL import Image

from tengen.envs import EnvConfig, make_env
from tengen.loop import interact

REPLAY, TARGET = ("replay", "uniform", "none"), ("target", "periodic", "none")
CLIP, LOSS = ("reward_clip", 1.0, None), ("loss", "huber", "squared")
LACKS = {
    "dqn": set(),
    "no_replay": {REPLAY},
    "no_target": {TARGET},
    "no_clipping": {CLIP},
    "none": {REPLAY, TARGET, CLIP},
    "pop_art": {CLIP, ("pop_art", False, True)},
    "squared_unclipped": {CLIP, LOSS},
}


def job(task: str = "hundreds", arm: str = "dqn", seed: int = 0, steps: int = 400) -> Job:
    return Job(TASKS[task].quick(steps), arm, seed, episodes=2)


# --- The arms ---


@pytest.mark.parametrize(("task", "arm"), [(name, arm) for name, task in TASKS.items() for arm in task.arms])
def test_an_arm_differs_from_dqn_in_what_it_lacks_and_in_nothing_else(task: str, arm: str) -> None:
    whole, part = (dataclasses.asdict(Job(TASKS[task], name, 0).config) for name in ("dqn", arm))
    assert {(name, whole[name], part[name]) for name in whole if whole[name] != part[name]} == LACKS[arm]


def test_the_tasks_differ_in_one_thing() -> None:
    plain, squared, scaled = (TASKS[name] for name in ("cartpole", "squared", "hundreds"))
    assert dataclasses.replace(squared, name=plain.name, title=plain.title, settings=plain.settings) == plain
    assert {**plain.settings, "loss": "squared"} == squared.settings
    assert scaled.settings == plain.settings
    assert (scaled.steps, scaled.eval_period) == (plain.steps, plain.eval_period)
    assert scaled.scores == tuple(100 * score for score in plain.scores)


@pytest.mark.parametrize(("arm", "rewards"), [("dqn", {1.0}), ("no_clipping", {100.0}), ("pop_art", {100.0})])
def test_without_clipping_the_agent_learns_from_rewards_of_100(arm: str, rewards: set[float]) -> None:
    env = make_env(TASKS["hundreds"].env, training=True)
    agent = job(arm=arm).config.build(env.spec, np.random.default_rng(0), "cpu")
    for tick in interact(agent, env, 60, seed=0):
        assert set(tick.next_step.reward) == {100.0}
    batch: Any = agent.replay.sample(50)
    assert set(batch.reward.tolist()) == rewards


def test_clipped_rewards_make_the_two_tasks_one_to_the_agent() -> None:
    plain, scaled = run(job("cartpole")), run(job("hundreds"))
    assert [100 * row.return_mean for row in plain] == [row.return_mean for row in scaled]
    assert [row.value_mean for row in plain] == [row.value_mean for row in scaled]
    assert plain[-1].value_mean != run(job("hundreds", "no_clipping"))[-1].value_mean


def test_the_runs_of_a_seed_stand_side_by_side() -> None:
    jobs = list(wanted(["cartpole", "hundreds"], None, [3, 5], quick=False))
    assert [(job.task.name, job.seed) for job in jobs] == sorted((job.task.name, job.seed) for job in jobs)
    assert [job.arm for job in jobs if job.task.name == "hundreds" and job.seed == 3] == list(TASKS["hundreds"].arms)


# --- What is written ---


def test_the_command_writes_each_evaluation_a_summary_and_a_light_picture(tmp_path: Path) -> None:
    main(["--quick", "--seeds", "0", "1", "--task", "hundreds", "--only", "dqn", "no_replay", "--out", str(tmp_path)])
    rows = list(csv.DictReader((tmp_path / "dqn_ablation.csv").read_text().splitlines()))
    assert [(row["arm"], row["seed"], row["step"]) for row in rows] == [
        (arm, seed, step) for arm in ("dqn", "no_replay") for seed in "01" for step in ("300", "600")
    ]
    assert all(100 <= float(row["return_mean"]) <= 100 * 200 for row in rows)
    lines = list(csv.DictReader((tmp_path / "dqn_ablation_summary.csv").read_text().splitlines()))
    assert [(line["arm"], line["changes"], line["seeds"], line["steps"]) for line in lines] == [
        ("dqn", "", "2", "600"),
        ("no_replay", "replay none", "2", "600"),
    ]
    with Image.open(tmp_path / "dqn_ablation.png") as picture:
        assert picture.convert("L").resize((1, 1)).getpixel((0, 0)) > 200  # type: ignore[operator]  # of one channel
        assert picture.width < 800
    assert {path.name for path in tmp_path.iterdir()} == {
        f"dqn_ablation{end}" for end in (".csv", "_summary.csv", ".png")
    }


def test_a_quick_run_leaves_the_results_of_a_full_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dqn_ablation, "RESULTS", tmp_path)
    main(["--quick", "--seeds", "0", "--task", "cartpole", "--only", "no_replay"])
    assert "late return" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_quick_run_takes_no_whole_runs_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dqn_ablation, "run", fake)
    [whole] = wanted(["hundreds"], ["dqn"], [0], quick=False)
    write_csv(tmp_path / "dqn_ablation.csv", fake(whole))
    with pytest.raises(SystemExit, match="2"):
        main(["--quick", "--seeds", "1", "--task", "hundreds", "--only", "dqn", "--out", str(tmp_path)])
    assert "has whole runs" in capsys.readouterr().err
    assert read_rows(tmp_path / "dqn_ablation.csv") == fake(whole)


def test_fresh_runs_leave_those_of_other_tasks_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def noted(job: Job) -> list[Row]:
        calls.append(job.task.name)
        return fake(job)

    monkeypatch.setattr(dqn_ablation, "run", noted)
    command = ["--quick", "--seeds", "0", "--only", "dqn", "--out", str(tmp_path), "--task"]
    main([*command, "hundreds", "cartpole"])
    main([*command, "cartpole", "--fresh"])
    assert sorted(calls) == ["cartpole", "cartpole", "hundreds"]
    assert {row.task for row in read_rows(tmp_path / "dqn_ablation.csv")} == {"cartpole", "hundreds"}


def test_what_the_table_has_is_not_done_again_and_what_is_missing_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, jobs = tmp_path / "table.csv", [job(seed=seed) for seed in range(3)]
    calls: list[int] = []

    def noted(job: Job) -> list[Row]:
        calls.append(job.seed)
        return fake(job)

    monkeypatch.setattr(dqn_ablation, "run", noted)
    complete([], jobs[:1], table, 1)
    rows = complete(read_rows(table), jobs, table, 1)
    assert calls == [0, 1, 2]
    assert complete(read_rows(table), jobs, table, 1) == rows == read_rows(table)
    assert calls == [0, 1, 2]


def test_a_run_whose_settings_have_changed_is_done_again_in_place_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "table.csv"
    monkeypatch.setattr(dqn_ablation, "run", fake)
    other = complete([], [job(seed=1), job(arm="none")], table, 1)
    longer = complete([], [job(steps=800)], table, 1)
    rows = complete(longer + other, [job(steps=400)], table, 1)
    assert {(row.arm, row.seed, row.settings) for row in rows} == {
        ("dqn", 0, job().key[3]),
        ("dqn", 1, job().key[3]),
        ("none", 0, job(arm="none").key[3]),
    }
    assert len(rows) == 6


@pytest.mark.parametrize("evaluations", [2, 3])
def test_runs_of_other_settings_stay_in_the_table_and_in_no_summary(
    evaluations: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dqn_ablation, "run", fake)
    command = ["--quick", "--task", "hundreds", "--only", "dqn", "--out", str(tmp_path), "--seeds"]
    main([*command, "2"])
    table = tmp_path / "dqn_ablation.csv"
    first = fake(job(seed=1))[0]
    others = [first._replace(step=step) for step in range(1, evaluations + 1)] + fake(job(arm="none"))
    write_csv(table, read_rows(table) + others)
    main([*command, "0"])
    assert set(others) < set(read_rows(table))
    lines = list(csv.DictReader((tmp_path / "dqn_ablation_summary.csv").read_text().splitlines()))
    assert [(line["arm"], line["seeds"], line["late_mean"]) for line in lines] == [("dqn", "2", "12")]


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 500},
        {"eval_period": 100},
        {"env": EnvConfig("CartPole-v1")},
        {"env": EnvConfig("CartPole-v1", kwargs={"max_episode_steps": 100})},
        {"settings": {**TASKS["cartpole"].settings, "learning_rate": 1e-3}},
    ],
)
def test_whatever_of_a_task_changes_makes_it_another_run(change: dict[str, Any]) -> None:
    task = TASKS["cartpole"]
    assert Job(dataclasses.replace(task, **change), "dqn", 0).key != Job(task, "dqn", 0).key
    assert Job(task, "dqn", 0, episodes=3).key[:3] == Job(task, "dqn", 0).key[:3] != Job(task, "dqn", 1).key[:3]
    assert Job(task, "dqn", 0, episodes=3).key != Job(task, "dqn", 0).key


def test_the_table_keeps_what_was_done_before_a_run_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(job: Job) -> list[Row]:
        if job.seed == 1:
            raise KeyboardInterrupt
        return fake(job)

    monkeypatch.setattr(dqn_ablation, "run", fail)
    with pytest.raises(KeyboardInterrupt):
        complete([], [job(seed=0), job(seed=1)], tmp_path / "table.csv", 1)
    assert {row.seed for row in read_rows(tmp_path / "table.csv")} == {0}


@pytest.mark.slow
def test_processes_give_the_rows_that_one_gives() -> None:
    jobs = [job(arm=arm) for arm in ("dqn", "no_target", "none")]
    assert complete([], jobs, None, 2) == complete([], jobs, None, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "no_replya"], "no_replay"),
        (["--task", "cartpole", "--only", "pop_art"], "cartpole has no arm pop_art"),
        (["--jobs", "0"], "argument --jobs: must be a whole number of at least 1"),
    ],
)
def test_what_there_is_not_is_refused_in_words(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


# --- Numbers ---


def fake(job: Job) -> list[Row]:
    """Return what a run might give: two evaluations that depend on the seed."""
    task, arm, seed, digest = job.key
    return [Row(task, arm, seed, step, 10.0 * seed + step, 0.5, digest) for step in (1, 2)]


def test_the_interval_is_students() -> None:
    mean, half = interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert mean == 3.0
    assert half == pytest.approx(2.776 * math.sqrt(2.5 / 5))
    assert math.isnan(interval(np.array([1.0]))[1])


def test_the_summary_tells_the_late_return_from_the_best() -> None:
    returns = {0: [10.0, 90.0, 20.0, 40.0], 1: [0.0, 10.0, 70.0, 60.0]}
    rows = [
        Row("hundreds", "none", seed, step, value, 2.0 * seed, "")
        for seed, values in returns.items()
        for step, value in enumerate(values, 1)
    ]
    (line,) = summary(rows)
    assert (line.late_mean, line.best_mean, line.seeds, line.steps) == (50.0, 80.0, 2, 4)
    assert line.changes == "replay none, target none, reward_clip None"
    assert line.value_late == 1.0


def test_curves_are_means_of_returns_and_medians_of_values_where_their_greatest_is_known() -> None:
    rows = [
        Row(task, "no_target", seed, step, 10.0 * seed + step, 100.0**seed, "")
        for task in ("cartpole", "hundreds")
        for seed in range(3)
        for step in (1, 2)
    ]
    plain, scaled = return_panels(rows)
    curve = plain.curves["no_target"]
    assert (curve.steps.tolist(), curve.middle.tolist()) == ([1, 2], [11.0, 12.0])
    assert curve.high - curve.middle == pytest.approx(4.303 * 10 / math.sqrt(3))
    assert (plain.limits, scaled.limits) == ((0, 200), (0, 20_000))
    (values,) = value_panels(rows)
    curve = values.curves["no_target"]
    assert (curve.low[0], curve.middle[0], curve.high[0]) == (1.0, 100.0, 10_000.0)
    assert values.line is not None
    assert values.line[0] == pytest.approx(100.0)
