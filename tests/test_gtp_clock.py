"""How an engine shares out its time."""

from __future__ import annotations

import time

from gtp_helpers import engine, say

from tengen.envs.go.coordinates import BLACK, WHITE
from tengen.evaluation.go.clock import Clock


def seconds(clock: Clock, color: int = BLACK, moves: int = 0) -> float:
    found = clock.seconds(color, moves, 81)
    assert found is not None
    return found


def test_there_is_no_limit_until_one_is_set_or_where_a_period_has_no_stones() -> None:
    clock = Clock()
    assert clock.seconds(BLACK, 0, 81) is None
    clock.set(300, 30, 0)
    assert clock.seconds(BLACK, 0, 81) is None
    clock.set(300, 0, 0)
    assert clock.seconds(BLACK, 0, 81) is not None


def test_main_time_lasts_for_a_game_and_is_never_overdrawn() -> None:
    clock = Clock()
    clock.set(60, 0, 0)
    spent, moves = 0.0, 0
    for _ in range(300):  # far longer than any game
        share = seconds(clock, moves=moves)
        assert share > 0
        clock.spend(BLACK, share)
        spent += share
        moves += 2
    assert spent < 60 + 300 * 0.01
    assert seconds(clock, WHITE) > 0.5, "the other side's time is its own"


def test_early_moves_get_no_more_than_their_share() -> None:
    clock = Clock()
    clock.set(405, 0, 0)
    assert 8 < seconds(clock) < 10
    assert seconds(clock, moves=70) > seconds(clock)


def test_overtime_is_shared_among_its_stones() -> None:
    clock = Clock()
    clock.set(0, 50, 10)
    assert 4 < seconds(clock) < 5
    clock.spend(BLACK, 41.0)
    assert seconds(clock) < 1
    for _ in range(9):
        clock.spend(BLACK, 0.1)
    assert 4 < seconds(clock) < 5, "the next period begins"


def test_main_time_is_followed_by_overtime() -> None:
    clock = Clock()
    clock.set(100, 50, 10)
    clock.spend(BLACK, 101.0)
    assert 4 < seconds(clock) < 5
    clock.restart()
    assert seconds(clock) > 4


def test_the_controllers_word_counts() -> None:
    clock = Clock()
    clock.left(WHITE, 4, 2)
    assert 1.5 < seconds(clock, WHITE) < 2
    clock.left(WHITE, 0, 0)
    assert seconds(clock, WHITE) == 0.01


def test_main_time_that_is_over_by_the_controllers_word_is_followed_by_overtime() -> None:
    clock = Clock()
    clock.set(60, 30, 5)
    clock.left(BLACK, 0, 0)
    assert 5 < seconds(clock) < 6
    clock.left(BLACK, 12, 2)
    assert 5 < seconds(clock) < 6, "a period is shared as ever"


def test_a_side_of_which_nothing_was_said_has_no_limit() -> None:
    clock = Clock()
    clock.left(BLACK, 60, 0)
    assert clock.seconds(WHITE, 0, 81) is None
    clock.spend(WHITE, 100.0)
    assert clock.seconds(WHITE, 0, 81) is None
    assert seconds(clock, BLACK) > 1
    clock.restart()
    assert clock.seconds(BLACK, 0, 81) is None, "in a new game nothing was said of either"


def test_an_engine_keeps_to_its_clock() -> None:
    player = engine("mcts", size=9, playouts=None, seconds=None)
    say(player, "play b D4", "genmove w")  # compiles
    say(player, "time_settings 4 0 0")
    began = time.process_time()
    say(player, "genmove b")
    assert time.process_time() - began < 0.9, "a second without a clock; of 4 seconds a tenth"
    say(player, "time_left b 0 0", "genmove b", "time_settings 0 1 0", "time_settings 0 0 0", "genmove w")
