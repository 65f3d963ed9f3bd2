"""`benchmarks/book.py`: when a row agrees, how it ends, and that its exact items run."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import _book_rows
import book
import numpy as np
import pytest
from _book_bootstrap import smoothed_minimum
from _book_dyna import first_below, first_column
from _book_rows import EXPECTED_RUNS, exact, sampled, summary, table, write_csv
from _book_runs import Effort, Item, Result, Trial, in_threads, repeat

from tengen.agents.tabular import QLearningConfig
from tengen.types import Floats

EXACT = ["gridworld", "small_gridworld", "gambler", "frozen_lake", "taxi", "cliff_exact", "windy_exact"]


# --- When a row agrees ---


@pytest.mark.parametrize(
    ("ours", "expected", "agrees"),
    [
        (0.15951, "0.16", True),
        (0.1544, "0.16", False),
        (0.1656, "0.16", False),
        (14.4, "15", False),
        (14.6, "15", True),
        (21.977485, "21.978", True),  # was rounded twice
        (21.9774, "21.978", False),
        (-50.9, "-51.813", False),
    ],
)
def test_an_exact_row_agrees_to_the_last_printed_digit(ours: float, expected: str, agrees: bool) -> None:
    assert exact("x", ours, expected).agrees is agrees


def values(mean: float, spread: float, count: int) -> Floats:
    """So many values of exactly this mean and sample deviation."""
    own = np.random.default_rng(0).normal(size=count)
    scaled: Floats = mean + spread * (own - own.mean()) / own.std(ddof=1)
    return scaled


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_sampled_row_agrees_within_three_combined_standard_errors(sign: int) -> None:
    allowed = 3 * 2.0 * math.sqrt(1 / 100 + 1 / EXPECTED_RUNS) + 0.055
    for apart, agrees in ((0.99, True), (1.01, False)):
        assert sampled("x", values(5.0 + sign * apart * allowed, 2.0, 100), "5.0").agrees is agrees
    without = 3 * 2.0 / math.sqrt(100) + 0.055
    for apart, agrees in ((0.99, True), (1.01, False)):
        own = values(5.0 + sign * apart * without, 2.0, 100)
        assert sampled("x", own, "5.0", expected_is_exact=True).agrees is agrees


def test_a_number_that_is_not_there_does_not_agree() -> None:
    assert not exact("x", math.nan, "1.0").agrees
    assert not first_below(np.full((20, 3), 50), 20.0, "2", "x", "").agrees


def test_only_a_gated_row_is_off() -> None:
    rows = [exact("a", 1.0, "2"), exact("b", 1.0, "2", gated=False), exact("c", 1.0), exact("d", 2.0, "2")]
    assert [row.verdict for row in rows] == ["OFF", "differs", "-", "agrees"]
    assert [row.quantity for row in _book_rows.off(rows)] == ["a"]
    assert summary(rows).splitlines()[0].startswith("1 of 2 gated rows agree, and 0 of 1 others")
    assert "OFF: : a: 1, expected 2" in summary(rows)


def test_the_first_episode_below_a_limit_is_of_the_mean_and_has_the_error_of_drawing_runs_anew() -> None:
    lengths = np.array([[30, 25, 10, 10], [30, 14, 40, 10]])
    assert first_column(lengths, 20.0) == 2.0
    assert first_column(lengths, 19.0) == 4.0
    row = first_below(np.repeat([[30, 22, 18]], 50, axis=0), 20.0, "3", "x", "")
    assert (row.ours, row.error, row.expected_error) == (3.0, 0.0, 0.0)
    rng = np.random.default_rng(1)
    noisy = rng.normal([30, 20, 18], 10.0, (200, 3)).round().astype(np.int64)  # the second is about the limit
    assert 0.3 < first_below(noisy, 20.0, "2", "x", "").error < 0.7


def test_the_minimum_of_noisy_points_is_that_of_a_parabola_through_the_least_of_them() -> None:
    x = np.linspace(0, 1, 11)
    assert smoothed_minimum(x, (x - 0.43) ** 2) == pytest.approx(0.43)
    assert smoothed_minimum(x, x) == pytest.approx(0.0)


# --- Repetitions ---


def q_of_runs(num_runs: int) -> list[Floats]:
    def measure(trial: Trial) -> Floats:
        trial.episodes(3)
        return np.array(trial.agent.learner.q)

    config = QLearningConfig(initial_value=1.0)
    return repeat(config, "FrozenLake-v1", Effort(seed=4), num_runs, "test", measure)


def test_a_repetition_does_not_depend_on_how_many_there_are_nor_on_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    many = q_of_runs(5)
    monkeypatch.setattr("_book_runs.num_cores", lambda: 1)
    few = q_of_runs(3)
    np.testing.assert_array_equal(many[:3], few)
    assert not np.array_equal(many[0], many[1])


def test_work_in_threads_keeps_its_order() -> None:
    for count in (1, 2, 7):
        assert in_threads(lambda part: [2 * n for n in part], list(range(count))) == [2 * n for n in range(count)]


# --- The command ---


def test_exact_items_agree_and_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert book.main(["--only", *EXACT, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "gated rows agree" in printed
    assert "OFF" not in printed
    rows = list(csv.DictReader((tmp_path / "book.csv").read_text().splitlines()))
    assert {row["verdict"] for row in rows if row["gated"] == "yes"} == {"agrees"}
    assert {"0.740165", "7.93", "-51.8132"} <= {row["ours"] for row in rows}
    pictures = {path.stem: path.stat().st_size for path in (tmp_path / "book").glob("*.png")}
    assert pictures.keys() == {"gridworld", "small_gridworld", "gambler"}
    assert max(pictures.values()) < 60_000


def item(ours: float, *, gated: bool) -> Item:
    return Item("one", "One", lambda effort: Result([exact("x", ours, "2", gated=gated)]))


@pytest.mark.parametrize(("ours", "gated", "code"), [(2.0, True, 0), (1.0, True, 1), (1.0, False, 0)])
def test_it_fails_where_a_gated_row_is_off(
    ours: float, gated: bool, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(book, "ITEMS", (item(ours, gated=gated),))
    monkeypatch.setattr(book, "RESULTS", tmp_path)
    assert book.main(["--quick"]) == code
    assert not list(tmp_path.iterdir())  # a quick run leaves the results of a full one alone
    assert book.main([]) == code
    assert (tmp_path / "book.csv").exists()


def test_an_unknown_item_is_refused_with_the_names_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        book.main(["--only", "gamblers"])
    assert stopped.value.code == 2
    assert "gambler" in capsys.readouterr().err


def test_the_csv_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "book.csv"
    good = replace(exact("x", 1.0, "1"), item="One")
    write_csv(path, [good])
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        write_csv(path, [good, None])  # type: ignore[list-item]
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_table_shows_ours_beside_the_expected() -> None:
    rows = [replace(sampled("mean", values(5.0, 2.0, 100), "5.1"), item="One"), replace(exact("n", 3.0), item="One")]
    assert [line.split() for line in table(rows).splitlines()] == [
        ["One"],
        ["mean", "5", "+-", "0.2", "5.1", "agrees"],
        ["n", "3", "-"],
    ]


def test_every_item_has_a_name_of_its_own() -> None:
    names = [item.name for item in book.ITEMS]
    assert len(set(names)) == len(names)
