from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
import scipy.stats  # type: ignore[import-untyped] # it ships no types
from hypothesis import given
from hypothesis import strategies as st

from tengen.evaluation.separation import (
    Separation,
    corrected,
    holm,
    number,
    paired_comparison,
    permutation_test,
    probability,
    separation,
)
from tengen.evaluation.thresholds import first_reached, kaplan_meier_median, time_to_threshold
from tengen.types import Floats


def column(*scores: float) -> Floats:
    return np.array(scores, float)[:, None]


def compare(a: Floats, b: Floats, paired: Floats | None = None) -> Separation:
    return separation("ann", "bob", a, b, np.random.default_rng(0), paired=paired, resamples=2_000)


# --- The permutation test ---


def permutation_twin(a: Floats, b: Floats) -> float:
    """Every assignment, one after the other."""
    scores = np.concatenate([a, b])
    seen = abs(a.mean() - b.mean())
    ways = list(combinations(range(len(scores)), len(a)))
    extreme = 0
    for way in ways:
        others = [k for k in range(len(scores)) if k not in way]
        extreme += abs(scores[list(way)].mean() - scores[others].mean()) >= seen - 1e-9
    return extreme / len(ways)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 5), m=st.integers(1, 5))
def test_p_is_the_part_of_assignments_that_differ_as_much(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n).round(1), rng.normal(size=m).round(1)
    found, smallest = permutation_test(a[:, None], b[:, None], rng)
    assert found == pytest.approx(permutation_twin(a, b))
    assert found >= smallest - 1e-12


def test_p_equals_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.8, 1, 6), rng.normal(0, 1, 6)
    oracle = scipy.stats.permutation_test((a, b), lambda x, y: x.mean() - y.mean(), n_resamples=np.inf)
    assert permutation_test(a[:, None], b[:, None], rng)[0] == pytest.approx(oracle.pvalue)


def test_drawn_assignments_give_nearly_the_p_of_all() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.6, 1, (12, 1)), rng.normal(0, 1, (12, 1))  # 2.7 million assignments: drawn
    oracle = scipy.stats.ttest_ind(a[:, 0], b[:, 0]).pvalue
    assert permutation_test(a, b, rng, resamples=40_000)[0] == pytest.approx(oracle, rel=0.15)


def test_over_several_tasks_runs_change_sides_within_their_task() -> None:
    # One task is far above the other: were runs mixed over tasks, nothing could be told.
    a = np.array([[1.0, 101.0], [1.1, 101.1], [1.2, 101.2], [1.3, 101.3]])
    found, smallest = permutation_test(a, a - 0.5, np.random.default_rng(0), resamples=40_000)
    assert found < 0.002
    assert smallest == pytest.approx(2 / 70**2)


def test_three_runs_against_three_never_come_below_a_tenth() -> None:
    found, smallest = permutation_test(column(1, 2, 3), column(101, 102, 103), np.random.default_rng(0))
    assert found == smallest == pytest.approx(0.1)


def test_agents_that_are_the_same_are_separated_no_more_often_than_the_level_says() -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        found = separation("a", "b", rng.normal(size=(5, 1)), rng.normal(size=(5, 1)), rng, resamples=300)
        wrong += found.separated
    assert wrong / 400 <= 0.08


# --- Corrections and pairs of seeds ---


def test_holms_correction_is_that_of_the_book() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_p_of_drawn_assignments_is_never_zero_since_the_one_that_was_seen_is_one_of_them() -> None:
    ours, theirs = np.full((12, 2), 100.0), np.zeros((12, 2))
    p, _ = permutation_test(ours, theirs, np.random.default_rng(0), resamples=999)
    assert p == pytest.approx(1 / 1_000)


def test_looking_at_many_pairs_asks_more_of_each() -> None:
    one = compare(column(*range(4)), column(*range(100, 104)))
    assert one.separated
    together = corrected([one] * 10)
    assert not any(pair.separated for pair in together)
    assert "no scores could" in together[0].sentence()


@given(seed=st.integers(0, 2**32 - 1), pairs=st.integers(2, 8))
def test_seed_by_seed_p_is_the_part_of_signs_that_give_as_much(seed: int, pairs: int) -> None:
    rng = np.random.default_rng(seed)
    differences = rng.normal(0.5, 1, pairs)
    signs = np.array(list(product([1, -1], repeat=pairs)))
    twin = float((np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9).mean())
    found = paired_comparison(differences[:, None], rng, resamples=50)
    assert found is not None
    assert found.p_value == pytest.approx(twin)
    assert found.pairs == pairs


def test_five_seeds_in_pairs_never_come_below_a_sixteenth() -> None:
    found = paired_comparison(column(5, 6, 7, 8, 9), np.random.default_rng(0), resamples=500)
    assert found is not None
    assert found.p_value == 0.0625
    assert 5 <= found.difference.low <= found.difference.value == 7 <= found.difference.high <= 9


def test_a_single_pair_says_nothing() -> None:
    assert paired_comparison(column(5), np.random.default_rng(0)) is None


def test_many_pairs_are_drawn_from() -> None:
    differences = np.random.default_rng(0).normal(0.4, 1, (30, 1))
    found = paired_comparison(differences, np.random.default_rng(1), resamples=20_000)
    assert found is not None
    assert found.p_value == pytest.approx(scipy.stats.ttest_1samp(differences[:, 0], 0).pvalue, rel=0.3)


# --- The sentence ---


def test_the_sentence_names_the_better_agent_first_and_says_that_it_is_better() -> None:
    low, high = column(10, 11, 12, 13, 14), column(50, 51, 52, 53, 54)
    for found in (compare(low, high), compare(high, low)):
        better = "bob" if found.difference.value < 0 else "ann"
        worse = "ann" if better == "bob" else "bob"
        assert found.separated
        expected = f"{better} beats {worse}: mean final return 52 against 12, +40 (95% interval +38"
        assert found.sentence().startswith(expected)
        assert "p = 0.008, 5 runs each" in found.sentence()


def test_the_sentence_says_that_nothing_is_separated() -> None:
    found = compare(column(10, 20, 30, 40, 50), column(12, 18, 33, 41, 45))
    assert not found.separated
    assert found.sentence().startswith("The evidence does not separate ann from bob: ")
    assert "add seeds" not in found.sentence()


def test_the_sentence_says_that_runs_are_too_few() -> None:
    assert "With so few runs no scores could: add seeds." in compare(column(1, 2, 3), column(7, 8, 9)).sentence()
    assert compare(column(1), column(9)).sentence() == (
        "Too few runs to compare bob with ann: mean final return 9 against 1, 1 run each, which says nothing about "
        "other seeds."
    )


def test_the_sentence_says_that_scores_are_the_same() -> None:
    found = compare(column(500, 500, 500), column(500, 500, 500))
    assert not found.separated
    assert found.sentence() == "ann and bob scored the same: mean final return 500 in every run, 3 runs each."


def test_a_small_p_alone_does_not_separate() -> None:
    found = compare(column(10, 11, 12, 13, 14), column(50, 51, 52, 53, 54))
    assert not Separation(**{**found.__dict__, "difference": found.difference._replace(high=0.1)}).separated


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (500, "500"),
        (12345.6, "12,346"),
        (12.34, "12.3"),
        (1.234, "1.23"),
        (0.01234, "0.012"),
        (-0.000123, "-0.00012"),
    ],
)
def test_a_number_has_the_digits_that_it_needs(value: float, text: str) -> None:
    assert number(value) == text
    assert number(abs(value), signed=True) == f"+{text.removeprefix('-')}"


def test_a_p_value_is_never_0() -> None:
    assert [probability(p) for p in (2e-5, 0.0002, 0.0123, 0.5)] == ["< 0.0001", "= 0.0002", "= 0.012", "= 0.50"]


# --- Thresholds ---


def test_a_threshold_is_reached_at_the_first_score_that_is_as_good() -> None:
    times = np.array([10.0, 20.0, 30.0])
    assert first_reached(np.array([1.0, 5.0, 2.0]), times, 5.0) == 20
    assert first_reached(np.array([1.0, 4.9, 2.0]), times, 5.0) == np.inf


@given(seed=st.integers(0, 2**32 - 1), runs=st.integers(1, 9))
def test_the_median_time_is_kaplans_and_meiers(seed: int, runs: int) -> None:
    rng = np.random.default_rng(seed)
    watched = rng.integers(1, 6, runs).astype(float)
    at = np.where(rng.random(runs) < 0.6, rng.integers(1, 6, runs).astype(float), np.inf)
    at = np.where(at <= watched, at, np.inf)
    counts = rng.integers(0, 3, (1, runs)).astype(float)
    counts[0, 0] += 1
    drawn = np.repeat(np.arange(runs), counts[0].astype(int))
    happened = np.isfinite(at[drawn])
    sample = scipy.stats.CensoredData(uncensored=at[drawn][happened], right=watched[drawn][~happened])
    survival = scipy.stats.ecdf(sample).sf
    below = survival.quantiles[survival.probabilities <= 0.5 + 1e-9]
    assert kaplan_meier_median(at, watched, counts)[0] == (below[0] if len(below) else np.inf)


def test_runs_that_never_got_there_make_the_median_later_and_not_earlier() -> None:
    good = (np.array([0.0, 9.0]), np.array([100.0, 200.0]))
    bad = (np.array([0.0, 0.0]), np.array([100.0, 200.0]))
    rng = np.random.default_rng(0)
    most = time_to_threshold([good] * 3 + [bad] * 2, 5.0, rng)
    assert (most.median.value, most.median.high) == (200, np.inf)
    assert most.reached.sum() == 3
    assert time_to_threshold([good] * 2 + [bad] * 3, 5.0, rng).median.value == np.inf


def test_a_threshold_needs_runs_with_evaluations() -> None:
    with pytest.raises(ValueError, match="needs a run"):
        time_to_threshold([], 1.0, np.random.default_rng(0))
