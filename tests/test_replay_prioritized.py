"""The prioritized replay, against plain lists and dictionaries, and its sum-tree against sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_twin import Kind, Twin, experience, invent, stored, written

from tengen.contracts import PrioritizingReplay
from tengen.errors import UserError
from tengen.replay import PrioritizedReplay, _sum_tree_kernels
from tengen.types import Floats, Ints, PrioritizedSample, Transition

EXPONENT, EPSILON = 0.6, 0.01


def make(kind: Kind, seed: int = 0, importance: Callable[[int], float] = lambda _: 0.5) -> PrioritizedReplay:
    rng = np.random.default_rng(seed)
    return PrioritizedReplay(kind.store(), rng, exponent=EXPONENT, importance=importance, epsilon=EPSILON)


def filled(kind: Kind, num_steps: int, seed: int = 0, importance: Callable[[int], float] = lambda _: 0.5) -> Any:
    replay = make(kind, seed, importance)
    for added in invent(kind, [["goes on"] * kind.num_envs] * num_steps):
        replay.add(*added)
    return replay


def priorities(replay: PrioritizedReplay) -> dict[int, float]:
    """Return the priorities that are not 0, by action."""
    leaves = replay.state_dict()["priorities"]
    return {int(replay._store.rings.action[e, slot]): float(leaves[e, slot]) for e, slot in np.argwhere(leaves)}


def copied(sample: PrioritizedSample) -> PrioritizedSample:
    transition = Transition(*(None if array is None else array.copy() for array in sample.transition))  # type: ignore[arg-type]  # next_legal alone may be None
    return PrioritizedSample(transition, sample.weights.copy(), sample.indices.copy())


class PriorityTwin:
    """Priorities in a dictionary, by the action of the transition."""

    def __init__(self, kind: Kind) -> None:
        self.twin: Twin = kind.twin()
        self.priority: dict[int, float] = {}
        self.greatest = 1.0

    def add(self, *added: Any) -> None:
        self.twin.add(*added)
        self.priority = {action: self.priority.get(action, self.greatest) for action in self.twin.transitions()}

    def update(self, actions: Ints, errors: Floats) -> None:
        for action, error in zip(actions.tolist(), errors.tolist(), strict=True):
            if action in self.priority:
                self.priority[action] = (abs(error) + EPSILON) ** EXPONENT
        learnt = (abs(errors[[action in self.priority for action in actions.tolist()]]) + EPSILON) ** EXPONENT
        self.greatest = max([self.greatest, *learnt.tolist()])


@settings(max_examples=120)
@given(experience(), st.data())
def test_priorities_are_the_twins_and_0_where_nothing_can_be_sampled(
    drawn: tuple[Kind, list[list[str]]], data: st.DataObject
) -> None:
    kind, events = drawn
    replay, twin = make(kind), PriorityTwin(kind)
    samples: list[tuple[Ints, Ints]] = []
    rng = np.random.default_rng(0)
    for added in invent(kind, events):
        replay.add(*added)
        twin.add(*added)
        if len(replay):
            sample = replay.sample(int(rng.integers(1, 6)))
            assert set(sample.transition.action.tolist()) <= set(twin.priority)
            samples.append((sample.indices.copy(), sample.transition.action.copy()))
        learns = data.draw(st.booleans())
        if samples and learns:
            indices, actions = samples[rng.integers(len(samples))]  # long overwritten, perhaps
            errors = rng.normal(size=len(indices)) * 3
            replay.update_priorities(indices, errors)
            twin.update(actions, errors)
        assert priorities(replay) == pytest.approx(twin.priority, rel=1e-12)
        assert len(replay) == len(twin.priority)
        rebuilt = replay._tree.copy()
        rebuilt[: len(rebuilt) // 2] = 0.0
        _sum_tree_kernels.rebuild(rebuilt)
        assert rebuilt.tobytes() == replay._tree.tobytes()


@settings(max_examples=60)
@given(experience())
def test_a_sample_holds_the_twins_transitions(drawn: tuple[Kind, list[list[str]]]) -> None:
    kind, events = drawn
    replay, twin = make(kind), kind.twin()
    for added in invent(kind, events):
        replay.add(*added)
        twin.add(*added)
    expected = twin.transitions()
    if not expected:
        with pytest.raises(ValueError, match="no complete transition yet"):
            replay.sample(1)
        return
    batch = replay.sample(2 * len(expected)).transition  # equal priorities, equal parts: each is drawn
    assert set(batch.action.tolist()) == set(expected)
    for name, got in zip(Transition._fields, batch, strict=True):
        if got is not None:
            wanted = np.stack([getattr(expected[action], name) for action in batch.action.tolist()])
            np.testing.assert_allclose(got, wanted, rtol=2**-23, atol=1e-45, err_msg=name)


@settings(max_examples=40)
@given(experience(), st.data())
def test_a_prioritized_replay_goes_on_from_a_state_bit_for_bit(
    drawn: tuple[Kind, list[list[str]]], data: st.DataObject
) -> None:
    kind, events = drawn
    straight, restored = make(kind, seed=1), make(kind, seed=2)
    when = data.draw(st.integers(0, len(events)))
    added = list(invent(kind, events))

    def learn(replay: PrioritizedReplay) -> PrioritizedSample | None:
        if not len(replay):
            return None
        sample = copied(replay.sample(4))
        replay.update_priorities(sample.indices, np.sin(sample.indices.astype(np.float64)) * 5)
        return sample

    for one in added[:when]:
        straight.add(*one)
        learn(straight)
    if data.draw(st.booleans()):
        for one in invent(kind, events[::-1] * 2):  # what it held before is forgotten
            restored.add(*one)
            learn(restored)
    restored.load_state_dict(stored(straight.state_dict()))
    assert restored._tree.tobytes() == straight._tree.tobytes()
    for later in [None, *added[when:]]:
        if later is not None:
            straight.add(*later)
            restored.add(*later)
        ours, theirs = learn(straight), learn(restored)
        if ours is None or theirs is None:
            assert ours is theirs is None
            continue
        for mine, its in zip((*ours.transition, *ours[1:]), (*theirs.transition, *theirs[1:]), strict=True):
            np.testing.assert_array_equal(mine, its)
    assert written(straight.state_dict()) == written(restored.state_dict())


def test_a_prioritized_replay_is_a_prioritizing_replay() -> None:
    assert isinstance(make(Kind()), PrioritizingReplay)


def test_transitions_are_drawn_in_proportion_to_their_priorities() -> None:
    replay = filled(Kind(num_envs=2, num_rows=40, frame_stack=0), 60)
    sample = copied(replay.sample(500))
    replay.update_priorities(sample.indices, np.random.default_rng(1).gamma(0.7, 2.0, size=500))
    found = priorities(replay)
    num_draws = 40_000
    batches = [replay.sample(25).transition.action.copy() for _ in range(num_draws // 25)]
    counts = np.bincount(np.concatenate(batches), minlength=max(found) + 1)
    total = sum(found.values())
    for action, priority in found.items():
        expected = num_draws * priority / total
        assert abs(counts[action] - expected) < 5 * np.sqrt(expected)  # strata make it less than binomial


def test_one_is_drawn_from_each_equal_part_of_the_sum() -> None:
    replay = filled(Kind(num_envs=1, num_rows=50, frame_stack=0), 40)
    assert len(replay) == 40
    for _ in range(5):
        assert np.array_equal(np.sort(replay.sample(40).transition.action), np.arange(40))


def test_weights_are_the_papers() -> None:
    replay = filled(Kind(num_envs=2, num_rows=20), 30, importance=lambda _: 0.4)
    sample = copied(replay.sample(30))
    replay.update_priorities(sample.indices, np.linspace(-2, 3, 30))
    found = priorities(replay)
    probability = {action: priority / sum(found.values()) for action, priority in found.items()}
    sample = replay.sample(16)
    weights = np.array([(len(replay) * probability[a]) ** -0.4 for a in sample.transition.action.tolist()])
    assert sample.weights.dtype == np.float32
    np.testing.assert_allclose(sample.weights, weights / weights.max(), rtol=1e-6)


def test_the_exponent_of_the_weights_follows_the_steps_that_were_added() -> None:
    asked = []

    def importance(step: int) -> float:
        asked.append(step)
        return 0.5

    replay = filled(Kind(num_envs=3), 7, importance=importance)
    replay.sample(2)
    again = make(Kind(num_envs=3), importance=importance)
    again.load_state_dict(stored(replay.state_dict()))
    again.sample(2)
    assert asked == [21, 21]


@pytest.mark.parametrize("beta", [-0.1, 1.1, np.nan])
def test_an_exponent_of_the_weights_out_of_range_is_refused(beta: float) -> None:
    with pytest.raises(UserError, match="importance weights must be from 0 to 1, got"):
        filled(Kind(), 5, importance=lambda _: beta).sample(1)


def test_what_is_new_gets_the_greatest_priority_seen_even_if_that_transition_is_gone() -> None:
    kind = Kind(num_envs=1, num_rows=10, frame_stack=0)
    added = list(invent(kind, [["goes on"]] * 30))
    replay = make(kind)
    replay.add(*added[0])
    replay.update_priorities(replay.sample(1).indices, np.array([-7.0]))
    for one in added[1:]:
        replay.add(*one)
    found = priorities(replay)
    assert 0 not in found
    assert set(found.values()) == {(7.0 + EPSILON) ** EXPONENT}


def test_an_index_whose_slot_was_written_over_changes_nothing() -> None:
    kind = Kind(num_envs=2, num_rows=10)
    added = list(invent(kind, [["goes on"] * 2] * 30))
    replay = make(kind)
    for one in added[:8]:
        replay.add(*one)
    old = replay.sample(20).indices.copy()
    for one in added[8:]:
        replay.add(*one)
    before = replay._tree.copy()
    replay.update_priorities(old, np.full(20, 100.0))
    np.testing.assert_array_equal(before, replay._tree)
    assert replay._greatest == 1.0


def test_of_equal_indices_the_last_error_counts() -> None:
    replay = filled(Kind(num_envs=1), 6)
    index = replay.sample(1).indices[0]
    replay.update_priorities(np.array([index] * 3), np.array([5.0, 2.0, 0.0]))
    assert min(priorities(replay).values()) == pytest.approx(EPSILON**EXPONENT)
    assert replay._tree[1] == pytest.approx(sum(priorities(replay).values()))


@pytest.mark.parametrize("error", [np.nan, np.inf, -np.inf])
def test_an_error_that_is_not_finite_is_refused_and_changes_nothing(error: float) -> None:
    replay = filled(Kind(), 6)
    before = replay._tree.copy()
    with pytest.raises(UserError, match="learning has diverged"):
        replay.update_priorities(replay.sample(2).indices, np.array([3.0, error]))
    np.testing.assert_array_equal(before, replay._tree)


def test_errors_of_any_size_leave_a_tree_that_can_be_drawn_from() -> None:
    kind = Kind(num_envs=1, num_rows=40, frame_stack=0)
    rng = np.random.default_rng(1)
    replay = PrioritizedReplay(kind.store(), rng, exponent=1.0, importance=lambda _: 1.0, epsilon=1e-300)
    for added in invent(kind, [["goes on"]] * 35):
        replay.add(*added)
    rng = np.random.default_rng(0)
    for _ in range(50):
        sample = replay.sample(35)
        assert np.isfinite(sample.weights).all()
        replay.update_priorities(sample.indices, rng.choice([0.0, 1e-320, 1e-9, 1.0, 1e30, 1.7e308], size=35))
        assert np.isfinite(replay._tree).all()


def test_float32_errors_are_taken() -> None:
    replay = filled(Kind(num_envs=1), 6)
    replay.update_priorities(replay.sample(1).indices, np.array([2.0], np.float32))
    assert max(priorities(replay).values()) == pytest.approx((2 + EPSILON) ** EXPONENT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exponent": 1.5}, r"the exponent of priorities must be from 0 to 1, got 1\.5"),
        ({"epsilon": 0.0}, r"the epsilon of priorities must be above 0 and at most 1, got 0\.0"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    settings = {"exponent": 0.5, "importance": lambda _: 1.0, **changes}
    with pytest.raises(UserError, match=message):
        PrioritizedReplay(Kind().store(), np.random.default_rng(0), **settings)


@pytest.mark.parametrize("forgotten", [False, True])
def test_after_empty_logs_it_starts_empty_and_goes_on(forgotten: bool) -> None:
    kind = Kind(num_envs=2, n_step=2)
    added = list(invent(kind, [["goes on"] * 2] * 30))
    replay, restored = make(kind), make(kind)
    for one in added[:9]:
        replay.add(*one)
    replay.update_priorities(replay.sample(4).indices, np.full(4, 3.0))
    state = stored(replay.state_dict())
    for log in state["store"]["logs"]:
        log.start = log.stop = 0 if forgotten else log.stop
    restored.load_state_dict(state)
    assert len(restored) == 0
    assert restored._tree[1] == 0.0
    for one in added[9:]:
        restored.add(*one)
    assert len(priorities(restored)) == len(restored) > 0
    assert set(priorities(restored).values()) == {(3.0 + EPSILON) ** EXPONENT}


@pytest.mark.parametrize("priority", [0.0, -1.0, np.nan, np.inf])
def test_a_state_whose_priorities_do_not_fit_its_rows_is_refused(priority: float) -> None:
    kind = Kind(num_envs=1)
    state = stored(filled(kind, 5).state_dict())
    state["priorities"][state["priorities"] > 0] = priority
    with pytest.raises(UserError, match="the checkpoint is damaged"):
        make(kind).load_state_dict(state)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 20), st.integers(0, 2**32))
def test_rows_are_drawn_as_from_a_list_of_sums(leaves: list[int], batch_size: int, seed: int) -> None:
    if not sum(leaves):
        leaves[-1] = 1
    tree = np.zeros(2 << (len(leaves) - 1).bit_length())
    tree[len(tree) // 2 :][: len(leaves)] = leaves
    _sum_tree_kernels.rebuild(tree)
    mass, weights = np.random.default_rng(seed).random(batch_size), np.zeros(batch_size, np.float32)
    leaf, env, row, index = np.zeros((4, batch_size), np.int64)
    points = (np.arange(batch_size) + mass) / batch_size * sum(leaves)
    head = np.array([len(leaves) - 1])
    _sum_tree_kernels.draw(tree, head, len(leaves), 0.5, mass, leaf, env, row, index, weights)
    np.testing.assert_array_equal(row, np.searchsorted(np.cumsum(leaves), points, side="right"))


def test_a_mass_as_great_as_the_sum_lies_in_the_last_leaf_that_has_any() -> None:
    tree = np.zeros(16)
    tree[8:] = [0, 3, 0, 0, 1, 0, 0, 0]
    _sum_tree_kernels.rebuild(tree)
    leaf = np.zeros(4, np.int64)
    _sum_tree_kernels.find_mass(tree, np.array([0.0, 2.9, 3.0, 4.0]), leaf)
    assert leaf.tolist() == [1, 1, 4, 4]


@given(st.integers(1, 40), st.lists(st.tuples(st.integers(-1, 39), st.floats(0, 1e10)), max_size=30))
def test_leaves_written_together_leave_the_tree_that_their_leaves_give(
    num_leaves: int, writes: list[tuple[int, float]]
) -> None:
    tree = np.zeros(2 << (num_leaves - 1).bit_length())
    plain = np.zeros(len(tree) // 2)
    writes = [(leaf, priority) for leaf, priority in writes if leaf < num_leaves]
    for leaf, priority in writes:
        if leaf >= 0:
            plain[leaf] = priority
    one_by_one = tree.copy()
    for leaf, priority in enumerate(plain):
        _sum_tree_kernels.set_leaf(one_by_one, leaf, priority)
    columns = np.array(writes).reshape(-1, 2)
    _sum_tree_kernels.set_leaves(tree, columns[:, 0].astype(np.int64), np.ascontiguousarray(columns[:, 1]))
    np.testing.assert_array_equal(tree[len(plain) :], plain)
    assert tree.tobytes() == one_by_one.tobytes()
    assert tree[1] == pytest.approx(plain.sum())
