from __future__ import annotations

import importlib
from typing import Any
from unittest import mock

import numpy as np
import pytest
import scipy.stats  # type: ignore[import-untyped] # it ships no types
from hypothesis import given
from hypothesis import strategies as st

from tengen.evaluation import statistics
from tengen.evaluation.statistics import (
    STATISTICS,
    Interval,
    bootstrap,
    difference,
    iqm,
    mean_curve,
    normalized,
    once_each,
    performance_profile,
    probability_of_improvement,
    resampled,
    sample_efficiency,
)
from tengen.types import Floats

SHAPES = [(5, 1), (5, 26), (10, 4), (3, 2), (1, 3)]


def scores_of(runs: int, tasks: int, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.normal(rng.uniform(0, 1, tasks), 0.4, (runs, tasks))


# --- Equal to rliable ---


@pytest.fixture(scope="module")
def rliable() -> Any:
    pytest.importorskip("rliable", reason="needs rliable, the oracle: pip install rliable")
    # arch, which it imports, calls this helper of pandas by the arguments that it had before pandas 3.
    unchanged = mock.patch("pandas.util._decorators.deprecate_kwarg", return_value=lambda function: function)
    with unchanged:
        importlib.import_module("rliable.library")
    importlib.import_module("rliable.metrics")
    return importlib.import_module("rliable")


@pytest.mark.parametrize("shape", SHAPES)
def test_point_estimates_equal_rliables(rliable: Any, shape: tuple[int, int]) -> None:
    scores = scores_of(*shape)
    for name, statistic in STATISTICS.items():
        oracle = getattr(rliable.metrics, f"aggregate_{name}")
        assert float(statistic(scores, once_each(scores))) == pytest.approx(float(oracle(scores)), rel=1e-12)


def close(found: Interval, value: Any, ends: Any, tolerance: float = 0.08) -> bool:
    """Whether intervals agree to within a part of their width, five standard errors of 2,000 resamples' percentiles."""
    width = np.asarray(ends[1] - ends[0]).max()
    near = [
        np.abs(np.asarray(mine) - other).max() <= tolerance * width for mine, other in zip(found[1:], ends, strict=True)
    ]
    return bool(np.allclose(found.value, value) and all(near))


def seed_rliable() -> None:
    np.random.seed(0)  # noqa: NPY002 -- rliable draws from numpy's global generator


def test_intervals_of_aggregates_equal_rliables_within_the_error_of_resampling(rliable: Any) -> None:
    scores = scores_of(5, 6)
    seed_rliable()
    oracles = [getattr(rliable.metrics, f"aggregate_{name}") for name in STATISTICS]
    values, ends = rliable.library.get_interval_estimates(
        {"a": scores}, lambda x: np.array([oracle(x) for oracle in oracles]), reps=2_000
    )
    found = bootstrap(scores, STATISTICS, np.random.default_rng(0))
    for k, name in enumerate(STATISTICS):
        assert close(found[name], values["a"][k], ends["a"][:, k]), name


def test_the_probability_of_improvement_equals_rliables(rliable: Any) -> None:
    a, b = scores_of(5, 3), scores_of(4, 3, seed=1)
    a[:2, 0] = b[:2, 0]  # ties count a half
    seed_rliable()
    value, ends = rliable.library.get_interval_estimates(
        {"pair": (a, b)}, rliable.metrics.probability_of_improvement, reps=600
    )
    found = probability_of_improvement(a, b, np.random.default_rng(0))
    assert close(found, value["pair"], ends["pair"][:, 0] if ends["pair"].ndim > 1 else ends["pair"], tolerance=0.12)


def test_performance_profiles_equal_rliables(rliable: Any) -> None:
    scores, thresholds = scores_of(5, 4), np.linspace(-0.5, 1.5, 9)
    seed_rliable()
    values, ends = rliable.library.create_performance_profile({"a": scores}, thresholds, reps=2_000)
    found = performance_profile(scores, thresholds, np.random.default_rng(0))
    # A part of runs moves in steps of 1 / 20.
    assert np.allclose(found.value, values["a"])
    assert np.abs(found.low - ends["a"][0]).max() <= 0.051
    assert np.abs(found.high - ends["a"][1]).max() <= 0.051


def test_sample_efficiency_curves_equal_rliables(rliable: Any) -> None:
    curves = np.cumsum(np.random.default_rng(0).uniform(0, 1, (5, 3, 4)), axis=-1)
    seed_rliable()
    values, ends = rliable.library.get_interval_estimates(
        {"a": curves},
        lambda x: np.array([rliable.metrics.aggregate_iqm(x[..., p]) for p in range(x.shape[-1])]),
        reps=2_000,
    )
    found = sample_efficiency(curves, np.random.default_rng(0), resamples=20_000)
    assert close(found, values["a"], ends["a"])


# --- Counts and statistics ---


@given(
    seed=st.integers(0, 2**32 - 1),
    runs=st.integers(1, 7),
    tasks=st.integers(1, 4),
    resamples=st.integers(1, 40),
    data=st.data(),
)
def test_a_resample_holds_as_many_runs_of_each_task_as_there_are_and_none_that_is_missing(
    seed: int, runs: int, tasks: int, resamples: int, data: st.DataObject
) -> None:
    scores = np.zeros((runs, tasks))
    sizes = [data.draw(st.integers(1, runs)) for _ in range(tasks)]
    for task, size in enumerate(sizes):
        scores[data.draw(st.permutations(range(runs)))[size:], task] = np.nan
    counts = np.concatenate(list(resampled(scores, np.random.default_rng(seed), resamples, chunk=7)))
    assert counts.shape == (resamples, runs, tasks)
    assert (counts.sum(axis=1) == sizes).all()
    assert (counts[:, np.isnan(scores)] == 0).all()


def test_every_run_is_drawn_equally_often_where_a_task_has_fewer_runs_than_another() -> None:
    scores = np.zeros((5, 2))
    scores[[0, 3], 1] = np.nan
    counts = np.concatenate(list(resampled(scores, np.random.default_rng(0), 40_000)))
    assert counts.mean(axis=0) == pytest.approx((~np.isnan(scores)).astype(float), abs=0.03)


def test_every_run_is_drawn_equally_often_and_tasks_by_themselves() -> None:
    counts = np.concatenate(list(resampled(np.zeros((4, 3)), np.random.default_rng(0), 40_000)))
    assert counts.mean(axis=0) == pytest.approx(np.ones((4, 3)), abs=0.03)
    assert counts[:, 0].var(axis=0) == pytest.approx(np.full(3, 0.75), abs=0.03)  # binomial: 4 draws of 1 in 4
    assert np.corrcoef(counts[:, 0].T) == pytest.approx(np.eye(3), abs=0.03)


def drawn_out(scores: Floats, counts: Floats) -> list[Floats]:
    """The scores of each task, as often as counted."""
    return [np.repeat(column, count.astype(int)) for column, count in zip(scores.T, counts.T, strict=True)]


TWINS = {
    "mean": lambda tasks: np.mean([task.mean() for task in tasks]),
    "median": lambda tasks: np.median([task.mean() for task in tasks]),
    "iqm": lambda tasks: scipy.stats.trim_mean(np.concatenate(tasks), 0.25),
    "optimality_gap": lambda tasks: 1 - np.mean([np.minimum(task, 1).mean() for task in tasks]),
}


@given(seed=st.integers(0, 2**32 - 1), runs=st.integers(1, 8), tasks=st.integers(1, 5))
def test_statistics_of_counts_are_those_of_the_scores_drawn_out(seed: int, runs: int, tasks: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(runs, tasks)).round(1)  # with ties
    (counts,) = resampled(scores, rng, 3)
    for name, statistic in STATISTICS.items():
        twin = [TWINS[name](drawn_out(scores, each)) for each in counts]
        assert statistic(scores, counts) == pytest.approx(twin, abs=1e-9), name


def test_a_task_with_fewer_runs_has_its_own_mean_and_fewer_scores_among_the_middle_half() -> None:
    scores = np.array([[0.0, 10.0], [1.0, np.nan], [2.0, np.nan], [3.0, np.nan]])
    assert statistics.mean(scores) == pytest.approx((1.5 + 10) / 2)
    assert iqm(scores) == pytest.approx(2.0)  # of 0 1 2 3 10 the middle three
    found = bootstrap(scores, STATISTICS, np.random.default_rng(0), resamples=500)
    assert found["mean"].low >= (0 + 10) / 2
    assert found["mean"].high <= (3 + 10) / 2


def test_one_run_has_an_interval_without_width() -> None:
    found = bootstrap(np.array([[3.0, 4.0]]), STATISTICS, np.random.default_rng(0), resamples=100)
    assert found["iqm"] == Interval(3.5, 3.5, 3.5)


def test_equal_scores_have_an_interval_without_width() -> None:
    assert bootstrap(np.full((5, 2), 7.0), STATISTICS, np.random.default_rng(0), resamples=100)["mean"] == (7, 7, 7)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((0, 2)), "each task needs a run"),
        (np.array([[1.0, np.nan]]), "each task needs a run"),
        (np.array([[1.0, np.inf]]), "infinite"),
        (np.zeros(3), r"\[runs, tasks\]"),
    ],
)
def test_scores_that_are_none_are_refused(scores: Floats, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap(scores, STATISTICS, np.random.default_rng(0), resamples=10)


def test_the_interval_of_a_difference_holds_the_true_one_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        a, b = rng.normal(1, 1, (20, 1)), rng.normal(0, 2, (30, 1))
        found = difference(a, b, rng, resamples=600)
        hits += found.low <= 1 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval() -> None:
    scores = scores_of(5, 3)
    first, second = (bootstrap(scores, STATISTICS, np.random.default_rng(3), resamples=900) for _ in range(2))
    assert first == second


def test_a_profile_falls_from_all_runs_to_none() -> None:
    scores = np.array([[1.0], [2.0], [3.0], [np.nan]])
    found = performance_profile(scores, np.array([0.0, 1.0, 2.5, 3.0]), np.random.default_rng(0), resamples=100)
    assert found.value == pytest.approx([1, 2 / 3, 1 / 3, 0])


def test_a_probability_of_improvement_of_an_agent_over_itself_is_a_half() -> None:
    scores = scores_of(5, 2)
    assert probability_of_improvement(scores, scores, np.random.default_rng(0), resamples=50).value == 0.5


def test_a_missing_run_neither_wins_nor_loses() -> None:
    a, b = np.array([[2.0], [4.0], [np.nan]]), np.array([[1.0], [3.0]])
    assert probability_of_improvement(a, b, np.random.default_rng(0), resamples=50).value == 0.75


def test_a_scale_has_random_at_0_and_the_human_at_1() -> None:
    assert normalized(np.array([[1.7, -20.7], [30.5, 14.6]]), np.array([1.7, -20.7]), np.array([30.5, 14.6])) == (
        pytest.approx(np.array([[0.0, 0.0], [1.0, 1.0]]))
    )


@pytest.mark.parametrize(("low", "high"), [(3.0, 3.0), (0.0, np.nan)])
def test_a_scale_needs_two_different_ends(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="two different ends"):
        normalized(np.zeros((2, 1)), low, high)


def test_a_mean_curve_is_the_sample_efficiency_of_the_mean() -> None:
    curves = np.random.default_rng(0).normal(size=(4, 2, 5)).cumsum(axis=-1)
    curves[3, 1] = np.nan
    slow = sample_efficiency(curves, np.random.default_rng(1), statistic=statistics.mean, resamples=300)
    fast = mean_curve(curves, np.random.default_rng(1), resamples=300)
    for one, other in zip(slow, fast, strict=True):
        assert one == pytest.approx(other)
