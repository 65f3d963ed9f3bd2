from __future__ import annotations

import json
import secrets
import shutil
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_helpers import breakout, cartpole, digest, in_two, rows, start, stop_after

from tengen.agents import DQNConfig, RandomConfig
from tengen.checkpoint import CheckpointStore, RunLock, digest_state
from tengen.checkpoint import files as checkpoint_files
from tengen.config import RunConfig, TrackConfig, default_settings, make_run_config
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.evaluate import evaluate
from tengen.loop import interact
from tengen.replay.storage import RingLog
from tengen.run import load_policy, open_run, resume, train
from tengen.run.folder import versions
from tengen.tracking import read_metrics
from tengen.types import Array, State

SMALL = [
    *("--preset", "none", "--checkpoint-period", "300", "--log-period", "50", "--threads", "1", "--agent.hidden", "16"),
    *("--agent.learn-start", "100", "--agent.batch-size", "8", "--agent.replay-capacity", "500"),
]


@pytest.mark.parametrize(
    "config",
    [
        cartpole(1_600),
        cartpole(1_600, eval_period=400, eval_episodes=2),
        cartpole(1_600, env=EnvConfig("CartPole-v1", 3)),
        cartpole(800, env=EnvConfig("tengen/TicTacToe-v0", 2)),
        cartpole(800, env=EnvConfig("FrozenLake-v1", 2)),
    ],
    ids=["cartpole", "with evaluations", "three environments", "self-play", "discrete observations"],
)
def test_a_run_in_two_halves_equals_one_that_never_stopped(config: RunConfig, tmp_path: Path) -> None:
    train(config, tmp_path / "one")
    in_two(config, config.steps // 2, tmp_path / "two")
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert rows(tmp_path / "one") == rows(tmp_path / "two")


def test_breakout_with_sticky_actions_goes_on_exactly_in_the_middle_of_four_games(tmp_path: Path) -> None:
    config = breakout(1_200)
    train(config, tmp_path / "one")
    in_two(config, 600, tmp_path / "two")
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
    resume(tmp_path / "one", steps=1_600)
    resume(tmp_path / "two", steps=1_600)
    assert rows(tmp_path / "one") == rows(tmp_path / "two")


def test_when_checkpoints_are_taken_changes_nothing(tmp_path: Path) -> None:
    train(cartpole(900, checkpoint_period=0), tmp_path / "never")
    train(cartpole(900, checkpoint_period=70), tmp_path / "often")
    assert digest(tmp_path / "never") == digest(tmp_path / "often")


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    train(cartpole(300), tmp_path / "one")
    train(cartpole(300, seed=1), tmp_path / "two")
    assert digest(tmp_path / "one") != digest(tmp_path / "two")


ARGUMENTS = ["train", "dqn", "--env", "CartPole-v1", "--steps", "6000", *SMALL]


@pytest.fixture(scope="module")
def ran_through(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("through") / "run"
    process = start([*ARGUMENTS, "--run-dir", str(folder)])
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err.decode()
    return folder


EXIT_CODES = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}


@pytest.mark.parametrize("number", EXIT_CODES, ids=lambda number: number.name)
def test_a_stopped_process_goes_on_to_the_state_of_one_that_ran_through(
    number: signal.Signals, ran_through: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    num_rows = secrets.randbelow(100) + 5  # at a random moment: each run of this test is another
    code = stop_after(start([*ARGUMENTS, "--run-dir", str(folder)]), folder, num_rows, number)
    assert code == EXIT_CODES[number]
    again = start(["train", "--resume", str(folder)])
    _, err = again.communicate(timeout=200)
    assert again.returncode == 0, err.decode()
    assert digest(folder) == digest(ran_through), f"stopped after {num_rows} rows"
    assert rows(folder) == rows(ran_through), f"stopped after {num_rows} rows"
    copy = shutil.copytree(ran_through, tmp_path / "copy")
    for further in (folder, copy):
        resume(further, steps=7_000)
    assert rows(folder) == rows(copy)


def test_every_part_of_the_state_is_in_the_digest(tmp_path: Path) -> None:
    train(cartpole(400), tmp_path)
    checkpoint = open_run(tmp_path).store.latest()
    assert checkpoint is not None

    def digest_with(path: str, change: object) -> str:
        state = checkpoint.state()
        *parents, leaf = path.split(" ")
        node: State = state
        for name in parents:
            node = node[int(name)] if isinstance(node, list) else node[name]
        old = node[int(leaf)] if isinstance(node, list) else node[leaf]
        node[int(leaf) if isinstance(node, list) else leaf] = _changed(old) if change is None else change
        return digest_state(state)

    untouched = digest_state(checkpoint.state())
    assert untouched == checkpoint.digest()
    leaves = [path for path, leaf in _leaves(checkpoint.state(), "") if not hasattr(leaf, "read")]
    parts = {
        "a generator": "agent rng state state",
        "the replay's generator": "agent replay rng state state",
        "a moment of Adam": "agent learner optimizer 0 exp_avg_sq",
        "a weight": "agent learner network 1.weight",
        "a target's weight": "agent learner target 1.bias",
        "the position of the schedules": "agent num_steps",
    }
    assert set(parts.values()) <= set(leaves)
    assert any(path.startswith("env ") and "action" in path for path in leaves), leaves
    changed = [digest_with(path, None) for path in leaves]
    assert len({untouched, *changed}) == len(leaves) + 1
    logs = [(path, leaf) for path, leaf in _leaves(checkpoint.state(), "") if hasattr(leaf, "read")]
    assert logs
    for path, log in logs:
        held = {name: array.copy() for name, array in log.read(log.start, log.stop).items()}  # type: ignore[attr-defined]
        for name in held:
            rows_changed = {**held, name: held[name].copy()}
            rows_changed[name].view(np.uint8).reshape(-1)[-1] ^= 1
            assert digest_with(path, _Log(log.start, log.stop, rows_changed)) != untouched, name  # type: ignore[attr-defined]


class _Log:
    def __init__(self, start: int, stop: int, held: dict[str, np.ndarray]) -> None:
        self.start, self.stop, self.held = start, stop, held

    def read(self, start: int, stop: int) -> dict[str, np.ndarray]:
        return {name: array[start - self.start : stop - self.start] for name, array in self.held.items()}


def _leaves(node: object, path: str) -> list[tuple[str, object]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else None
    if items is None:
        return [(path, node)] if not (isinstance(node, np.ndarray) and node.size == 0) else []
    return [leaf for name, child in items for leaf in _leaves(child, f"{path} {name}".lstrip())]


def _changed(leaf: object) -> object:
    if isinstance(leaf, np.ndarray):
        copy = np.array(leaf)  # contiguous
        copy.reshape(-1).view(np.uint8)[0] ^= 1
        return copy
    if isinstance(leaf, bool):
        return not leaf
    if leaf is None:
        return 0.5
    return leaf + "x" if isinstance(leaf, str) else leaf + 1  # type: ignore[operator]


def test_a_second_process_on_the_same_run_is_refused(tmp_path: Path) -> None:
    train(cartpole(200), tmp_path)
    with RunLock(tmp_path / "lock"), pytest.raises(UserError, match="process"):
        resume(tmp_path, steps=400)


def test_a_full_disk_ends_the_run_with_one_message_and_the_last_checkpoint_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(cartpole(300), tmp_path)
    before = digest(tmp_path)
    real = checkpoint_files.write_new

    def full(path: Path, data: bytes) -> None:
        if "step_000000600" in str(path):
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(checkpoint_files, "write_new", full)
    with pytest.raises(UserError, match=r"No space left on device.*300"):
        resume(tmp_path, steps=600)
    monkeypatch.undo()
    assert digest(tmp_path) == before
    assert resume(tmp_path, steps=600).finished
    train(cartpole(600), tmp_path / "through")
    assert digest(tmp_path) == digest(tmp_path / "through")


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(cartpole(600, checkpoint_period=300), tmp_path / "one")
    target = tmp_path / "one" / "checkpoints" / "step_000000600" / "agent.safetensors"
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)
    resume(tmp_path / "one", steps=900)
    assert "using the checkpoint at step 300" in capsys.readouterr().err
    train(cartpole(900), tmp_path / "through")
    assert digest(tmp_path / "one") == digest(tmp_path / "through")
    assert rows(tmp_path / "one") == rows(tmp_path / "through")


def test_fewer_steps_than_are_done_are_refused(tmp_path: Path) -> None:
    train(cartpole(300), tmp_path)
    with pytest.raises(UserError, match="at step 300 already"):
        resume(tmp_path, steps=200)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="other files"):
        train(cartpole(100), tmp_path)
    train(cartpole(100), tmp_path / "run")
    with pytest.raises(UserError, match="another run"):
        train(cartpole(100), tmp_path / "run")


def test_other_versions_are_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train(cartpole(100), tmp_path)
    now = versions()
    monkeypatch.setattr("tengen.run.trainer.versions", lambda: {**now, "torch": "0.4"})
    resume(tmp_path, steps=200)
    assert f"torch {now['torch']} -> 0.4" in capsys.readouterr().err


def test_the_policy_of_each_checkpoint_can_be_loaded_without_replay(tmp_path: Path) -> None:
    train(cartpole(500, checkpoint_period=100, eval_period=200, eval_episodes=2), tmp_path)
    run = open_run(tmp_path)
    assert run.store.steps() == [100, 200, 300, 400, 500]
    assert [load_policy(run, str(step)).step for step in (100, 300, 500)] == [100, 300, 500]
    assert load_policy(run).step == 500
    best = load_policy(run, "best").step
    means = {row["global_step"]: row["eval/return_mean"] for row in rows(tmp_path) if "eval/return_mean" in row}
    assert means[best] == max(means.values())
    with pytest.raises(UserError, match="250"):
        load_policy(run, "250")
    loaded = load_policy(run, "200")
    step = loaded.env.reset(0)
    assert loaded.policy.act(step, np.random.default_rng(0)).shape == (1,)


def test_an_evaluation_cut_short_by_a_signal_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = cartpole(800, eval_period=400, eval_episodes=2)
    train(config, tmp_path / "through")
    real, calls = evaluate, []

    def given_up_once(*args: object, **kwargs: object) -> object:
        calls.append(args)
        if len(calls) == 1:
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL, "a signal now would end the tests"
            signal.raise_signal(signal.SIGTERM)
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("tengen.run.trainer.evaluate", given_up_once)
    result = train(config, tmp_path / "cut")
    assert (result.step, result.signal, result.finished) == (400, signal.SIGTERM, False)
    assert resume(tmp_path / "cut").finished
    assert digest(tmp_path / "cut") == digest(tmp_path / "through")
    assert rows(tmp_path / "cut") == rows(tmp_path / "through")


def test_an_evaluations_row_has_the_seconds_of_training_before_it_over_all_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10**9))
    monkeypatch.setattr("tengen.run.trainer.time.perf_counter", lambda: 10.0 * next(clock))  # ten seconds a look
    config = cartpole(400, eval_period=100, eval_episodes=1, checkpoint_period=0)

    def times() -> list[float]:
        return [row["time"] for row in read_metrics(tmp_path / "metrics.jsonl") if "eval/return_mean" in row]

    train(replace(config, steps=200), tmp_path)
    before = times()
    assert len(before) == 2
    assert 0 < before[0] < before[1]
    for _ in range(1_000):  # a pause between two sessions is no training
        next(clock)
    resume(tmp_path, steps=400)
    assert times()[:2] == before
    assert (np.diff(times()) > 0).all()
    assert times()[3] - times()[0] < 1_000


def test_a_checkpoint_that_does_not_say_how_long_it_took_leaves_the_seconds_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = cartpole(200, eval_period=100, eval_episodes=1)
    real = CheckpointStore.save

    def save_as_before(self: CheckpointStore, step: int, components: Mapping[str, State], meta: dict[str, Any]) -> None:
        real(self, step, components, {name: value for name, value in meta.items() if name != "seconds"})

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "save", save_as_before)
        train(config, tmp_path)
    resume(tmp_path, steps=400)
    evaluations = [row for row in read_metrics(tmp_path / "metrics.jsonl") if "eval/return_mean" in row]
    assert ["time" in row for row in evaluations] == [True, True, False, False]


def test_the_run_folder_tells_what_was_run(tmp_path: Path) -> None:
    config = cartpole(100)
    train(config, tmp_path, command=["tengen", "train", "dqn"])
    resume(tmp_path, steps=200, command=["tengen", "train", "--resume", str(tmp_path)])
    run = open_run(tmp_path)
    assert run.config == replace(config, steps=200, driver="python", log_episodes="each")
    first, second = run.sessions()
    assert first["command"] == ["tengen", "train", "dqn"]
    assert (first["from_step"], second["from_step"]) == (0, 100)
    assert "torch" in first["versions"]
    assert json.loads((tmp_path / "summary.json").read_text())["step"] == 200


def test_a_checkpoint_reads_only_the_rows_of_the_replay_that_are_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env(EnvConfig("CartPole-v1"), training=True)
    agent = DQNConfig(replay_capacity=2_000, learn_start=10_000).build(env.spec, np.random.default_rng(0), "cpu")
    store = CheckpointStore(tmp_path, chunk_bytes=2_000)  # some 50 rows
    read: list[int] = []
    real = RingLog.read

    def noted(log: RingLog, start: int, stop: int) -> Mapping[str, Array]:
        read.append(stop - start)
        return real(log, start, stop)

    monkeypatch.setattr(RingLog, "read", noted)
    sums = []
    for tick in interact(agent, env, 1_500, seed=0):
        if tick.num_steps % 500 == 0:
            store.save(tick.num_steps, {"agent": agent.state_dict()}, {})
            sums.append(sum(read))
            read.clear()
    assert sums[0] > 500
    assert all(rows_read < 650 for rows_read in sums[1:]), sums


def test_a_kill_between_the_best_checkpoint_and_its_mark_is_made_up_for(tmp_path: Path) -> None:
    train(cartpole(400, eval_period=400, eval_episodes=2), tmp_path)
    (tmp_path / "checkpoints" / "best.json").unlink()
    resume(tmp_path, steps=500)
    assert load_policy(open_run(tmp_path), "best").step == 400


def test_a_video_of_an_evaluation_is_made_when_asked_for(tmp_path: Path) -> None:
    config = cartpole(200, eval_period=200, eval_episodes=1, track=TrackConfig(video=True))
    train(config, tmp_path)
    assert (tmp_path / "videos" / "step_000000200.gif").read_bytes().startswith(b"GIF8")


def test_an_evaluation_cut_short_at_the_last_step_is_made_up_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = cartpole(400, eval_period=200, eval_episodes=2)
    train(config, tmp_path / "through")
    real, calls = evaluate, []

    def given_up_at_first(*args: object, **kwargs: object) -> object:
        calls.append(args)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGTERM)
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("tengen.run.trainer.evaluate", given_up_at_first)
    assert train(config, tmp_path / "cut").signal == signal.SIGTERM
    for _ in range(2):
        resume(tmp_path / "cut")
    assert digest(tmp_path / "cut") == digest(tmp_path / "through")
    assert rows(tmp_path / "cut") == rows(tmp_path / "through")
    summary = json.loads((tmp_path / "cut" / "summary.json").read_text())
    assert summary["last_eval"] == json.loads((tmp_path / "through" / "summary.json").read_text())["last_eval"]


def test_an_evaluation_that_was_made_up_for_and_not_saved_has_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = cartpole(200, eval_period=200, eval_episodes=2)
    train(config, tmp_path / "through")

    def given_up(*args: object, **kwargs: object) -> object:
        signal.raise_signal(signal.SIGTERM)
        return evaluate(*args, **kwargs)  # type: ignore[arg-type]

    def fail(*args: object) -> None:
        raise UserError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("tengen.run.trainer.evaluate", given_up)
        assert train(config, tmp_path / "cut").signal == signal.SIGTERM
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "save", fail)
        with pytest.raises(UserError, match="killed"):
            resume(tmp_path / "cut")
    resume(tmp_path / "cut")
    assert rows(tmp_path / "cut") == rows(tmp_path / "through")


def test_a_checkpoint_at_an_episodes_end_is_the_same_whoever_takes_it(tmp_path: Path) -> None:
    train(cartpole(300), tmp_path / "find")
    end = next(row["global_step"] for row in rows(tmp_path / "find") if "charts/episodic_return" in row)
    train(cartpole(end, checkpoint_period=0), tmp_path / "last")
    train(cartpole(end, checkpoint_period=end), tmp_path / "due")
    assert digest(tmp_path / "last") == digest(tmp_path / "due")
    train(cartpole(end + 1, checkpoint_period=end), tmp_path / "on the way")
    assert digest(tmp_path / "last") == open_run(tmp_path / "on the way").store.load(end).digest()


def test_a_finished_run_that_went_past_its_steps_is_resumed_without_complaint(tmp_path: Path) -> None:
    config = cartpole(10, env=EnvConfig("CartPole-v1", 8))
    assert train(config, tmp_path).step == 16
    assert resume(tmp_path).finished


def test_a_policy_trained_on_cuda_is_played_where_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(cartpole(100), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"device": "cpu"', '"device": "cuda:7"'))
    assert load_policy(open_run(tmp_path)).step == 100
    assert "cuda:7" in capsys.readouterr().err
    with pytest.raises(UserError, match="cuda:7"):
        resume(tmp_path, steps=200)
    assert resume(tmp_path, steps=200, device="cpu").step == 200


def test_a_start_that_was_killed_leaves_a_folder_that_can_be_started_in(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / ".new-config.json").touch()
    assert train(cartpole(100), tmp_path).finished


def test_an_interrupt_while_a_checkpoint_is_put_in_place_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore(tmp_path)
    env = make_env(EnvConfig("CartPole-v1"), training=True)
    agent = DQNConfig(replay_capacity=100).build(env.spec, np.random.default_rng(0), "cpu")
    for tick in interact(agent, env, 20, seed=0):
        if tick.num_steps == 10:
            store.save(10, {"agent": agent.state_dict()}, {})
    before = sorted(tmp_path.rglob("*"))
    placed: list[Path] = []

    def interrupt(operation: str, path: Path) -> None:
        if operation == "rename" and "step_000000020" in str(path):
            placed.append(path)
        if operation == "fsync" and placed:
            placed.clear()
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_files, "hook", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.save(20, {"agent": agent.state_dict()}, {})
    monkeypatch.undo()
    assert sorted(tmp_path.rglob("*")) == before, "what was written is removed"
    latest = CheckpointStore(tmp_path).latest()
    assert latest is not None
    assert latest.step == 10
    latest.verify()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_a_stopped_breakout_with_sticky_actions_goes_on_exactly(number: signal.Signals, tmp_path: Path) -> None:
    arguments = ["train", "dqn", "--env", "ALE/Breakout-v5", "--steps", "2000", "--num-envs", "4", *SMALL]
    arguments += ["--agent.learn-period", "20", "--env.kwargs", "{sticky_action_probability = 0.25}"]
    arguments[arguments.index("300")] = "400"
    through = start([*arguments, "--run-dir", str(tmp_path / "one")])
    _, err = through.communicate(timeout=280)
    assert through.returncode == 0, err.decode()
    num_rows = secrets.randbelow(20) + 12
    stop_after(start([*arguments, "--run-dir", str(tmp_path / "two")]), tmp_path / "two", num_rows, number)
    again = start(["train", "--resume", str(tmp_path / "two")])
    _, err = again.communicate(timeout=280)
    assert again.returncode == 0, err.decode()
    assert digest(tmp_path / "one") == digest(tmp_path / "two"), f"stopped after {num_rows} rows"
    for folder in (tmp_path / "one", tmp_path / "two"):
        resume(folder, steps=3_000)
    assert rows(tmp_path / "one") == rows(tmp_path / "two"), f"stopped after {num_rows} rows"


def test_a_run_records_its_protocol_and_reports_normalised_scores(tmp_path: Path) -> None:
    config = RunConfig("random", RandomConfig(), EnvConfig("ALE/Pong-v5", kwargs={"evaluation_max_frames": 400}), 8)
    train(replace(config, eval_period=8, eval_episodes=1), tmp_path)
    run = open_run(tmp_path)
    assert run.config.env.protocol == "nature2015"
    assert run.sessions()[0]["protocol"]["frame_skip"] == 4
    last = json.loads((tmp_path / "summary.json").read_text())["last_eval"]
    assert last["protocol"] == "nature2015 (evaluation_max_frames=400)"
    assert last["score_table"] == "dqn_zoo_30min"
    assert rows(tmp_path)[-1]["eval/human_normalized_mean"] == last["human_normalized_mean"]


def test_what_was_learnt_is_computed_with_the_threads_that_it_was_learnt_with(tmp_path: Path) -> None:
    import torch

    before = torch.get_num_threads()
    try:
        train(cartpole(120, threads=1), tmp_path)
        torch.set_num_threads(2)
        load_policy(open_run(tmp_path)).env.close()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_an_evaluation_that_is_no_number_is_never_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    means = iter([float("nan"), 5.0, 7.0, 6.0, float("nan")])
    monkeypatch.setattr("tengen.run.trainer.report_terms", lambda *_: {"return_mean": next(means)})
    settings = {**default_settings("random"), "steps": 50, "eval_period": 10, "eval_episodes": 1}
    assert train(make_run_config("random", settings), tmp_path / "run").summary["best_eval_return_mean"] == 7.0
