"""The uniform replay, against a list of everything that was added, and by small examples worked out by hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_twin import EVENTS, NUM_ACTIONS, Kind, Single, StoredLog, Twin, experience, invent, stored, written

from tengen._jit import njit
from tengen.contracts import Replay, RowLog
from tengen.errors import UserError
from tengen.replay import FrameStore, UniformReplay, _kernels
from tengen.replay._memory import copy_bytes, prefetch
from tengen.types import Decision, EnvSpec, TimeStep, Transition


@njit(makes_arrays=False)
def copy_and_prefetch(target: Any, i: int, source: Any, j: int, count: int) -> None:
    prefetch(source, j)
    copy_bytes(target, i, source, j, count)


def what_can_be_sampled(replay: UniformReplay) -> Iterator[tuple[int, int]]:
    """Yield environment and row number, one by one; `len` counts them by what has changed."""
    rings = replay._store._rings
    for e, ready in enumerate(rings.ready):
        for row in range(_kernels.oldest(rings, e), ready):
            if _kernels.can_sample(rings, e, row):
                yield e, row


def assert_samples_are_the_twins(replay: UniformReplay, twin: Twin) -> None:
    """Assert that exactly the twin's transitions are drawn, each byte for byte."""
    expected = twin.transitions()
    assert len(replay) == len(expected)
    assert len(replay) == sum(1 for _ in what_can_be_sampled(replay))
    if not expected:
        with pytest.raises(ValueError, match="no complete transition yet"):
            replay.sample(1)
        return
    batch = replay.sample(30 * len(expected))  # one is missed once in 1e11
    assert set(batch.action.tolist()) == set(expected)
    for name, got in zip(Transition._fields, batch, strict=True):
        if got is not None:
            wanted = np.stack([getattr(expected[action], name) for action in batch.action.tolist()])
            assert got.dtype == wanted.dtype
            if name in ("reward", "bootstrap"):
                np.testing.assert_allclose(got, wanted, rtol=2**-23, atol=1e-45)
            else:
                np.testing.assert_array_equal(got, wanted)


@settings(max_examples=150)
@given(experience())
def test_what_can_be_sampled_is_exactly_what_the_twin_holds(drawn: tuple[Kind, list[list[str]]]) -> None:
    kind, events = drawn
    replay, twin = kind.replay(), kind.twin()
    assert len(replay) == 0
    for t, added in enumerate(invent(kind, events)):
        replay.add(*added)
        twin.add(*added)
        if t == len(events) // 2:
            assert_samples_are_the_twins(replay, twin)
        else:
            assert len(replay) == len(twin.transitions())
    assert_samples_are_the_twins(replay, twin)


@settings(max_examples=40)
@given(experience(), st.data())
def test_a_replay_goes_on_from_a_state_bit_for_bit(drawn: tuple[Kind, list[list[str]]], data: st.DataObject) -> None:
    kind, events = drawn
    straight, restored = kind.replay(seed=1), kind.replay(seed=2)
    when = data.draw(st.integers(0, len(events)))
    added = list(invent(kind, events))
    for one in added[:when]:
        straight.add(*one)
        if len(straight):
            straight.sample(2)
    if data.draw(st.booleans()):
        for one in invent(kind, events[::-1] * 2):  # what it held before is forgotten
            restored.add(*one)
    restored.load_state_dict(stored(straight.state_dict()))
    for later in [None, *added[when:]]:
        if later is not None:
            straight.add(*later)
            restored.add(*later)
        assert len(straight) == len(restored)
        if len(straight):
            for ours, theirs in zip(straight.sample(5), restored.sample(5), strict=True):
                np.testing.assert_array_equal(ours, theirs)
    assert written(straight.state_dict()) == written(restored.state_dict())


def play(replay: UniformReplay, kind: Kind, events: list[str], skip: int = 0) -> None:
    """Add the same events in all environments, without the first `skip` steps."""
    for added in list(invent(kind, [[event] * kind.num_envs for event in events]))[skip:]:
        replay.add(*added)


def by_action(replay: UniformReplay) -> dict[int, Single]:
    batch = replay.sample(30 * len(replay))
    found = {}
    for n, action in enumerate(batch.action.tolist()):
        row: list[Any] = [None if array is None else array[n].copy() for array in batch]
        found[action] = Single(*row)
    return found


def test_a_uniform_replay_is_a_replay() -> None:
    replay = Kind(num_rows=12, num_envs=2).replay()
    assert isinstance(replay, Replay)
    assert replay.capacity == 24


def count_up(kind: Kind, events: list[str]) -> UniformReplay:
    """Frames are numbers 1, 2, 3 ... and the action on frame i is i; the reward is 10 i."""
    replay = kind.replay()
    frames = [0] * (kind.frame_stack - 1) + [1]
    first = True
    for event in events:
        discount, last, _ = EVENTS[event]
        action = frames[-1]
        observation = np.array([frames], np.int64)
        frames = [*frames[1:], action + 1]
        step = TimeStep(observation, np.zeros(1), np.ones(1), np.array([first]), np.zeros(1, bool))
        after = TimeStep(
            np.array([frames], np.int64),
            np.array([10.0 * action]),
            np.array([discount]),
            np.zeros(1, bool),
            np.array([last]),
        )
        replay.add(step, Decision(np.array([action])), after)
        first = last
        if last:
            frames = [0] * (kind.frame_stack - 1) + [action + 2]
    return replay


NUMBERS = Kind((), np.int64, num_envs=1, frame_stack=3, gamma=0.5, num_rows=20)


def test_a_stack_runs_on_across_a_life_loss_and_nothing_is_bootstrapped_there() -> None:
    found = by_action(count_up(NUMBERS, ["goes on", "loses a life", "goes on"]))
    assert found[2].observation.tolist() == [0, 1, 2]
    assert found[2].next_observation.tolist() == [1, 2, 3]
    assert found[2].bootstrap == 0.0
    assert found[3].observation.tolist() == [1, 2, 3]
    assert found[3].bootstrap == 0.5


def test_a_truncated_step_bootstraps_from_the_final_observation_and_the_next_game_starts_with_zeros() -> None:
    found = by_action(count_up(NUMBERS, ["goes on", "is truncated", "goes on"]))
    assert found[2].next_observation.tolist() == [1, 2, 3]
    assert found[2].bootstrap == 0.5
    assert 3 not in found  # the final observation was not acted upon
    assert found[4].observation.tolist() == [0, 0, 4]


def test_n_steps_of_alternating_sides_are_summed_with_signs_and_cut_at_the_end() -> None:
    kind = NUMBERS._replace(n_step=3)
    found = by_action(count_up(kind, ["passes the turn", "passes the turn", "passes the turn", "terminates"]))
    assert found[1].reward == 10 - 0.5 * 20 + 0.25 * 30
    assert found[1].bootstrap == -0.125
    assert found[1].next_observation.tolist() == [2, 3, 4]
    assert found[3].reward == 30 - 0.5 * 40
    assert found[3].bootstrap == 0.0


def test_a_window_waits_for_its_n_steps() -> None:
    kind = NUMBERS._replace(n_step=3)
    assert len(count_up(kind, ["goes on"] * 2)) == 0
    assert set(by_action(count_up(kind, ["goes on"] * 4))) == {1, 2}
    assert set(by_action(count_up(kind, ["goes on"] * 3 + ["is truncated"]))) == {1, 2, 3, 4}


def test_every_transition_is_drawn_equally_often() -> None:
    kind = Kind(num_envs=3, n_step=2)
    replay, twin = kind.replay(seed=3), kind.twin()
    rng = np.random.default_rng(5)
    events = rng.choice(list(EVENTS), p=[0.6, 0, 0, 0.1, 0.1, 0.2, 0, 0], size=(40, 3)).tolist()
    for added in invent(kind, events):
        replay.add(*added)
        twin.add(*added)
    expected = twin.transitions()
    num_draws = 400 * len(expected)
    actions, counts = np.unique(replay.sample(num_draws).action, return_counts=True)
    assert set(actions.tolist()) == set(expected)
    chi_square = float(((counts - 400) ** 2 / 400).sum())
    freedom = len(expected) - 1
    assert abs(chi_square - freedom) < 4 * np.sqrt(2 * freedom)


def test_environments_that_have_recorded_unequally_much_are_drawn_by_what_they_hold() -> None:
    kind = Kind(num_envs=2, frame_stack=0, num_rows=100)
    replay = kind.replay()
    for added in invent(kind, [["goes on", "terminates"]] * 60):  # 60 transitions each, 61 and 100 rows
        replay.add(*added)
    assert len(replay) == 60 + 50
    of_second = replay.sample(11_000).action % 2
    assert abs(of_second.sum() - 5000) < 4 * np.sqrt(11_000 * 0.25)


def test_frames_of_84x84_take_at_most_7200_bytes_a_transition() -> None:
    kind = Kind((84, 84), np.uint8, num_envs=1, frame_stack=4, num_rows=303)
    replay = kind.replay()
    play(replay, kind, (["goes on"] * 99 + ["terminates"]) * 4)
    assert len(replay) == 300
    held = sum(array.nbytes for array in replay._store._rings)
    assert replay.nbytes == held
    assert held / len(replay) <= 7200


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from Linux's /proc")
def test_a_ring_that_is_not_filled_takes_no_memory() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    Kind((84, 84), np.uint8).replay()
    before = resident()
    replay = Kind((84, 84), np.uint8, num_rows=50_000).replay()
    assert replay.nbytes > 700_000_000
    assert resident() - before < 20_000_000


def test_the_arrays_of_a_sample_are_used_again() -> None:
    kind = Kind()
    replay = kind.replay()
    play(replay, kind, ["goes on"] * 5)
    first = replay.sample(4)
    assert replay.sample(4).observation is first.observation
    assert replay.sample(5).observation.shape == (5, 3, 2, 4)


def test_stacks_a_step_apart_are_kept_together_and_others_apart() -> None:
    for kind, together in ((Kind(), True), (Kind(n_step=2), False), (Kind(frame_stack=0), False)):
        replay = kind.replay()
        play(replay, kind, ["goes on"] * 6)
        batch = replay.sample(4)
        assert np.shares_memory(batch.observation, batch.next_observation) is together
        assert together or (batch.observation.flags.c_contiguous and batch.next_observation.flags.c_contiguous)


def test_kernels_copy_bytes_as_slices_do() -> None:
    rng = np.random.default_rng(0)
    source = rng.integers(256, size=300, dtype=np.uint8)
    for count in (0, 1, 7, 64, 200):
        target = np.zeros(300, np.uint8)
        expected = target.copy()
        expected[11 : 11 + count] = source[5 : 5 + count]
        copy_and_prefetch(target, 11, source, 5, count)
        np.testing.assert_array_equal(target, expected)


def test_what_was_added_is_not_written_to_and_may_be_changed_afterwards() -> None:
    kind = Kind(num_envs=1)
    replay = kind.replay()
    for added in invent(kind, [["goes on"]] * 3):
        copies = [np.array(a) for a in (added.step.observation, added.decision.actions, added.next_step.observation)]
        for array in (added.step.observation, added.next_step.observation):
            array.flags.writeable = False
        replay.add(
            added.step._replace(observation=copies[0]),
            Decision(copies[1]),
            added.next_step._replace(observation=copies[2]),
        )
        for array in copies:
            array[:] = 77
    assert 77 not in replay.sample(50).observation


def test_a_ring_of_more_rows_than_a_byte_counts_wraps_around() -> None:
    kind = Kind(num_envs=1, num_rows=300)  # frame numbers and ages are numbers of different sizes
    replay, twin = kind.replay(), kind.twin()
    for added in invent(kind, [["goes on"]] * 700):
        replay.add(*added)
        twin.add(*added)
    assert_samples_are_the_twins(replay, twin)


def test_a_stack_whose_start_is_padded_with_the_first_frame_is_refused() -> None:
    kind = Kind(num_envs=1)
    step, decision, next_step = next(invent(kind, [["goes on"]]))
    repeated = np.repeat(step.observation[:, -1:], 3, axis=1)
    with pytest.raises(UserError, match=r"environment 0: the stack of a first step is not zeros"):
        kind.replay().add(step._replace(observation=repeated), decision, next_step)


def test_an_observation_that_is_no_stack_is_refused() -> None:
    kind = Kind(num_envs=2)
    step, decision, next_step = next(invent(kind, [["goes on"] * 2]))
    shuffled = next_step.observation.copy()
    shuffled[1] = shuffled[1, ::-1]
    with pytest.raises(UserError, match=r"environment 1: the next stack is not this one with one frame shifted in"):
        kind.replay().add(step, decision, next_step._replace(observation=shuffled))


@pytest.mark.parametrize("shape", [(3, 8), (3, 4), (3, 5)])  # words of 8, 4 and 1 bytes
def test_one_number_that_is_not_what_it_was_is_noticed(shape: tuple[int, int]) -> None:
    kind = Kind(frame_shape=shape, num_envs=1, frame_stack=2)
    one, two = invent(kind, [["goes on"]] * 2)
    replay = kind.replay()
    replay.add(*one)
    for place in np.ndindex(shape):
        shown, next_shown = two.step.observation.copy(), two.next_step.observation.copy()
        shown[0, 1, *place] += 1
        next_shown[0, 0, *place] += 1
        with pytest.raises(UserError, match="the next stack is not this one"):
            replay.add(two.step, two.decision, two.next_step._replace(observation=next_shown))
        with pytest.raises(UserError, match="does not begin with what the last one ended with"):
            replay.add(two.step._replace(observation=shown), two.decision, two.next_step)
        padding = one.step.observation.copy()
        padding[0, 0, *place] = 1
        with pytest.raises(UserError, match="not zeros"):
            kind.replay().add(one.step._replace(observation=padding), one.decision, one.next_step)


@pytest.mark.parametrize("frame_stack", [0, 3])
def test_a_step_left_out_is_noticed(frame_stack: int) -> None:
    kind = Kind(num_envs=1, frame_stack=frame_stack)
    one, _, three = invent(kind, [["goes on"]] * 3)
    replay = kind.replay()
    replay.add(*one)
    with pytest.raises(UserError, match="add every step, in order"):
        replay.add(*three)


def test_a_step_past_the_last_one_is_refused() -> None:
    kind = Kind(num_envs=1)
    one, two = invent(kind, [["goes on"]] * 2)
    replay = kind.replay()
    replay.add(one.step, one.decision, one.next_step._replace(last=np.array([True])))
    with pytest.raises(UserError, match="not marked as first"):
        replay.add(*two)


@pytest.mark.parametrize("change", [lambda a: a.astype(np.float32), lambda a: a[:, 1:], lambda a: a[..., None]])
def test_an_observation_of_another_dtype_or_shape_is_refused(change: Any) -> None:
    kind = Kind()
    step, decision, next_step = next(invent(kind, [["goes on"] * 2]))
    with pytest.raises(UserError, match=r"the replay takes observations of uint8 \(3, 2, 4\), got"):
        kind.replay().add(step, decision, next_step._replace(observation=change(next_step.observation)))


def test_missing_legal_actions_are_noticed() -> None:
    step, decision, next_step = next(invent(Kind(), [["goes on"] * 2]))
    with pytest.raises(UserError, match="`has_legal` is wrong"):
        Kind(has_legal=True).replay().add(step, decision, next_step)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_rows": 5}, "a replay of 10 frames is too small .* give it at least 12"),
        ({"n_step": 0}, "n_step must be at least 1, got 0"),
        ({"gamma": 1.5}, r"gamma must be from 0 to 1, got 1\.5"),
        ({"frame_stack": -1}, "frame_stack must be from 0 to 255, got -1"),
        ({"frame_dtype": object}, "frames of dtype object can't be stored"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Kind()._replace(**changes).replay()


def test_capacity_is_shared_among_the_environments() -> None:
    replay = UniformReplay(FrameStore((), np.int64, capacity=100, num_envs=3), np.random.default_rng(0))
    assert replay.capacity == 99


@pytest.mark.parametrize(
    ("space", "frame_stack", "shape"),
    [
        (gym.spaces.Box(0, 255, (4, 84, 84), np.uint8), 4, (7, 4, 84, 84)),
        (gym.spaces.Box(0, 255, (4, 84, 84), np.uint8), 0, (7, 4, 84, 84)),
        (gym.spaces.Box(-1, 1, (5,), np.float32), 0, (7, 5)),
        (gym.spaces.Discrete(9), 0, (7,)),
        (gym.spaces.MultiDiscrete([3, 4]), 0, (7, 2)),
    ],
)
def test_a_spec_says_what_is_remembered(space: gym.Space[Any], frame_stack: int, shape: tuple[int, ...]) -> None:
    spec = EnvSpec("some/Env", space, gym.spaces.Discrete(NUM_ACTIONS), 2, frame_stack, has_legal=True)
    replay = UniformReplay(FrameStore.for_env(spec, capacity=40), np.random.default_rng(0))
    zeros = np.zeros((2, *(space.shape or ())), space.dtype)
    legal = np.ones((2, NUM_ACTIONS), bool)
    step = TimeStep(zeros, np.zeros(2), np.ones(2), np.ones(2, bool), np.zeros(2, bool), legal)
    replay.add(step, Decision(np.zeros(2, np.int64)), step._replace(first=np.zeros(2, bool)))
    batch = replay.sample(7)
    assert batch.next_observation.shape == shape
    assert batch.observation.dtype == space.dtype
    assert batch.next_legal is not None
    assert batch.next_legal.shape == (7, NUM_ACTIONS)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (gym.spaces.Dict({"a": gym.spaces.Discrete(2)}), "which is not one array"),
        (gym.spaces.Box(0, 255, (3, 8), np.uint8), "declares stacks of 4 frames, but observations"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(space: gym.Space[Any], message: str) -> None:
    spec = EnvSpec("some/Env", space, gym.spaces.Discrete(2), 1, frame_stack=4)
    with pytest.raises(UserError, match=message):
        FrameStore.for_env(spec, capacity=40)


def test_logs_number_complete_rows_by_insertion_and_rows_never_change() -> None:
    kind = Kind(num_envs=1, num_rows=10)
    replay = kind.replay()
    seen: dict[int, dict[str, bytes]] = {}
    before = (0, 0)
    for added in invent(kind, [["goes on"], ["goes on"], ["is given up"], ["is truncated"]] * 10):
        replay.add(*added)
        (log,) = replay.state_dict()["store"]["logs"]
        assert isinstance(log, RowLog)
        assert log.start >= before[0]
        assert log.stop > before[1]
        assert log.stop - log.start <= 9  # and the open row
        before = (log.start, log.stop)
        rows = log.read(log.start, log.stop)
        for name, unused in (("action", 0), ("reward", 0), ("discount", 1)):
            assert (rows[name][rows["final"]] == unused).all()  # nothing of the row that lay there before
        for number in range(log.start, log.stop):
            row = {name: array[number - log.start].tobytes() for name, array in rows.items()}
            assert seen.setdefault(number, row) == row
            assert {name: array[0].tobytes() for name, array in log.read(number, number + 1).items()} == row
    assert before[1] == 59  # 40 steps and 20 last observations, the newest of which is still open


def test_logs_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tengen.replay.storage._PIECE_BYTES", 100)
    kind = Kind(num_envs=1, num_rows=40)
    replay, restored = kind.replay(), kind.replay()
    play(replay, kind, ["goes on"] * 60)
    state = stored(replay.state_dict())
    restored.load_state_dict(state)
    assert 1 <= state["store"]["logs"][0].longest_read <= 4
    np.testing.assert_array_equal(replay.sample(99).observation, restored.sample(99).observation)


@pytest.mark.parametrize("frame_stack", [0, 3])
@pytest.mark.parametrize("forgotten", [False, True])
def test_after_empty_logs_it_starts_empty_in_mid_game_and_goes_on_numbering(frame_stack: int, forgotten: bool) -> None:
    kind = Kind(num_envs=2, frame_stack=frame_stack, n_step=2)
    replay, restored = kind.replay(), kind.replay()
    events = ["goes on"] * 30
    for added in list(invent(kind, [[e] * 2 for e in events]))[:9]:
        replay.add(*added)
    state = stored(replay.state_dict())
    for log in state["store"]["logs"]:
        log.start = log.stop = 0 if forgotten else log.stop
    restored.load_state_dict(state)
    assert len(restored) == 0
    again = kind.replay()
    again.load_state_dict(stored(restored.state_dict()))
    for now in (restored, again):
        play(now, kind, events, skip=9)
        expected = {a for a in range(18, 58) if a >= 2 * (30 - kind.num_rows + 1 + max(frame_stack - 1, 0))}
        found = by_action(now)
        assert set(found) == expected
        reference = kind.replay()
        play(reference, kind, events)
        for action, transition in by_action(reference).items():
            np.testing.assert_array_equal(transition.observation, found[action].observation)
            np.testing.assert_array_equal(transition.next_observation, found[action].next_observation)
        logs = now.state_dict()["store"]["logs"]
        assert [log.stop for log in logs] == [30 + max(frame_stack - 1, 0)] * 2


def test_a_replay_that_began_after_empty_logs_is_restored_without_rows_that_it_never_held() -> None:
    kind = Kind(num_envs=1, n_step=2)
    steps = list(invent(kind, [["goes on"]] * 14))
    replay, later, last = kind.replay(), kind.replay(), kind.replay()
    for added in steps[:9]:
        replay.add(*added)
    state = stored(replay.state_dict())
    state["store"]["logs"][0].start = state["store"]["logs"][0].stop
    later.load_state_dict(state)
    for added in steps[9:]:
        later.add(*added)
    last.load_state_dict(stored(later.state_dict()))
    assert len(later) == len(last) == 4
    assert set(by_action(last)) == {9, 10, 11, 12}


def test_a_game_joined_in_the_middle_is_remembered_with_whole_stacks() -> None:
    kind = Kind(num_envs=1, frame_stack=4, num_rows=30)
    replay, restored = kind.replay(), kind.replay()
    play(replay, kind, ["goes on"] * 12)
    play(restored, kind, ["goes on"] * 12, skip=5)
    whole, joined = by_action(replay), by_action(restored)
    assert set(joined) == set(range(5, 12))
    for action, transition in joined.items():
        np.testing.assert_array_equal(transition.observation, whole[action].observation)


@pytest.mark.parametrize(
    "changes", [{"num_rows": 13}, {"num_envs": 3}, {"frame_stack": 2}, {"frame_dtype": np.int8}, {"has_legal": True}]
)
def test_contents_of_another_replay_are_refused(changes: dict[str, Any]) -> None:
    kind = Kind()
    replay = kind.replay()
    play(replay, kind, ["goes on"] * 5)
    with pytest.raises(UserError, match="the replay's contents are of"):
        kind._replace(**changes).replay().load_state_dict(stored(replay.state_dict()))


def one_row_too_many(log: StoredLog) -> None:
    log.start -= 1
    log.rows = {name: np.concatenate([rows[:1], rows]) for name, rows in log.rows.items()}


@pytest.mark.parametrize(
    "damage",
    [
        lambda log: log.rows.pop("age"),
        lambda log: log.rows.update(frame=log.rows["frame"][..., :1]),
        lambda log: log.rows.update(reward=log.rows["reward"].astype(np.float64)),
        lambda log: setattr(log, "stop", log.stop - 1),
        one_row_too_many,
    ],
)
def test_rows_that_do_not_fit_are_refused(damage: Any) -> None:
    kind = Kind(num_envs=1)
    replay = kind.replay()
    play(replay, kind, ["goes on"] * 30)
    state = stored(replay.state_dict())
    damage(state["store"]["logs"][0])
    with pytest.raises(UserError, match=r"the replay's (stored )?rows"):
        kind.replay().load_state_dict(state)
