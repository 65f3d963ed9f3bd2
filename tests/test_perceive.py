"""`tengen perceive`: fitting to records of Go, going on exactly, testing, exporting, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from go_records import random_game, sgf_text
from gtp_helpers import engine, say

from tengen.checkpoint import CheckpointStore
from tengen.cli import main
from tengen.envs.go.rules import Rules
from tengen.errors import UserError
from tengen.evaluation.go import match, players
from tengen.evaluation.go.game import long_games
from tengen.evaluation.go.makers import NetworkMaker
from tengen.evaluation.go.match import MatchSettings, play_match
from tengen.evaluation.go.specs import parse_player
from tengen.perception.board_networks import BoardOutputs
from tengen.perception.go_policy import GoPolicy, GoPolicyConfig
from tengen.perception.network_file import load_network, named_network
from tengen.perception.supervised import Learner
from tengen.run.fit import _Loop
from tengen.tracking import read_metrics, without_times

FIT = "perceive fit go-policy --size 5 --width 8 --layers 3 --batch-size 8 --threads 1 --device cpu --log-period 4"
SHORT = f"{FIT} --steps 12 --eval-period 4 --eval-examples 20 --checkpoint-period 6 --precision float32"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = os.environ.get("NUMBA_CACHE_DIR") or str(Path.home() / ".cache" / "tengen" / "kernels")
    monkeypatch.setenv("NUMBA_CACHE_DIR", kernels)  # compiled once, not for each test
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("games")
    rng = np.random.default_rng(3)
    for i in range(12):
        root = f"DT[2017-0{3 if i < 9 else 4}-1{i % 10}]RE[{'BW'[i % 2]}+R]KM[6.5]"
        (folder / f"{i}.sgf").write_text(sgf_text(5, random_game(5, 20, rng), root=root))
    (folder / "bad.sgf").write_text("(;SZ[5];B[aa];W[aa])")
    return folder


def fitted(games: Path, folder: Path, command: str = SHORT) -> Path:
    assert main([*command.split(), "--data", str(games), "--run-dir", str(folder)]) == 0
    return folder


def rows(folder: Path) -> list[dict[str, Any]]:
    return [without_times(row) for row in read_metrics(folder / "metrics.jsonl")]


def digest(folder: Path) -> str:
    return CheckpointStore(folder / "checkpoints").load().digest()


def test_a_fit_writes_rows_checkpoints_and_a_summary(games: Path, tmp_path: Path) -> None:
    run = fitted(games, tmp_path / "run", f"{SHORT} --heads policy+value")
    found = rows(run)
    assert [row["global_step"] for row in found] == [4, 4, 8, 8, 12, 12]
    assert {"losses/loss", "losses/top1", "losses/top5", "charts/learning_rate"} <= found[0].keys()
    assert {"eval/top1", "eval/top5", "eval/policy_loss", "eval/winner"} <= found[1].keys()
    assert CheckpointStore(run / "checkpoints").steps() == [6, 12]
    assert json.loads((run / "summary.json").read_text())["step"] == 12


def test_a_run_that_is_stopped_goes_on_exactly(games: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fitted(games, tmp_path / "whole")
    update = Learner.update

    def stopping(self: Learner) -> Any:
        metrics = update(self)
        if self.num_updates == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return metrics

    monkeypatch.setattr(Learner, "update", stopping)
    run = tmp_path / "run"
    assert main([*SHORT.split(), "--data", str(games), "--run-dir", str(run)]) == 128 + signal.SIGTERM
    monkeypatch.undo()
    assert CheckpointStore(run / "checkpoints").steps()[-1] == 7
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["perceive", "fit", "--resume", str(run)]) == 0
    assert rows(run) == rows(whole)
    assert digest(run) == digest(whole)


def test_a_run_goes_on_for_longer(games: Path, tmp_path: Path) -> None:
    run = fitted(games, tmp_path / "run")
    assert main(["perceive", "fit", "--resume", str(run), "--steps", "14"]) == 0
    assert CheckpointStore(run / "checkpoints").steps()[-1] == 14
    assert json.loads((run / "config.json").read_text())["steps"] == 14


def test_a_fit_without_games_kept_aside_says_so_and_goes_on(
    games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fitted(games, tmp_path / "run", f"{SHORT} --split 2018-01")
    assert main(["perceive", "fit", "--resume", str(run), "--steps", "16"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"{run}: {steps} steps done" for steps in (12, 16)]
    (told, again) = (line for line in err.splitlines() if "nothing is kept aside" in line)
    assert told.endswith("a run with an earlier --split would keep some")
    assert again == told
    assert [row["global_step"] for row in rows(run)] == [4, 8, 12, 16]
    assert json.loads((run / "summary.json").read_text())["last_eval"] == {}


def test_a_run_and_its_exported_network_are_tested_alike(
    games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, file = fitted(games, tmp_path / "run", f"{SHORT} --network tower --blocks 1"), tmp_path / "x.safetensors"
    about = ["--about", '{"licence": "mine"}']
    assert main(["perceive", "export", str(run), "--out", str(file), *about]) == 0
    card = load_network(file).card
    assert (card.size, card.planes, card.about["licence"], card.about["step"]) == (5, "standard", "mine", 12)
    assert str(games) not in json.dumps(card.about)
    capsys.readouterr()
    test = ["--data", str(games), "--after", "2017-04", "--json", "--threads", "1"]
    results = []
    for network in (run, file):
        assert main(["perceive", "evaluate", str(network), *test]) == 0
        results.append(json.loads(capsys.readouterr().out))
    assert results[0]["games"] == 3
    assert results[0]["positions"] == 60
    assert results[0]["top1"] == results[1]["top1"]
    assert results[0]["policy_loss"] == pytest.approx(results[1]["policy_loss"], rel=1e-4)
    last = [row for row in rows(run) if "eval/top1" in row][-1]
    assert 0 <= last["eval/top1"] <= 1


def test_a_run_plays_as_its_exported_network_does_and_is_left_as_it_was(games: Path, tmp_path: Path) -> None:
    run, file = fitted(games, tmp_path / "run", f"{SHORT} --network tower --blocks 1"), tmp_path / "x.safetensors"
    assert main(["perceive", "export", str(run), "--out", str(file)]) == 0
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    planes = np.random.default_rng(0).integers(0, 2, (3, 23, 5, 5)).astype(np.uint8)
    exported = load_network(file)
    for kind in ("policy", "network"):
        maker = parse_player(f"{kind}:{run}").maker()
        assert isinstance(maker, NetworkMaker)
        assert maker.loaded.card.architecture == exported.card.architecture
        for mine, theirs in zip(maker.loaded(planes), exported(planes), strict=True):
            assert mine is not None
            assert theirs is not None
            assert np.array_equal(mine, theirs)
        say(engine(f"{kind}:{run}", size=5), "genmove b", "genmove w")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_match_knows_a_run_by_its_latest_whole_checkpoint(games: Path, tmp_path: Path) -> None:
    run, folder = fitted(games, tmp_path / "run"), tmp_path / "match"
    settings = MatchSettings(f"policy:{run}", "random", long_games(Rules(5)))
    play_match(settings, folder, 1)
    assert len(json.loads((folder / "players.json").read_text())["A"]["sha256"]) == 64
    assert play_match(settings, folder, 2)["games"] == 2
    (run / "checkpoints" / "step_000000012" / "learner.safetensors").unlink()
    with pytest.raises(UserError, match="holds games of another A"):
        play_match(settings, folder, 3)


def test_a_match_ends_where_a_run_learns_on_meanwhile(
    games: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, made = fitted(games, tmp_path / "run"), []

    def make_player(*arguments: Any) -> Any:
        made.append(arguments)
        if len(made) == 3:  # one of each is asked who it is before the games
            assert main(["perceive", "fit", "--resume", str(run), "--steps", "14"]) == 0
        return players.make_player(*arguments)

    monkeypatch.setattr(match, "make_player", make_player)
    settings = MatchSettings(f"policy:{run}", "random", long_games(Rules(5)))
    with pytest.raises(UserError, match="has changed since the match began: end its training first, or play a copy"):
        play_match(settings, tmp_path / "match", 1)


def test_a_network_is_exported_without_a_value_head_that_is_of_no_use(games: Path, tmp_path: Path) -> None:
    run = fitted(games, tmp_path / "run", f"{SHORT} --heads policy+value")
    whole, bare = tmp_path / "whole.safetensors", tmp_path / "bare.safetensors"
    assert main(["perceive", "export", str(run), "--out", str(whole)]) == 0
    assert main(["perceive", "export", str(run), "--out", str(bare), "--heads", "policy"]) == 0
    planes = np.random.default_rng(0).integers(0, 2, (3, 23, 5, 5)).astype(np.uint8)
    policy, value = load_network(bare)(planes)
    assert value is None
    assert load_network(whole)(planes)[1] is not None
    assert np.array_equal(policy, load_network(whole)(planes)[0])


def test_a_tower_learns_who_wins(tmp_path: Path) -> None:
    rng, folder = np.random.default_rng(1), tmp_path / "games"
    folder.mkdir()
    for i in range(60):  # the loser passes all the time
        winner = i % 2
        points = list(rng.permutation(24))[:12]
        moves = [int(points[k // 2]) if k % 2 == winner else 25 for k in range(24)]
        root = f"DT[2017-0{3 if i < 50 else 4}-11]RE[{'BW'[winner]}+R]KM[6.5]"
        (folder / f"{i}.sgf").write_text(sgf_text(5, moves, root=root))
    run = fitted(folder, tmp_path / "run", f"{SHORT} --network tower --blocks 1 --steps 300 --batch-size 32")
    last = [row for row in rows(run) if "eval/winner" in row][-1]
    assert last["eval/winner"] > 0.9


@pytest.fixture
def walls(tmp_path: Path) -> Path:
    """Games in which each side builds a wall across a board of 5x5, one beside the other, and the rest is counted."""
    rng, folder = np.random.default_rng(1), tmp_path / "walls"
    folder.mkdir()
    for i in range(60):
        column, mirrored, upright = int(rng.integers(1, 3)), rng.random() < 0.5, rng.random() < 0.5
        walls = [[5 * y + column + side for y in rng.permutation(5)] for side in (0, 1)]
        moves = [walls[ply % 2][ply // 2] for ply in range(10)]
        moves = [move - move % 5 + 4 - move % 5 if mirrored else move for move in moves]
        moves = [move % 5 * 5 + move // 5 if upright else move for move in moves]
        margin = 5 * (column + 1) - 5 * (4 - column) - 0.5
        root = f"DT[2017-0{3 if i < 50 else 4}-11]KM[0.5]RU[Chinese]RE[{'BW'[margin < 0]}+{abs(margin)}]"
        (folder / f"{i}.sgf").write_text(sgf_text(5, [*moves, 25, 25], root=root))
    return folder


OWNERS = (
    "--network tower --blocks 2 --heads policy+value+ownership --batch-size 32 --eval-examples 200 --eval-period 20"
)


def test_a_tower_learns_whose_points_will_be_and_hands_that_on(
    walls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, file = fitted(walls, tmp_path / "run", f"{SHORT} {OWNERS} --steps 160"), tmp_path / "x.safetensors"
    assert "whose the points were is known of" in capsys.readouterr().err
    first, *_, last = (row for row in rows(run) if "eval/owners" in row)
    assert {"losses/owners", "losses/ownership_error"} <= rows(run)[0].keys()
    assert first["eval/owners"] < 0.6
    assert last["eval/owners"] > 0.8, "before the first moves nobody can know"
    assert last["eval/ownership_error"] < 0.6
    assert main(["perceive", "export", str(run), "--out", str(file)]) == 0
    capsys.readouterr()
    assert main(["perceive", "evaluate", str(file), "--data", str(walls), "--after", "2017-04", "--json"]) == 0
    tested = json.loads(capsys.readouterr().out)
    assert tested["owners"] == pytest.approx(last["eval/owners"], abs=0.01)
    again = f"{SHORT} {OWNERS} --no-norm --start {file} --steps 1 --learning-rate 1e-12 --eval-period 1"
    started = rows(fitted(walls, tmp_path / "started", again))[-1]
    assert started["eval/owners"] == pytest.approx(last["eval/owners"], abs=0.01)


def test_a_run_that_learns_owners_goes_on_exactly(walls: Path, tmp_path: Path) -> None:
    whole = fitted(walls, tmp_path / "whole", f"{SHORT} {OWNERS} --cooldown 0")
    halves = fitted(walls, tmp_path / "halves", f"{SHORT} {OWNERS} --cooldown 0 --steps 7")
    assert main(["perceive", "fit", "--resume", str(halves), "--steps", "12"]) == 0
    assert digest(halves) == digest(whole)


def test_metrics_of_which_a_batch_has_no_example_count_for_no_update() -> None:
    loop = _Loop()
    for metrics in ({"loss": 1.0, "owners": 0.8}, {"loss": 2.0}, {"loss": 6.0, "owners": 0.6}):
        loop.add(metrics)
    again = _Loop.of(dataclasses.asdict(loop))
    assert again.row() == {"losses/loss": 3.0, "losses/owners": pytest.approx(0.7)}
    assert again.row() == {}


def test_the_loop_of_an_older_checkpoint_has_one_count_for_all() -> None:
    loop = _Loop.of({"sums": {"loss": 6.0}, "count": 2, "last_eval": {}})
    loop.add({"loss": 6.0, "owners": 1.0})
    assert loop.row() == {"losses/loss": 4.0, "losses/owners": 1.0}


def test_what_has_no_example_kept_aside_is_not_told(
    walls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in walls.iterdir():
        text = path.read_text()
        path.write_text(re.sub(r"RE\[(.)[^]]*", r"RE[\1+R", text) if "DT[2017-04" in text else text)
    run = fitted(walls, tmp_path / "run", f"{SHORT} {OWNERS} --eval-period 4")
    assert "known of 50 and 0 of them: how well that is told of unseen games is not measured" in capsys.readouterr().err
    evaluations = [row for row in rows(run) if "eval/top1" in row]
    assert len(evaluations) == 3
    assert all("eval/winner" in row and "eval/owners" not in row for row in evaluations)
    assert main(["perceive", "evaluate", str(run)]) == 0
    assert "owners" not in capsys.readouterr().out


def test_points_of_games_that_were_not_counted_teach_nothing() -> None:
    task = GoPolicy(None, None, GoPolicyConfig(heads="policy+value+ownership"))  # type: ignore[arg-type]  # no games
    rng = np.random.default_rng(0)
    said = torch.from_numpy(rng.uniform(-1, 1, (3, 5, 5))).float().requires_grad_()
    owner = rng.integers(-1, 2, (3, 5, 5)).astype(np.int8)
    owner[1] = 0  # of a game that was not counted
    action = torch.tensor([3, 25, 0])
    targets = {"action": action, "outcome": torch.zeros(3), "owner": torch.from_numpy(owner)}
    loss, metrics = task.judge(BoardOutputs(torch.zeros(3, 26), None, said), targets)
    counted, told = said.detach().numpy()[[0, 2]], owner[[0, 2]]
    error = np.mean((counted - told) ** 2)
    assert loss.item() == pytest.approx(np.log(26) + 0.5 * error)
    means = {name: (total / count).item() for name, (total, count) in metrics.items()}
    assert means["ownership_error"] == pytest.approx(error)
    assert means["owners"] == pytest.approx(np.mean((counted * told > 0)[told != 0]))
    loss.backward()
    assert said.grad is not None
    assert (said.grad[1] == 0).all()
    unknown = {**targets, "owner": torch.zeros(3, 5, 5)}
    assert task.judge(BoardOutputs(torch.zeros(3, 26), None, said), unknown)[0].item() == pytest.approx(np.log(26))


def test_a_fit_begins_with_the_weights_of_a_network(games: Path, tmp_path: Path) -> None:
    short = f"{SHORT} --no-norm"
    first, start = fitted(games, tmp_path / "first", short), tmp_path / "start.safetensors"
    assert main(["perceive", "export", str(first), "--out", str(start)]) == 0
    again = f"{short} --start {start} --heads policy+value --steps 1 --learning-rate 1e-12 --eval-period 1"
    run = fitted(games, tmp_path / "run", again)
    before, after = (rows(folder)[-1] for folder in (first, run))
    for metric in ("eval/top1", "eval/top5", "eval/policy_loss"):
        assert after[metric] == pytest.approx(before[metric], abs=1e-4), metric
    assert "eval/winner" in after, "a head that the network lacked"
    file = tmp_path / "again.safetensors"
    assert main(["perceive", "export", str(run), "--out", str(file), "--heads", "policy"]) == 0
    assert load_network(file).card.about["settings"]["task_config"]["start"] == "start.safetensors"


def test_data_counts_what_is_left_out(games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "new" / "bad.txt"
    assert main(["perceive", "data", "go-policy", "--data", str(games), "--size", "5", "--bad", str(bad)]) == 0
    out = capsys.readouterr().out
    assert "13 files: 12 games of 240 moves" in out
    assert "1 an illegal move" in out
    assert "move 2: the point is occupied" in bad.read_text()


def test_what_can_not_be_written_is_named(games: Path, tmp_path: Path, refused: Check) -> None:
    run = fitted(games, tmp_path / "run", f"{SHORT} --steps 1")
    (tmp_path / "afile").touch()
    refused("perceive data go-policy --data GAMES --size 5 --bad afile/x.txt", "afile/x.txt can't be written")
    refused(f"perceive export {run} --out afile/x.safetensors", "the network can't be written to afile/x.safetensors")


def test_list_and_help_name_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["perceive", "list"]) == 0
    assert "go-policy" in capsys.readouterr().out
    for command in ("perceive --help", "perceive fit go-policy --help", "perceive evaluate --help"):
        assert main(command.split()) == 0
        assert "tengen perceive" in capsys.readouterr().out


@pytest.fixture
def refused(games: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)

    def check(command: str, *fragments: str) -> None:
        code = main(
            command.replace("GAMES", str(games)).replace("SHIPPED", str(named_network("go_policy_9x9"))).split()
        )
        err = capsys.readouterr().err.splitlines()[-1]
        assert code == 2
        assert err.startswith("tengen: error: "), err
        for fragment in fragments:
            assert fragment in err, err

    return check


Check = Callable[..., None]


@pytest.mark.parametrize(
    ("command", "fragments"),
    [
        ("perceive fti", ["'fti'", "Did you mean 'fit'?"]),
        ("perceive fit", ["say which task", "go-policy"]),
        ("perceive fit go-polcy", ["'go-polcy'", "Did you mean 'go-policy'?"]),
        ("perceive fit go-policy", ["--data is missing"]),
        ("perceive fit go-policy --data nowhere", ["there is no file or folder nowhere"]),
        ("perceive fit go-policy --data .", ["there is no .sgf file"]),
        ("perceive fit go-policy --data GAMES", ["none of the 13 SGF files", "another board size"]),
        ("perceive fit go-policy --data GAMES --size 20", ["--size must be from 2 to 19", "20"]),
        ("perceive fit go-policy --data GAMES --size 5 --split 2001-01", ["no game of", "--split"]),
        ("perceive fit go-policy --data GAMES --split April", ["such as 2017-04", "'April'"]),
        (
            "perceive fit go-policy --data GAMES --size 5 --heads policy+value+ownership",
            ["no game of", "before 2017-04 ends with a count that can be followed", "choose --heads policy+value"],
        ),
        ("perceive fit go-policy --data GAMES --heads all", ["--heads must be", "'all'"]),
        ("perceive fit go-policy --data GAMES --width 0", ["--width must be from 1"]),
        ("perceive fit go-policy --data GAMES --optimizer adam", ["--optimizer must be", "'adam'"]),
        ("perceive fit go-policy --data GAMES --steps 0", ["--steps must be at least 1"]),
        ("perceive fit go-policy --data GAMES --size 5 --start nowhere", ["there is no network file nowhere"]),
        (
            "perceive fit go-policy --data GAMES --size 5 --start go_policy_19x19 --width 8",
            ["--start go_policy_19x19 is a PolicyCNN of layers 12, norm False", "width 8: ask for the same layers"],
        ),
        (
            "perceive fit go-policy --data GAMES --size 5 --start GAMES",
            ["is a folder, not a network file: `tengen perceive export RUN --out FILE` makes one of a run"],
        ),
        ("perceive fit --resume nowhere", ["nowhere is not a run"]),
        ("perceive evaluate nowhere", ["there is no network file nowhere", "Shipped: "]),
        ("perceive evaluate go_policy_9x9", ["give --data and --after"]),
        ("perceive evaluate go_policy_9x9 --checkpoint 3", ["--checkpoint is for runs, and go_policy_9x9 is a file"]),
        ("perceive evaluate GAMES/1.sgf --data GAMES --after 2017-04", ["1.sgf", "can't be read"]),
        ("perceive evaluate GAMES", ["is not a run"]),
        (
            "perceive evaluate SHIPPED --data GAMES --after 2017-04 --examples -1",
            ["--examples must be at least 1", "-1"],
        ),
        ("perceive evaluate SHIPPED --data GAMES --after 2017-04 --examples 0", ["--examples must be at least 1", "0"]),
        ("perceive export nowhere --out x.safetensors", ["there is no run nowhere"]),
        ("perceive export GAMES --out x.pt", [".safetensors"]),
        ("perceive data --data GAMES", ["say which task"]),
        ("perceive data go-policy --data GAMES --size 99", ["--size must be from 2 to 19", "99"]),
    ],
)
def test_what_is_wrong_is_said_in_a_line(refused: Check, command: str, fragments: list[str]) -> None:
    refused(command, *fragments)


def test_a_run_refuses_other_settings_other_games_and_a_second_start(
    refused: Check, games: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(games, tmp_path / "own"))
    run = fitted(own, tmp_path / "run", SHORT.replace("--steps 12", "--steps 4"))
    refused(f"perceive fit --resume {run} --width 9", "--width can't change")
    refused(f"perceive fit --resume {run} --steps 2", "is at step 4 already")
    refused(f"{SHORT} --data GAMES --run-dir {run}", "holds another run")
    for command in ("train --resume", "inspect", "evaluate", "play", "checkpoint"):
        refused(f"{command} {run}", f"{run} is a run of `tengen perceive fit`", "test it by `tengen perceive evaluate`")
    refused(f"play {run} --human", f"`tengen play go --network {run}`")
    (own / "0.sgf").unlink()
    refused(f"perceive fit --resume {run} --steps 8", "the examples of", "no longer those")


def test_a_fit_that_can_not_go_on_is_left_as_it_was(
    refused: Check, games: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fitted(games, tmp_path / "run", SHORT.replace("--steps 12", "--steps 4"))
    with open(run / "metrics.jsonl", "a") as file:  # as a kill after the checkpoint leaves it
        file.write('{"global_step": 5, "charts/SPS": 1.0}\n')

    def refused_and_unchanged(*fragments: str) -> None:
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "lock"}
        refused(f"perceive fit --resume {run} --steps 8 --track tensorboard", *fragments)
        assert {path: path.read_bytes() for path in before} == before
        assert not (run / "tensorboard").exists()

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
        refused_and_unchanged("pip install 'tengen[tensorboard]'")
    for damaged in ("{", '{"command": 1}'):
        (run / "sessions.json").write_text(damaged)
        refused_and_unchanged("sessions.json")
