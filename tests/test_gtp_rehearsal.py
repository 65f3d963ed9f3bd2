"""What is compiled is compiled before a clock runs."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from gtp_helpers import ask, say

from tengen.cli import gtp_command, main
from tengen.cli.options import parse
from tengen.envs.go.rules import Rules
from tengen.envs.go.simulator import Go
from tengen.evaluation.go import rehearsal
from tengen.evaluation.go.engine import Engine, EngineSettings
from tengen.evaluation.go.game import Game
from tengen.evaluation.go.match import MatchSettings, play_match
from tengen.evaluation.go.rehearsal import Rehearsed, rehearse
from tengen.evaluation.go.specs import parse_player
from tengen.evaluation.go.thinkers import RandomThinker, Thinker, Thought
from tengen.planners.mcts.budget import Budget
from tengen.types import Bools


@dataclass
class Noted:
    """A maker of players of random moves that note by which komi and on which board they are asked to think."""

    asked: list[tuple[int, float]] = field(default_factory=list)

    def planes(self, size: int) -> str:
        return "board"

    def __call__(self, simulator: Go) -> Thinker:
        return NotedThinker(self.asked)


class NotedThinker:
    def __init__(self, asked: list[tuple[int, float]]) -> None:
        self.asked = asked

    def think(
        self,
        game: Game,
        allowed: Bools,
        budget: Budget,
        rng: np.random.Generator,
        should_stop: Callable[[], bool] | None = None,
    ) -> Thought:
        self.asked.append((game.size, game.simulator.rules.komi))
        return RandomThinker().think(game, allowed, budget, rng, should_stop)


def test_what_thinks_has_thought_by_the_games_rules_before_it_is_asked_for_a_move() -> None:
    maker = Noted()
    player = Engine(Rehearsed(maker), Rules(size=5), EngineSettings(playouts=1))

    def asked_by(line: str) -> set[tuple[int, float]]:
        maker.asked.clear()
        say(player, line)
        return set(maker.asked)

    assert maker.asked == [(5, 7.5)] * 2, "a move and its answer"
    assert asked_by("clear_board") == set()
    assert asked_by("boardsize 7") == {(7, 7.5)}
    assert asked_by("komi 0.5") == {(7, 0.5)}
    assert asked_by("komi 7.5") == set(), "it knows that"
    assert asked_by("genmove b") == {(7, 7.5)}
    assert len(maker.asked) == 1


@pytest.mark.parametrize("player", ["mcts", "network", "policy", "random", "mcts:rule=gumbel,playouts=16"])
def test_a_rehearsal_changes_no_move(player: str) -> None:
    spec, moves = parse_player(player), []
    for maker in (spec.maker(), Rehearsed(spec.maker())):
        played = Engine(maker, Rules(size=9), EngineSettings(playouts=64), seed=3)
        moves.append([say(played, f"genmove {'bw'[turn % 2]}") for turn in range(4)])
    assert moves[0] == moves[1]


@pytest.mark.parametrize(
    "rules",
    [
        Rules(size=2),
        Rules(size=3, max_moves=1),
        Rules(size=2, handicap=3, free_handicap=True),
        Rules(size=9, handicap=4, ko="simple"),
        Rules(size=19, komi=-3),
    ],
)
def test_any_rules_can_be_rehearsed_by(rules: Rules) -> None:
    rehearse(parse_player("mcts").maker(), rules)


def test_engines_of_the_commands_are_rehearsed_before_anybody_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    happened: list[str] = []

    def genmove(engine: Engine, color: int) -> object:
        happened.append("genmove")
        return real(engine, color)

    real = Engine.genmove
    monkeypatch.setattr(rehearsal, "rehearse", lambda maker, rules: happened.append(f"rehearsal {rules.size}"))
    monkeypatch.setattr(Engine, "genmove", genmove)
    parsed = parse(gtp_command._COMMAND, gtp_command.PLAYER_OPTIONS, ["--size", "5", "--player", "random"])
    assert parsed is not None
    player = gtp_command.make_engine(parsed)
    assert happened == ["rehearsal 5"]
    say(player, "boardsize 7", "genmove b")
    assert happened[1:] == ["rehearsal 7", "genmove"]
    happened.clear()
    play_match(MatchSettings("random", "random", Rules(size=3, max_moves=6)), tmp_path, 1)
    before, after = happened[: happened.index("genmove")], happened[happened.index("genmove") :]
    assert set(before) == {"rehearsal 3"}
    assert set(after) == {"genmove"}
    happened.clear()
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["play", "go", "--size", "5", "--player", "random"]) == 0
    assert happened[0] == "rehearsal 5"


def test_a_board_that_can_not_be_rehearsed_on_is_unacceptable_and_changes_nothing() -> None:
    policy = parse_player("policy:go_policy_9x9").maker()
    player = Engine(Rehearsed(policy), Rules(size=9), EngineSettings(playouts=1))
    assert ask(player, "boardsize 13") == "? unacceptable size\n\n"
    assert player.game.size == 9


COUNTED = """
import sys
from numba.core import event
from tengen.cli import gtp_command
from tengen.cli.options import parse
from tengen.evaluation.go.gtp import answer
from tengen.evaluation.go.gtp_commands import COMMANDS

class Counter(event.Listener):
    count = 0
    def on_start(self, event):
        self.count += 1
    def on_end(self, event):
        pass

counter = Counter()
event.register("numba:compile", counter)
player = gtp_command.make_engine(parse(gtp_command._COMMAND, gtp_command.PLAYER_OPTIONS, sys.argv[1:]))
counts = [counter.count]
for line in ["genmove b", "genmove w", "play b A1", "genmove w", "genmove b", "komi 300", "genmove w"]:
    counter.count = 0
    assert next(iter(answer(line, player, COMMANDS).lines)).startswith("=")
    if line.startswith("genmove"):
        counts.append(counter.count)
print(counts)
"""


@pytest.mark.slow
@pytest.mark.parametrize("player", ["mcts", "network:go_policy_9x9,any_size=true"])
def test_no_move_waits_for_a_compiler_and_where_one_runs_that_is_said(tmp_path: Path, player: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", COUNTED, "--size", "5", "--player", player, "--playouts", "500"],
            env={**kept, "XDG_CACHE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        first, *later = [int(text) for text in done.stdout.strip("[]\n").split(",")]
        assert later == [0] * 5
        said.append((first > 0, done.stderr))
    assert said == [(True, f"{rehearsal._NOTICE}\n"), (False, "")]
