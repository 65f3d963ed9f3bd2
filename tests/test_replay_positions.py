"""The replay of positions of finished games."""

from __future__ import annotations

import numpy as np
import pytest

from tengen.errors import UserError
from tengen.replay.positions import PositionReplay, Positions
from tengen.types import Array


def replay(capacity: int = 10, seed: int = 0) -> PositionReplay:
    return PositionReplay((2,), np.int8, num_actions=3, capacity=capacity, rng=np.random.default_rng(seed))


def positions(start: int, stop: int) -> Positions:
    """Positions whose every number says which one it is."""
    number = np.arange(start, stop)
    return Positions(
        np.stack([number, number], 1).astype(np.int8),
        np.stack([number, number, number], 1).astype(np.float32),
        number.astype(np.float32),
        np.zeros((len(number), 0), np.int8),
    )


def held(memory: PositionReplay) -> set[int]:
    sample = memory.sample(2_000)
    assert np.array_equal(sample.observation[:, 0], sample.value)
    assert np.array_equal(sample.policy[:, 2], sample.value)
    return set(sample.value.astype(int).tolist())


def test_the_newest_positions_are_drawn_and_no_others() -> None:
    memory = replay(capacity=10)
    for start, stop in ((0, 4), (4, 9), (9, 13)):
        memory.add(positions(start, stop))
    assert len(memory) == 10
    assert held(memory) == set(range(3, 13))


def test_of_a_game_longer_than_the_replay_the_newest_positions_stay() -> None:
    memory = replay(capacity=5)
    memory.add(positions(0, 12))
    assert held(memory) == set(range(7, 12))


def test_draws_are_uniform() -> None:
    memory = replay(capacity=4)
    memory.add(positions(0, 4))
    counts = np.bincount(memory.sample(40_000).value.astype(int))
    assert np.all(np.abs(counts - 10_000) < 400)  # 4 standard deviations are 346


def test_a_sample_can_be_written_into() -> None:
    memory = replay()
    memory.add(positions(0, 1))
    memory.sample(1).observation[:] = 99
    assert held(memory) == {0}


def test_it_continues_exactly_where_its_state_was_taken() -> None:
    memory = replay(capacity=6)
    memory.add(positions(0, 9))
    memory.sample(3)
    other = replay(capacity=6, seed=1)
    other.load_state_dict(memory.state_dict())
    for one in (memory, other):
        one.add(positions(9, 11))
    assert all(np.array_equal(a, b) for a, b in zip(memory.sample(50), other.sample(50), strict=True))
    log = memory.state_dict()["rows"]
    assert (log.start, log.stop) == (5, 11)
    rows: dict[str, Array] = log.read(6, 10)
    assert rows["value"].tolist() == [6, 7, 8, 9]


def test_with_an_empty_log_it_is_empty_and_goes_on_counting() -> None:
    memory = replay()
    memory.add(positions(0, 4))
    state = memory.state_dict()

    class Empty:
        start = stop = 4

    other = replay()
    other.load_state_dict({**state, "rows": Empty()})
    assert len(other) == 0
    with pytest.raises(ValueError, match="no position yet"):
        other.sample(1)
    other.add(positions(4, 6))
    assert held(other) == {4, 5}


def test_contents_of_another_shape_are_refused() -> None:
    memory = replay()
    memory.add(positions(0, 4))
    smaller = PositionReplay((3,), np.int8, num_actions=3, capacity=10, rng=np.random.default_rng(0))
    with pytest.raises(UserError, match="observation"):
        smaller.load_state_dict(memory.state_dict())
    with pytest.raises(UserError, match="don't fit a replay of 3"):
        replay(capacity=3).load_state_dict(memory.state_dict())
    with pytest.raises(UserError, match="capacity of 0"):
        replay(capacity=0)
