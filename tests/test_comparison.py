from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from comparison_helpers import PROTOCOL, learning_curve, write_run

from tengen.cli import main
from tengen.errors import UserError
from tengen.evaluation.comparison import Comparison, read_comparison, read_run, results

ATARI = "ALE/Breakout-v5"


def runs_of(tmp_path: Path, agent: str, seeds: int, final: float, **more: object) -> list[Path]:
    name = agent.replace(":", "-")
    return [
        write_run(tmp_path / f"{name}-{seed}", agent, seed, (1.0, final / 2, final + seed), **more)  # type: ignore[arg-type] # passed on
        for seed in range(seeds)
    ]


def notes_of(comparison: Comparison) -> str:
    return "\n".join(comparison.notes)


# --- One run ---


def test_a_run_that_was_trained_is_read_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    command = (
        f"train random --env CartPole-v1 --steps 600 --seed 3 --eval-period 200 --eval-episodes 2 --run-dir {folder}"
    )
    assert main([*command.split(), "--log-period", "100"]) == 0
    run = read_run(folder)
    assert (run.agent, run.env, run.seed, run.steps, run.sessions) == ("random", "CartPole-v1", 3, 600, 1)
    assert run.evaluations.steps.tolist() == [200, 400, 600]
    summary = json.loads((folder / "summary.json").read_text())
    assert run.evaluations.scores[-1] == summary["last_eval"]["return_mean"]
    assert (np.diff(run.evaluations.seconds) > 0).all()
    assert run.command[:3] == ["tengen", "train", "random"]
    assert run.settings["env.num_envs"] == 1
    assert {"python", "numpy"} <= set(run.versions)
    assert len(run.training.steps) > 5
    assert run.protocol_name is None
    assert capsys.readouterr().err


def test_time_goes_by_the_rates_of_the_rows_and_on_over_sessions(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", scores=(1, 2, 3, 4), period=1_000, rate=100)
    assert read_run(folder).evaluations.seconds.tolist() == [10, 20, 30, 40]
    sessions = json.loads((folder / "sessions.json").read_text())
    # A second session from step 2,000 on whose rates count from there: 1,000 steps in 10 s.
    (folder / "sessions.json").write_text(json.dumps([*sessions, {**sessions[0], "from_step": 2_000}]))
    assert read_run(folder).evaluations.seconds.tolist() == [10, 20, 30, 40]
    assert read_run(folder).sessions == 2


def test_runs_that_scored_the_same_throughout_are_no_more_evidence_than_one_and_that_is_said(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        write_run(tmp_path / f"a{seed}", "random", seed, (20, 21, 22))
        write_run(tmp_path / f"b{seed}", "dqn", seed, (20, 30, 22 + seed))
    text = notes_of(read_comparison(sorted(tmp_path.iterdir())))
    assert "All 3 runs of random on CartPole-v1 had the same score at each evaluation" in text
    assert "runs of dqn" not in text


def test_time_is_what_the_evaluations_themselves_say(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", scores=(1, 2, 3, 4), rate=100, times=(3.0, 7.0, 8.0, 20.5))
    assert read_run(folder).evaluations.seconds.tolist() == [3, 7, 8, 20.5]


def test_time_goes_by_the_rates_where_only_some_evaluations_say_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", scores=(1, 2, 3, 4), rate=100, times=(3.0, 7.0))
    assert read_run(folder).evaluations.seconds.tolist() == [10, 20, 30, 40]


def test_time_is_not_known_where_nothing_says_how_fast_it_went(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    rows = [row for row in (folder / "metrics.jsonl").read_text().splitlines() if "SPS" not in row]
    (folder / "metrics.jsonl").write_text("\n".join(rows) + "\n")
    assert np.isnan(read_run(folder).evaluations.seconds).all()
    found = results(read_comparison([folder]), resamples=50)
    assert found["tasks"][0]["agents"][0]["time_curve"] is None
    assert found["tasks"][0]["agents"][0]["seconds_to_threshold"] is None
    json.dumps(found, allow_nan=False)


def break_file(name: str, text: str | None) -> object:
    def break_it(folder: Path) -> None:
        if text is None:
            (folder / name).unlink()
        else:
            (folder / name).write_text(text)

    return break_it


def without_evaluations(folder: Path) -> None:
    rows = [row for row in (folder / "metrics.jsonl").read_text().splitlines() if "eval/" not in row]
    (folder / "metrics.jsonl").write_text("\n".join(rows) + "\n")


def repetitions(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_runs": 5}))


def not_a_number(folder: Path) -> None:
    row = {"global_step": 3_000, "eval/return_mean": "NaN"}
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps(row) + "\n")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (break_file("config.json", None), "it has no config.json"),
        (break_file("config.json", "{"), "its config.json is damaged"),
        (break_file("config.json", "[]"), "no JSON object"),
        (break_file("config.json", '{"format": 2}'), "has the format 2, expected 1"),
        (break_file("config.json", '{"format": 1, "agent": "dqn"}'), "agent, env.id, seed and steps are needed"),
        (break_file("sessions.json", "{}"), "its sessions.json is damaged"),
        (break_file("sessions.json", '[{"from_step": "0"}]'), "its sessions.json is damaged"),
        (break_file("sessions.json", '[{"versions": 3}]'), "its sessions.json is damaged"),
        (break_file("summary.json", None), "it is not finished: resume it by `tengen train --resume"),
        (break_file("summary.json", '{"step": 1000}'), "it is not finished, 1,000 of 3,000 steps"),
        (break_file("summary.json", "{}"), "its summary.json is damaged"),
        (break_file("metrics.jsonl", None), "can't read the metrics"),
        (break_file("metrics.jsonl", "{x\n{}\n"), "line 1 of"),
        (without_evaluations, "it was never evaluated: train it with --eval-period"),
        (repetitions, "it holds means over 5 repetitions"),
        (not_a_number, "an evaluation's return is not a finite number"),
    ],
)
def test_a_damaged_run_among_good_ones_is_left_out_and_named(tmp_path: Path, damage: object, reason: str) -> None:
    folders = runs_of(tmp_path, "dqn", 3, 100)
    assert callable(damage)
    damage(folders[1])
    comparison = read_comparison(folders)
    assert [run.seed for run in comparison.runs("CartPole-v1", "dqn")] == [0, 2]
    (out,) = comparison.left_out
    assert out.folder == folders[1]
    assert reason in out.reason
    assert f"{folders[1]} is left out: " in notes_of(comparison)


def test_no_run_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no finished run to compare: .*nowhere: it has no config\.json"):
        read_comparison([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="no finished run to compare"):
        read_comparison([])


# --- Which runs go together ---


def test_agents_keep_the_order_in_which_they_are_given(tmp_path: Path) -> None:
    folders = [*runs_of(tmp_path, "sb3:dqn", 2, 100), *runs_of(tmp_path, "dqn", 2, 90)]
    comparison = read_comparison(folders)
    assert comparison.agents == ("sb3:dqn", "dqn")
    assert comparison.notes == ()


def test_a_missing_seed_is_said(tmp_path: Path) -> None:
    folders = [*runs_of(tmp_path, "dqn", 3, 100), *runs_of(tmp_path, "random", 3, 10)]
    comparison = read_comparison(folders[:-2] + folders[-1:])
    assert "random on CartPole-v1 has no run with seed 1: it counts with 2 of 3." in notes_of(comparison)


def test_a_second_run_with_the_same_seed_is_no_more_evidence(tmp_path: Path) -> None:
    folders = [*runs_of(tmp_path, "dqn", 2, 100), write_run(tmp_path / "again", "dqn", 0, (1, 2, 3))]
    comparison = read_comparison(folders)
    assert [run.folder for run in comparison.runs("CartPole-v1", "dqn")] == folders[:2]
    assert f"{folders[2]} is left out: {folders[0]} already is dqn on CartPole-v1 with seed 0." in notes_of(comparison)


def test_one_agent_with_two_settings_is_two_agents_named_by_what_differs(tmp_path: Path) -> None:
    slow = [write_run(tmp_path / f"a{s}", "dqn", s, agent_config={"learning_rate": 1e-4, "gamma": 0.9}) for s in (0, 1)]
    fast = [write_run(tmp_path / f"b{s}", "dqn", s, agent_config={"learning_rate": 1e-3, "gamma": 0.9}) for s in (0, 1)]
    assert read_comparison(slow + fast).agents == ("dqn (learning_rate=0.0001)", "dqn (learning_rate=0.001)")


def test_what_a_run_logs_and_where_does_not_make_another_agent(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", "dqn", 0, settings={"log_period": 10, "track": {"to": "wandb"}, "threads": 1})
    second = write_run(tmp_path / "b", "dqn", 1, settings={"log_period": 99, "track": {"to": "none"}, "threads": 2})
    comparison = read_comparison([first, second])
    assert comparison.agents == ("dqn",)
    assert "Runs differ in device or threads (threads: 1 / 2)." in comparison.notes


def test_names_that_are_given_are_used_and_mixtures_under_one_name_said(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", "dqn", 0, agent_config={"gamma": 0.9})
    second = write_run(tmp_path / "b", "dqn", 1, agent_config={"gamma": 0.8})
    comparison = read_comparison([first, second], labels={first: "mine", second: "mine"})
    assert comparison.agents == ("mine",)
    assert "The runs of mine on CartPole-v1 differ in agent.gamma." in comparison.notes


def test_versions_that_differ_are_said(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", seed=0, versions={"torch": "2.13.0"})
    second = write_run(tmp_path / "b", seed=1, versions={"torch": "2.13.1"})
    assert "Runs differ in versions (torch: 2.13.0 / 2.13.1)." in read_comparison([first, second]).notes


def test_a_version_that_older_runs_do_not_tell_is_no_difference(tmp_path: Path) -> None:
    torch = {"torch": "2.13.0"}
    first = write_run(tmp_path / "0", seed=0, scores=(1, 2), versions=torch)
    second = write_run(tmp_path / "1", seed=1, scores=(1, 3), versions={**torch, "stable-baselines3": "2.9.0"})
    assert read_comparison([first, second]).notes == ()


def test_different_environments_are_different_tasks(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / "a", env="CartPole-v1"), write_run(tmp_path / "b", env="Acrobot-v1")]
    comparison = read_comparison(folders)
    assert [task.name for task in comparison.tasks] == ["CartPole-v1", "Acrobot-v1"]
    found = results(comparison, resamples=50)
    assert found["aggregate"] is None  # nobody played at random, so that there is no common scale
    assert all(task["pairs"] == [] for task in found["tasks"])


def test_different_protocols_are_put_into_tables_of_their_own_and_it_is_said(tmp_path: Path) -> None:
    sticky = {**PROTOCOL, "name": "machado2018", "sticky_action_probability": 0.25}
    folders = [write_run(tmp_path / f"a{seed}", "dqn", seed, env=ATARI, protocol=PROTOCOL) for seed in (0, 1)]
    folders += [write_run(tmp_path / f"b{seed}", "sb3:dqn", seed, env=ATARI, protocol=sticky) for seed in (0, 1)]
    comparison = read_comparison(folders)
    names = [f"{ATARI}, protocol nature2015", f"{ATARI}, protocol machado2018"]
    assert [task.name for task in comparison.tasks] == names
    assert [comparison.agents_on(name) for name in names] == [("dqn",), ("sb3:dqn",)]
    assert (
        f"{ATARI} was played under different protocols, nature2015 and machado2018, and their scores are not compared "
        "with one another (sticky_action_probability: 0 / 0.25)." in comparison.notes
    )
    found = results(comparison, resamples=50)
    assert [len(task["agents"]) for task in found["tasks"]] == [1, 1]
    assert (found["aggregate"], found["verdicts"]) == (None, [])
    assert found["tasks"][1]["protocol"]["name"] == "machado2018"
    assert found["tasks"][0]["agents"][0]["runs"][0]["protocol"] == "nature2015"


def test_a_protocol_is_the_same_whether_its_settings_are_a_path_or_the_content(tmp_path: Path) -> None:
    env = {"id": ATARI, "num_envs": 1, "action_mask": False, "kwargs": {}}
    for k, kept in enumerate(["mine.toml", PROTOCOL]):
        settings = {"env": {**env, "protocol": kept}}
        write_run(tmp_path / str(k), "dqn", k, env=ATARI, protocol=PROTOCOL, settings=settings)
    (task,) = read_comparison([tmp_path / "0", tmp_path / "1"]).tasks
    assert task.name == ATARI


def test_different_settings_of_an_environment_are_different_tasks(tmp_path: Path) -> None:
    env = {"id": "FrozenLake-v1", "num_envs": 1, "protocol": None, "action_mask": False}
    folders = [
        write_run(tmp_path / str(size), "q_learning", settings={"env": {**env, "kwargs": {"map_name": size}}})
        for size in ("4x4", "8x8")
    ]
    names = [task.name for task in read_comparison(folders).tasks]
    assert names == ["FrozenLake-v1, kwargs.map_name=4x4", "FrozenLake-v1, kwargs.map_name=8x8"]


# --- Numbers ---


def test_final_scores_are_those_of_the_last_evaluation(tmp_path: Path) -> None:
    found = results(read_comparison(runs_of(tmp_path, "dqn", 3, 100)), resamples=200)
    (agent,) = found["tasks"][0]["agents"]
    assert [run["score"] for run in agent["runs"]] == [100, 101, 102]
    assert agent["scores"]["mean"][0] == 101
    assert agent["median_seed"] == 1
    assert agent["curve"] == {
        "steps": [1_000, 2_000, 3_000],
        "mean": [1, 50, 101],
        "low": [1, 50, 100],
        "high": [1, 50, 102],
    }
    assert found["tasks"][0]["threshold"] == 475.0


def test_a_run_without_an_evaluation_in_the_steps_of_all_is_refused(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / "a", "dqn", 0, (1,)), write_run(tmp_path / "b", "random", 0, (5,), period=3_000)]
    with pytest.raises(
        UserError, match=r"b was not evaluated within the 1,000 steps that all runs have, first at step 3,000"
    ):
        results(read_comparison(folders), resamples=50)


def test_runs_of_different_lengths_are_compared_at_the_shorter(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / "a", "dqn", 0, (1, 2, 3)), write_run(tmp_path / "b", "random", 0, (5, 6, 7, 8))]
    comparison = read_comparison(folders)
    found = results(comparison, resamples=50)
    assert [agent["scores"]["mean"][0] for agent in found["tasks"][0]["agents"]] == [3, 7]
    assert "Runs on CartPole-v1 differ in steps (3,000, 4,000): scores are those of step 3,000." in comparison.notes


def test_over_several_environments_scores_are_normalised_by_random_play_and_humans(tmp_path: Path) -> None:
    folders = []
    for env, score in ((ATARI, 30.5), ("ALE/Pong-v5", -20.7)):
        for seed in (0, 1):
            name = f"{env}-{seed}".replace("/", "-")
            folders.append(write_run(tmp_path / name, "dqn", seed, (0, score), env=env, protocol=PROTOCOL))
    whole = results(read_comparison(folders), resamples=100)["aggregate"]
    assert whole["normalization"] == "human"
    assert whole["scale"][ATARI] == {"low": 1.7, "high": 30.5}
    assert whole["agents"][0]["normalized"] == {ATARI: [1, 1], "ALE/Pong-v5": [0, 0]}
    assert whole["agents"][0]["scores"]["mean"] == [0.5, 0.5, 0.5]


def test_without_human_scores_the_scale_goes_from_random_to_the_best_agent(tmp_path: Path) -> None:
    folders = []
    for env, factor in (("CartPole-v1", 1), ("Acrobot-v1", 10)):
        for agent, score in (("random", 10), ("dqn", 110), ("sb3:dqn", 60)):
            for seed in (0, 1):
                name = f"{env}-{agent}-{seed}".replace(":", "-")
                folders.append(write_run(tmp_path / name, agent, seed, (0, score * factor), env=env))
    whole = results(read_comparison(folders), resamples=100)["aggregate"]
    assert whole["normalization"] == "best agent"
    assert [agent["scores"]["mean"][0] for agent in whole["agents"]] == [0, 1, 0.5]
    optimal = {env: {"optimal": 210 * factor} for env, factor in (("CartPole-v1", 1), ("Acrobot-v1", 10))}
    whole = results(read_comparison(folders, references=optimal), resamples=100)["aggregate"]
    assert whole["normalization"] == "optimal"
    assert [agent["scores"]["mean"][0] for agent in whole["agents"]] == [0, 0.5, 0.25]


def test_settings_that_differ_are_listed_with_what_each_agent_has(tmp_path: Path) -> None:
    ours = write_run(tmp_path / "a", "dqn", agent_config={"gamma": 0.99, "learning_rate": 0.1, "double": True})
    theirs = write_run(tmp_path / "b", "sb3:dqn", agent_config={"gamma": 0.99, "learning_rate": 0.2})
    differing = results(read_comparison([ours, theirs]), resamples=50)["tasks"][0]["settings_differences"]
    assert differing == {"agent.learning_rate": {"dqn": 0.1, "sb3:dqn": 0.2}, "agent.double": {"dqn": True}}


def test_a_threshold_counts_runs_that_never_got_there(tmp_path: Path) -> None:
    scores = [(1, 9, 9), (1, 1, 9), (1, 1, 1)]
    folders = [write_run(tmp_path / str(seed), "dqn", seed, each, rate=100) for seed, each in enumerate(scores)]
    found = results(read_comparison(folders, thresholds={"CartPole-v1": 5}), resamples=50)
    (agent,) = found["tasks"][0]["agents"]
    assert agent["steps_to_threshold"]["at"] == [2_000, 3_000, "Infinity"]
    assert agent["steps_to_threshold"]["median"][0] == 3_000
    assert agent["seconds_to_threshold"]["median"][0] == 30
    assert found["tasks"][0]["threshold_source"] == "as given"


def test_the_same_runs_give_the_same_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for agent in ("dqn", "random"):
        for seed in range(3):
            write_run(tmp_path / f"{agent}{seed}", agent, seed, learning_curve(rng, 8, 100, 10))
    folders = sorted(tmp_path.iterdir())
    first, second = (json.dumps(results(read_comparison(folders), resamples=300)) for _ in range(2))
    assert first == second


def test_a_run_from_before_a_knob_was_there_is_of_the_same_task_as_one_with_its_default(tmp_path: Path) -> None:
    knobs = {"name": "nature2015", "frame_skip": 4}
    old = write_run(tmp_path / "old", agent="dqn", env=ATARI, protocol=knobs, seed=0)
    new = write_run(tmp_path / "new", agent="dqn", env=ATARI, protocol={**knobs, "wrappers": "ale"}, seed=1)
    assert len(read_comparison([old, new]).tasks) == 1
