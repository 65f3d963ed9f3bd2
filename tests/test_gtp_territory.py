"""An engine that plays by territory: what it leaves alone, when it passes, and what is counted."""

from __future__ import annotations

import pytest
from gtp_helpers import engine, say

from tengen.evaluation.go.engine import Engine

TERRITORY = 'kata-set-rules {"scoring": "TERRITORY"}'


def divided(player: Engine, komi: float, last_row: int = 7) -> None:
    """Set up 7x7, counted by territory: four columns Black's and three White's, with a border between."""
    rows = range(1, last_row + 1)
    say(player, TERRITORY, f"komi {komi}")
    say(player, *(f"play {side} {letter}{row}" for row in rows for side, letter in (("b", "D"), ("w", "E"))))


@pytest.mark.parametrize("player", ["mcts", "random"])
def test_by_territory_a_side_that_wins_passes_where_nothing_is_open(player: str) -> None:
    tested = engine(player, size=7, playouts=50, resign=None)
    divided(tested, 6.5)
    assert say(tested, "final_score") == "B+0.5"  # 21 to 14
    for _ in range(5):
        assert say(tested, "genmove b", "play w pass", "reg_genmove b") == "pass"
    assert say(tested, "final_score") == "B+0.5"
    divided(tested := engine(player, size=7, playouts=50, resign=None), 7.5)
    assert say(tested, "genmove w") == "pass"
    assert say(tested, "final_score") == "W+0.5"


def test_by_territory_what_is_settled_is_left_alone_by_either_side() -> None:
    player = engine("mcts", size=5, playouts=50, resign=None)
    say(player, TERRITORY, "komi 0.5", "set_free_handicap A1 A2 A3 A4 B1 B2 B4 B5 C1 C2 C3 C4 C5 D1 D3 D5 E1 E2 E4 E5")
    assert [say(player, f"genmove {side}") for side in "wbwb"] == ["pass"] * 4


def test_by_territory_the_first_pass_of_a_game_that_is_won_is_answered() -> None:
    player = engine("mcts", size=5, playouts=50)
    say(player, TERRITORY, "komi 0.5", *(f"play b C{row}" for row in range(1, 6)), "play w A2", "play w pass")
    assert say(player, "final_status_list dead") == "A2", "it is not taken: that would cost a point"
    assert say(player, "genmove b") == "pass"
    assert say(player, "final_status_list dead") == "A2"
    assert say(player, "final_score") == "B+20.5"  # 20 points and a prisoner


def test_by_territory_a_border_that_is_open_is_closed() -> None:
    player = engine("mcts", size=7, playouts=2000, resign=None)
    divided(player, 6.5, last_row=6)
    assert say(player, "genmove b") in ("D7", "E7")
