"""`benchmarks/replay.py`: it runs, and it notices a replay that gives back what was not put in."""

from __future__ import annotations

import argparse
import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from _replay_sides import Game, Ours, Step, number_of

SCRIPT = importlib.util.spec_from_file_location(
    "replay_benchmark", Path(__file__).resolve().parents[1] / "benchmarks" / "replay.py"
)
assert SCRIPT is not None
assert SCRIPT.loader is not None
benchmark = importlib.util.module_from_spec(SCRIPT)
SCRIPT.loader.exec_module(benchmark)
SETTINGS = argparse.Namespace(batch_size=8)


def test_it_times_ours_and_checks_its_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)  # no peers
    monkeypatch.setattr(benchmark, "WANTED_RATE", 0.0)
    out = tmp_path / "replay.csv"
    arguments = ["--rounds", "2", "--seconds", "0.01", "--capacity", "300", "--million", "400", "--length", "20"]
    benchmark.main([*arguments, "--out", str(out)])
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["replay"] for row in rows] == ["UniformReplay", "PrioritizedReplay"] * 2
    assert all(row["contents"] == "3200 compared: the same" for row in rows)
    assert all(float(row["median"]) > 0 for row in rows)


def test_it_fails_where_ours_is_too_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(benchmark, "WANTED_RATE", 1e12)
    arguments = ["--rounds", "1", "--seconds", "0.01", "--capacity", "300", "--million", "0"]
    with pytest.raises(SystemExit, match=r"UniformReplay: \d+ batches/s, 1000000000000 are wanted"):
        benchmark.main([*arguments, "--out", str(tmp_path / "replay.csv")])


@pytest.mark.parametrize("field", Step._fields)
def test_a_sample_of_ours_that_differs_in_one_number_is_noticed(field: str) -> None:
    class Wrong(Ours):
        def plain(self, sample: Step) -> Step:
            right = super().plain(sample)
            array = np.array(getattr(right, field))
            array[3] = ~array[3] if array.dtype == np.bool_ else array[3] + (field != "observation")
            if field == "observation":
                array[3, 0, 50, 50] += 1
            return right._replace(**{field: array})

    side, game = Wrong(300), Game(20)
    benchmark.fill(side, game, 300)
    with pytest.raises(AssertionError, match="as it was not put in"):
        benchmark.contents(side, game, SETTINGS, 300)


def test_the_games_frames_are_numbered_and_padded_with_zeros() -> None:
    game = Game(3)
    steps = list(game.steps(5))
    assert [number for number, _ in steps] == [1, 2, 3, 5, 6]
    assert [game.index(number) for number, _ in steps] == [0, 1, 2, 3, 4]
    assert [step.terminated for _, step in steps] == [False, False, True, False, False]
    assert [number_of(step.next_observation) for _, step in steps] == [2, 3, 4, 6, 7]
    assert [stack.any() for stack in steps[4][1].observation] == [False, False, True, True]
