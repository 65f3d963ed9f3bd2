"""Reads all records of Go in some folders, and says what became of them.

Games are played by two rule engines of their own: the records' (`_record_kernels`, chains searched anew) and the
environment's (`Go`, incremental, with positional superko). GNU Go, where installed, is asked about each move that is
called illegal.

    python benchmarks/go_games.py FOLDER [--bad FILE] [--csv FILE]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _command import output_file, write_table

from tengen.cli.guard import guarded
from tengen.envs.go.coordinates import letter_of, vertex_of
from tengen.envs.go.games import Census, Games, collect
from tengen.envs.go.gtp_client import GTPClient, find_program
from tengen.envs.go.rules import Refusal, Rules
from tengen.envs.go.sgf import BadRecord, Record, read_records
from tengen.envs.go.simulator import Go
from tengen.types import Ints

GNU_GO = "gnugo --mode gtp"
BATCH = 256


class Refused(NamedTuple):
    """A move that the environment's rules refuse."""

    game: int
    ply: int
    reason: Refusal


def replay(games: Games, rules: Rules) -> tuple[list[Refused], int]:
    """Play all games by the environment's rules, up to the first move that they refuse.

    Records may go on after two passes, where people did not agree on what is dead: those moves are "game over" here.

    Returns:
        Those moves, and how many games of which none is refused end on another board than the records' own engine says.
    """
    go = Go(rules)
    refused: list[Refused] = []
    different = 0
    for start in range(0, len(games), BATCH):
        index = np.arange(start, min(start + BATCH, len(games)))
        opening = games.sample(index, np.zeros(len(index), np.int64))
        states = go.setup(opening.board, opening.to_move)
        lengths = np.diff(games.starts)[index]
        alive = np.ones(len(index), np.bool_)
        boards = np.array(opening.board)
        leaves: list[Any] = list(states)  # arrays all of them
        for ply in range(int(lengths.max())):
            rows = np.flatnonzero(alive & (ply < lengths))
            if not len(rows):
                break
            actions = games.moves[games.starts[index[rows]] + ply].astype(np.int64)
            before = states.rows(rows)
            after, reasons = go.play(before, actions)
            reasons = np.where(before.over, Refusal.GAME_OVER, reasons)  # where nothing is played, nor refused
            for leaf, new in zip(leaves, after, strict=True):
                leaf[rows] = new
            wrong = np.flatnonzero(reasons)
            refused += [Refused(int(index[rows[row]]), ply, Refusal(int(reasons[row]))) for row in wrong]
            alive[rows[wrong]] = False
            boards[rows] = after.board
        final = games.sample(index, lengths).board
        different += int((alive & (final != boards).any((1, 2))).sum())
    return refused, different


def gnu_go_calls_illegal(record: Record, index: int) -> bool:
    """Return whether GNU Go, too, refuses a move of a record."""
    colour = record.first
    with GTPClient(GNU_GO) as engine:
        engine.send(f"boardsize {record.size}")
        engine.send("clear_board")
        for stone in record.stones:
            engine.send(f"play {'B' if stone >= 0 else 'W'} {vertex_of(max(stone, -1 - stone), record.size)}")
        for move in record.moves[:index]:
            engine.send(f"play {letter_of(colour)} {vertex_of(move, record.size)}")
            colour = -colour
        answer = engine.send(f"is_legal {letter_of(colour)} {vertex_of(record.moves[index], record.size)}")
    return answer.strip() == "0"


def ask_gnu_go(records: list[Record | BadRecord], census: Census) -> Counter[str]:
    """Ask GNU Go about each move called illegal; return how often it agrees."""
    by_name = {record.name: record for record in records if isinstance(record, Record)}
    answers: Counter[str] = Counter()
    for bad in census.bad:
        if bad.reason == "an illegal move":
            number = int(bad.detail.split()[1].rstrip(":"))
            agrees = gnu_go_calls_illegal(by_name[bad.name], number - 1)
            answers["GNU Go agrees" if agrees else "GNU Go calls it legal"] += 1
            print(f"  {bad.name}: {bad.detail}; {'GNU Go agrees' if agrees else 'GNU Go calls it legal'}")
    return answers


def longest(lengths: Ints) -> str:
    """Return the spread of the games' lengths in words."""
    return f"median {int(np.median(lengths))}, longest {int(lengths.max())}"


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--size", type=int, default=19)
    parser.add_argument("--bad", type=output_file, help="write a line for each file that was left out")
    parser.add_argument("--csv", type=output_file, help="write the counts")
    arguments = parser.parse_args()
    began = time.monotonic()
    records = list(read_records(arguments.folders, arguments.size))
    read = time.monotonic()
    games, census = collect(records, arguments.size)
    print("\n".join(census.lines()))
    print(f"  lengths: {longest(np.diff(games.starts))}")
    print(f"  {read - began:.0f} s to read, {time.monotonic() - read:.1f} s to play and to find duplicates")
    counts = {"files": census.num_files, "games": len(games), "moves": games.num_positions, **census.reasons}
    for ko in ("simple", "positional"):
        refused, different = replay(games, Rules(size=arguments.size, komi=0.5, ko=ko, suicide=True, max_moves=2000))
        reasons = Counter(entry.reason.name.lower() for entry in refused)
        print(f"by the environment's rules ({ko} ko): {dict(reasons) or 'all legal'}; {different} boards differ")
        counts |= {f"{ko} ko: {reason}": count for reason, count in reasons.items()}
        counts[f"{ko} ko: boards that differ"] = different
    if find_program("gnugo") is not None:
        counts |= ask_gnu_go(records, census)
    if arguments.bad is not None:
        arguments.bad.write_text("".join(f"{bad.name}\t{bad.reason}\t{bad.detail}\n" for bad in census.bad))
    if arguments.csv is not None:
        write_table(arguments.csv, ("what", "count"), counts.items())
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
