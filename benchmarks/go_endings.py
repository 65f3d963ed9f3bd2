"""Judges finished games of Go: which stones are dead, and who has won, beside GNU Go and beside what players agreed on.

Two kinds of games: GNU Go's at level 1 against itself on 9x9, by area; and recorded ones on 19x19 that ended with a
count (not by resigning), by the rules that they name: territory and prisoners, or area with points for handicap stones.
There the stones that GNU Go calls dead are counted in the same way. GNU Go errs as well.

    python benchmarks/go_endings.py --games 200 --records FOLDER
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _command import non_negative_int, output_file, write_table
from _gnugo import missing

from tengen.cli.guard import guarded
from tengen.envs.go.coordinates import action_of, letter_of
from tengen.envs.go.endings import chains, dead_stones, estimated_ownership
from tengen.envs.go.gtp_client import GTPClient
from tengen.envs.go.rule_names import counting_rules
from tengen.envs.go.rules import Rules
from tengen.envs.go.simulator import Go
from tengen.errors import UserError
from tengen.evaluation.go.game import Game, IllegalMoveError, long_games
from tengen.evaluation.go.record import read_game
from tengen.types import Bools

COLUMNS: tuple[str, ...] = ("date", "games", "size", "judge", "beside", "number_of_games", "same_winner", "same_score")
COLUMNS += ("dead_chains", "missed", "falsely_called_dead", "games_with_missed", "games_with_false", "seconds_a_game")

_COUNTED = re.compile(rb"RE\[([BW])\+([0-9]+(?:\.[0-9]+)?)\]")
_LONGEST = 300  # moves of a game of GNU Go's


class Verdict(NamedTuple):
    """What a judge says of a finished game."""

    score: float  # black's points less white's and komi
    dead: Bools | None  # [N, N]; None: it doesn't say


@dataclass
class Agreement:
    """How two judges agree, summed over games."""

    games: int = 0
    same_winner: int = 0
    same_score: int = 0
    dead_chains: int = 0
    missed: int = 0
    falsely_called_dead: int = 0
    games_with_missed: int = 0
    games_with_false: int = 0

    def add(self, game: Game, ours: Verdict, theirs: Verdict) -> None:
        """Count a game."""
        self.games += 1
        self.same_winner += bool(np.sign(ours.score) == np.sign(theirs.score))
        self.same_score += ours.score == theirs.score
        if ours.dead is None or theirs.dead is None:
            return
        pairs = [(ours.dead[chain[0]], theirs.dead[chain[0]]) for chain in chains(game.board)]
        missed, false = sum(b and not a for a, b in pairs), sum(a and not b for a, b in pairs)
        self.dead_chains += sum(bool(b) for _, b in pairs)
        self.missed += int(missed)
        self.falsely_called_dead += int(false)
        self.games_with_missed += missed > 0
        self.games_with_false += false > 0

    def row(self, dead: bool) -> dict[str, Any]:
        """Return it as part of a table's row, dead stones where both judges said something of them."""
        counts = {name: value for name, value in vars(self).items() if dead or name in COLUMNS[6:8]}
        counts.pop("games", None)
        return {"number_of_games": self.games, **counts}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=non_negative_int, default=200, help="of GNU Go's against itself")
    parser.add_argument("--first-seed", type=non_negative_int, default=1, help="of GNU Go's games; the others follow")
    parser.add_argument("--records", type=Path, help="a folder of SGF files, 19x19")
    parser.add_argument("--most-records", type=non_negative_int, default=1000)
    parser.add_argument(
        "--out", type=output_file, default=Path(__file__).parent / "results" / "go_endings.csv", help="CSV"
    )
    settings = parser.parse_args(argv)
    if reason := missing():
        raise UserError(reason)
    rows: list[dict[str, Any]] = []
    for part in (own_games, records):
        for row in part(settings):
            rows.append({"date": datetime.date.today().isoformat()} | row)
            print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
            write_table(settings.out, COLUMNS, rows)


def own_games(settings: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the row of GNU Go's own games."""
    beside, seconds = Agreement(), 0.0
    for seed in range(settings.first_seed, settings.first_seed + settings.games):
        with GTPClient(f"gnugo --mode gtp --level 1 --chinese-rules --seed {seed}", timeout=300) as program:
            game = played(program, Rules.chinese(9, 7.5))
            if game is None:
                continue
            began = time.perf_counter()
            ours = judged(game, seed)
            seconds += time.perf_counter() - began
            beside.add(game, ours, Verdict(said_score(program), called_dead(program, 9)))
    if beside.games:
        row = {"games": "GNU Go level 1 against itself", "size": 9, "judge": "Tengen", "beside": "GNU Go"}
        yield row | beside.row(dead=True) | {"seconds_a_game": round(seconds / beside.games, 3)}


def records(settings: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the rows of recorded games: Tengen beside what players agreed on and beside GNU Go, and GNU Go."""
    if settings.records is None:
        return
    ours_agreed, theirs_agreed, beside, seconds = Agreement(), Agreement(), Agreement(), 0.0
    for path in sorted(settings.records.rglob("*.sgf")):
        found = counted_game(path)
        if found is None or beside.games == settings.most_records:
            continue
        game, margin = found
        began = time.perf_counter()
        ours = judged(game, beside.games)
        seconds += time.perf_counter() - began
        with GTPClient("gnugo --mode gtp --chinese-rules", timeout=300) as program:
            program.send(f"loadsgf {path}")
            dead = called_dead(program, 19)
        theirs = Verdict(game.score(dead), dead)
        agreed = Verdict(margin, None)
        ours_agreed.add(game, ours, agreed)
        theirs_agreed.add(game, theirs, agreed)
        beside.add(game, ours, theirs)
    time_taken = {"seconds_a_game": round(seconds / max(beside.games, 1), 3)}
    name = {"games": f"records: {settings.records.name}", "size": 19}
    yield name | {"judge": "Tengen", "beside": "the players"} | ours_agreed.row(dead=False) | time_taken
    yield name | {"judge": "GNU Go", "beside": "the players"} | theirs_agreed.row(dead=False)
    yield name | {"judge": "Tengen", "beside": "GNU Go"} | beside.row(dead=True)


def played(program: GTPClient, rules: Rules) -> Game | None:
    """Return a game of a program against itself up to two passes; None where there is no such end."""
    game, color = Game(Go(long_games(rules))), 1
    for line in (f"boardsize {rules.size}", "clear_board", f"komi {rules.komi}"):
        program.send(line)
    while not game.over and len(game.moves) < _LONGEST:
        answer = program.send(f"genmove {letter_of(color)}")
        if answer.lower() == "resign":
            return None
        try:
            game.play(color, action_of(answer, rules.size))
        except IllegalMoveError:  # superko, which GNU Go doesn't know
            return None
        color = -color
    return game if game.over else None


def counted_game(path: Path) -> tuple[Game, float] | None:
    """Return a record's game and its score (black's points less white's), as agreed; None if it was not counted."""
    data = path.read_bytes()
    match = _COUNTED.search(data)
    if match is None:
        return None
    try:
        record = read_game(path)
        rules = counting_rules(record.size, record.komi or 0.0, record.rules, int((record.board > 0).sum()))
        game = Game(Go(rules), record.board, record.to_move)
        for color, action in record.moves:
            game.play(color, action)
    except (UserError, ValueError):
        return None
    return (game, float(match[2]) * (1 if match[1] == b"B" else -1)) if record.size == 19 else None


def judged(game: Game, seed: int) -> Verdict:
    """Return what Tengen says."""
    dead = dead_stones(game.board, estimated_ownership(game.board, np.random.default_rng(seed)))
    return Verdict(game.score(dead), dead)


def said_score(program: GTPClient) -> float:
    """Return GNU Go's score of the game on its board, as black's points less white's and komi."""
    answer = program.send("final_score")
    return float(answer[2:]) * (1 if answer[0] == "B" else -1) if answer[0] in "BW" else 0.0


def called_dead(program: GTPClient, size: int) -> Bools:
    """Return the stones [N, N] that GNU Go calls dead in the game on its board."""
    dead = np.zeros(size * size, np.bool_)
    dead[[action_of(vertex, size) for vertex in program.send("final_status_list dead").split()]] = True
    return dead.reshape(size, size)


if __name__ == "__main__":
    sys.exit(guarded(main))
