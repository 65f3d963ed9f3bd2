"""SimulatedEnvironment over a game with chance, tuples of arrays and its own step limit."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import pytest
from gymnasium.spaces import Box

from tengen.envs.simulated import SimulatedEnvironment
from tengen.envs.tictactoe import TicTacToe
from tengen.errors import UserError
from tengen.types import Array, Bools, Floats, Ints, TimeStep


class Dice(NamedTuple):
    total: Array  # int64 [B], the points of the side to move
    rolls: tuple[Array, Array]  # int8 [B, 2], the last two rolls; int64 [B], how many rolls there were


class DiceGame:
    """Two sides roll in turn; the action adds 0..2; the mover who passes 12 wins. `calls` records the batches."""

    num_actions = 3

    def __init__(self, deterministic: bool | None = None) -> None:
        self.calls: list[int] = []
        self.no_rolls = np.zeros((99, 2), np.int8)  # read-only: an environment that writes to it fails
        self.no_rolls.flags.writeable = False
        if deterministic is not None:
            self.deterministic = deterministic

    def init(self, rng: np.random.Generator, batch_size: int) -> Dice:
        return Dice(
            rng.integers(3, size=batch_size),
            (self.no_rolls[:batch_size], np.zeros(batch_size, np.int64)),
        )

    def observe(self, states: Dice) -> Array:
        last, count = states.rolls
        return np.column_stack([states.total, last, count]).astype(np.float32)

    def legal(self, states: Dice) -> Bools:
        legal = np.ones((len(states.total), 3), np.bool_)
        legal[:, 2] = (states.rolls[1] % 2 == 0) | (states.total > 12)
        return legal

    def step(self, states: Dice, actions: Ints, rng: np.random.Generator) -> tuple[Dice, Floats, Floats]:
        self.calls.append(len(actions))
        roll = rng.integers(1, 7, size=len(actions)) if not getattr(self, "deterministic", False) else 1 + actions
        total = states.total + actions + roll
        won = total > 12
        last = np.column_stack([states.rolls[0][:, 1], roll]).astype(np.int8)
        return Dice(total, (last, states.rolls[1] + 1)), won.astype(np.float64), np.where(won, 0.0, -1.0)


def make(num_envs: int = 3, limit: int | None = None, game: DiceGame | None = None) -> SimulatedEnvironment:
    space = Box(-100.0, 100.0, (4,), np.float32)
    return SimulatedEnvironment("test/Dice-v0", game or DiceGame(), space, num_envs, limit)


def leaves(step: TimeStep) -> list[Array]:
    total, (last, count) = step.state
    return [array for array in (*step[:6], total, last, count) if array is not None]


def assert_same(one: TimeStep, other: TimeStep) -> None:
    for a, b in zip(leaves(one), leaves(other), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def play(env: SimulatedEnvironment, seed: int, num_steps: int) -> list[TimeStep]:
    rng = np.random.default_rng(seed)
    steps = []
    for _ in range(num_steps):
        steps += [env.step(rng.integers(2, size=env.spec.num_envs)), env.reset_done()]
    return steps


def test_states_are_there_for_search_and_in_the_form_the_simulator_gave() -> None:
    env = make()
    step = env.reset(0)
    assert isinstance(step.state, Dice)
    assert env.spec.simulator is not None
    np.testing.assert_array_equal(env.spec.simulator.observe(step.state), step.observation)
    np.testing.assert_array_equal(env.spec.simulator.legal(step.state), step.legal)
    for step in play(env, 0, 20):
        np.testing.assert_array_equal(env.spec.simulator.observe(step.state), step.observation)
        np.testing.assert_array_equal(env.spec.simulator.legal(step.state), step.legal)


def test_the_other_side_moves_next_until_the_game_is_over() -> None:
    env = make(1)
    for step in play_after_reset(env):
        if step.first[0]:
            assert (step.reward[0], step.discount[0], step.last[0]) == (0.0, 1.0, False)
        elif step.last[0]:
            assert (step.reward[0], step.discount[0]) == (1.0, 0.0)
        else:
            assert (step.reward[0], step.discount[0]) == (0.0, -1.0)


def play_after_reset(env: SimulatedEnvironment, num_steps: int = 60) -> list[TimeStep]:
    return [env.reset(0), *play(env, 0, num_steps)]


def test_a_reset_of_finished_rows_leaves_the_others_untouched() -> None:
    env = make(4)
    env.reset(0)
    steps = play(env, 0, 60)
    resets = 0
    for before, after in zip(steps[0::2], steps[1::2], strict=True):
        for a, b in zip(leaves(before), leaves(after), strict=True):
            np.testing.assert_array_equal(a[~before.last], b[~before.last])
        np.testing.assert_array_equal(after.first, before.last)
        assert (after.state.rolls[1][before.last] == 0).all()
        resets += int(before.last.sum())
    assert resets > 20


def test_truncation_leaves_discount_at_minus_one() -> None:
    env = make(2, limit=2)
    assert env.spec.max_episode_steps == 2
    env.reset(np.array([0, 1]))
    zeros = np.zeros(2, np.int64)
    assert not env.step(zeros).last.any()
    step = env.step(zeros)
    assert step.last.all()
    going_on = step.state.total <= 12
    assert going_on.any()
    assert (step.discount[going_on] == -1.0).all()
    env.reset_done()
    assert not env.step(zeros).last.any()  # the count starts again
    assert env.step(zeros).last.all()


def test_a_seeds_game_is_the_same_whichever_row_plays_it() -> None:
    together, alone = make(3), make(1)
    seeds = np.array([5, 9, 5])
    steps = [together.reset(seeds)]
    actions = np.random.default_rng(0).integers(2, size=50)
    for action in actions:
        if steps[-1].last.any():
            break
        steps.append(together.step(np.array([action, 1 - action, action])))
    assert len(steps) > 2
    for row, flip in ((0, False), (1, True), (2, False)):
        again = [alone.reset(seeds[row : row + 1])]
        again += [alone.step(np.array([1 - a if flip else a])) for a in actions[: len(steps) - 1]]
        for one, other in zip(steps, again, strict=True):
            for a, b in zip(leaves(one), leaves(other), strict=True):
                np.testing.assert_array_equal(a[row : row + 1], b)


def test_reset_done_starts_the_episodes_of_the_seeds_it_is_given() -> None:
    env, fresh = make(3, limit=1), make(3)
    env.reset(0)
    env.step(np.zeros(3, np.int64))
    assert_same(env.reset_done(np.array([5, 6, 7])), fresh.reset(np.array([5, 6, 7])))
    zeros = np.zeros(3, np.int64)
    np.testing.assert_array_equal(env.step(zeros).state.total, fresh.step(zeros).state.total)


def test_a_seed_repeats_and_others_differ() -> None:
    one, two, other = make(), make(), make()
    for a, b in zip(play_after_reset(one), play_after_reset(two), strict=True):
        assert_same(a, b)
    other.reset(1)
    totals = [[s.state.total.tolist() for s in steps] for steps in (play(other, 0, 60), play_after_reset(one)[1:])]
    assert totals[0] != totals[1]
    rows = np.array([step.state.total for step in play_after_reset(make(3))])
    assert not np.array_equal(rows[:, 0], rows[:, 1])


@pytest.mark.parametrize("num_steps", [0, 1, 7, 50])
def test_a_restored_environment_goes_on_exactly(num_steps: int) -> None:
    env, restored = make(limit=4), make(limit=4)
    current = env.reset(3)
    for step in play(env, 1, num_steps):
        current = step
    restored.load_state_dict(as_saved(env.state_dict()))
    assert_same(current, restored.reset_done())
    for one, other in zip(play(env, 2, 60), play(restored, 2, 60), strict=True):
        assert_same(one, other)
    assert dumped(env) == dumped(restored)


def test_a_state_taken_between_an_end_and_the_reset_goes_on_exactly() -> None:
    env, restored = make(limit=1), make(limit=1)
    env.reset(3)
    env.step(np.zeros(3, np.int64))
    restored.load_state_dict(as_saved(env.state_dict()))
    assert_same(env.reset_done(), restored.reset_done())


def dumped(env: SimulatedEnvironment) -> str:
    return json.dumps(env.state_dict(), default=np.ndarray.tolist)


def as_saved(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: as_saved(branch) for name, branch in tree.items()}
    if isinstance(tree, list):
        return [as_saved(branch) for branch in tree]
    return tree.copy() if isinstance(tree, np.ndarray) else json.loads(json.dumps(tree))


def test_a_loaded_state_is_not_written_to() -> None:
    env, restored = make(), make()
    env.reset(0)
    saved = as_saved(env.state_dict())
    before = json.dumps(saved, default=np.ndarray.tolist)
    restored.load_state_dict(saved)
    play(restored, 0, 30)
    assert json.dumps(saved, default=np.ndarray.tolist) == before


def test_a_loaded_state_is_no_longer_needed() -> None:
    env, restored = make(), make()
    env.reset(0)
    saved = as_saved(env.state_dict())
    restored.load_state_dict(saved)
    for array in [*saved["states"], saved["lengths"], *saved["step"].values()]:
        array[...] = 1
    assert_same(env.reset_done(), restored.reset_done())
    assert_same(env.step(np.zeros(3, np.int64)), restored.step(np.zeros(3, np.int64)))


def test_the_state_of_another_environment_is_refused() -> None:
    env = make(2)
    env.reset(0)
    with pytest.raises(UserError, match="saved environment is another"):
        make(3).load_state_dict(env.state_dict())
    state = as_saved(env.state_dict())
    state["states"][0] = state["states"][0].astype(np.float64)
    with pytest.raises(UserError, match="not one of test/Dice-v0"):
        make(2).load_state_dict(state)


def test_returned_arrays_are_the_callers_own() -> None:
    env, twin = make(limit=3), make(limit=3)
    kept, copies = [], []
    for step in play_after_reset(env, 20):
        kept.append(step)
        copies.append([array.copy() for array in leaves(step)])
    for step, copy in zip(kept, copies, strict=True):
        for a, b in zip(leaves(step), copy, strict=True):
            np.testing.assert_array_equal(a, b)
    play_after_reset(twin, 20)
    for array in leaves(kept[-1]):
        array[...] = 0
    assert_same(env.reset_done(), twin.reset_done())
    assert_same(env.step(np.zeros(3, np.int64)), twin.step(np.zeros(3, np.int64)))


def test_each_call_returns_arrays_that_no_later_call_changes() -> None:
    env = make(limit=3)
    step = env.reset(0)
    for turn in range(30):
        before = [array.copy() for array in leaves(step)]
        later = env.step(np.zeros(3, np.int64)) if turn % 2 == 0 else env.reset_done()
        for a, b in zip(leaves(step), before, strict=True):
            np.testing.assert_array_equal(a, b)
        step = later
        if step.last.any() and turn % 2 == 1:
            step = env.reset_done()


def test_only_a_simulator_that_says_it_is_deterministic_is_stepped_as_one_batch() -> None:
    for deterministic, batches in ((None, [1, 1, 1]), (False, [1, 1, 1]), (True, [3])):
        game = DiceGame(deterministic)
        env = make(3, game=game)
        env.reset(0)
        env.step(np.zeros(3, np.int64))
        assert game.calls == batches


def test_mistakes_of_ours_are_asserted() -> None:
    env = make(2, limit=1)
    with pytest.raises(AssertionError, match="before reset"):
        env.step(np.zeros(2, np.int64))
    env.reset(0)
    env.step(np.zeros(2, np.int64))
    with pytest.raises(AssertionError, match="finished"):
        env.step(np.zeros(2, np.int64))
    env.reset_done()
    with pytest.raises(AssertionError, match="actions for"):
        env.step(np.zeros(3, np.int64))
    board = SimulatedEnvironment("board", TicTacToe(), Box(-1.0, 1.0, (9,), np.float32))
    board.reset(0)
    board.step(np.array([4]))
    with pytest.raises(AssertionError, match="illegal"):
        board.step(np.array([4]))


def test_a_simulator_that_can_not_draw_says_so() -> None:
    with pytest.raises(UserError, match="can't draw itself"):
        make().render()
