"""Compares Tengen's rules of Go with programs that share no code with it: OpenSpiel and GNU Go.

OpenSpiel: at every position of random games the list of legal moves (simple ko, no suicide). GNU Go: legal moves,
captures, liberties, and the final scores of boards on which nothing is dead, on random games and on real ones, which
are played out at random after their last move. And every real game is replayed; GNU Go is asked of each move that
Tengen refuses. What is missing (OpenSpiel, GNU Go, the games) is left out, and said.

Exits with code 1 where anything differs.

    python benchmarks/go_oracles.py --data FOLDER
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import _gnugo
import numpy as np
from _command import non_negative_int, output_file, write_table

from tengen.cli.guard import guarded
from tengen.envs.go.gtp_client import GTPClient
from tengen.envs.go.rules import Refusal, Rules
from tengen.envs.go.sgf import Record, read_records
from tengen.envs.go.simulator import Go
from tengen.envs.go.states import GoStates

COLUMNS = ("date", "oracle", "version", "games", "number_of_games", "size", "what", "compared", "different")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--positions", type=non_negative_int, default=100_000, help="compared with OpenSpiel, at least")
    parser.add_argument(
        "--games", type=non_negative_int, default=200, help="compared with GNU Go: random ones, and as many real ones"
    )
    parser.add_argument("--data", type=Path, help="a folder of SGF files or archives of them, 19x19")
    parser.add_argument("--seed", type=non_negative_int, default=0)
    parser.add_argument(
        "--out", type=output_file, default=Path(__file__).parent / "results" / "go_oracles.csv", help="CSV"
    )
    settings = parser.parse_args(argv)
    settings.records = [] if settings.data is None else list(read_records([settings.data]))

    rows: list[dict[str, Any]] = []
    differences: list[str] = []
    for part in (open_spiel, gnu_go_random, gnu_go_real, replays):
        for row, found in part(settings):
            rows.append({"date": datetime.date.today().isoformat()} | row)
            differences += found
            print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
            for line in found[:10]:
                print("  " + line[:500])
            write_table(settings.out, COLUMNS, rows)
    if differences:
        raise SystemExit(f"{len(differences)} differences")


Found = Iterator[tuple[dict[str, Any], list[str]]]


def open_spiel(settings: argparse.Namespace) -> Found:
    """Compare legal moves at every position of random games."""
    if importlib.util.find_spec("pyspiel") is None:
        print("OpenSpiel is not installed: left out")
        return
    pyspiel = importlib.import_module("pyspiel")
    version = importlib.metadata.version("open_spiel")
    rng = np.random.default_rng(settings.seed)
    for size in (5, 9, 13, 19):
        game = pyspiel.load_game(f"go(board_size={size},max_game_length={10 * size * size})")
        go, compared, games, differences = Go(_gnugo.simple_rules(size)), 0, 0, []
        # Theirs counts rows from the bottom.
        theirs = (np.arange(size)[::-1, None] * size + np.arange(size)).ravel()
        theirs = np.append(theirs, size * size)
        while compared < settings.positions / 4:
            state, states = game.new_initial_state(), go.init(rng, 1)
            games += 1
            while not (state.is_terminal() or states.over[0]):
                legal = np.flatnonzero(go.legal(states)[0])
                compared += 1
                if sorted(theirs[legal].tolist()) != state.legal_actions():
                    differences.append(f"{state} legal {state.legal_actions()}, Tengen {sorted(theirs[legal])}")
                action = int(rng.choice(legal))
                state.apply_action(int(theirs[action]))
                states, _, _ = go.step(states, np.array([action]))
        row = {"oracle": "OpenSpiel", "version": version, "games": "random", "number_of_games": games, "size": size}
        yield row | {"what": "legal_actions", "compared": compared, "different": len(differences)}, differences


def gnu_go_random(settings: argparse.Namespace) -> Found:
    """Compare random games, half of them on 9x9, a quarter each on 13x13 and 19x19."""
    if reason := _gnugo.missing():
        print(f"{reason}: left out")
        return
    rng = np.random.default_rng(settings.seed)
    for size, share in ((9, 2), (13, 4), (19, 4)):
        comparison = _gnugo.Comparison(size)
        for _ in range(settings.games // share):
            ended = comparison.follow(_gnugo.random_game(comparison.go, rng), look_period=4)
            if ended.over[0]:
                comparison.score(ended)
        comparison.close()
        yield from summary(comparison, "random", settings.games // share)


def gnu_go_real(settings: argparse.Namespace) -> Found:
    """Compare real games, spread over all that there are, and played out at random after their last move."""
    records = [record for record in settings.records if isinstance(record, Record)]
    if not records or _gnugo.missing():
        print("no real games, or no GNU Go: its part on them is left out")
        return
    rng, comparison = np.random.default_rng(settings.seed), _gnugo.Comparison(19)
    chosen = rng.choice(len(records), min(settings.games, len(records)), replace=False)
    for index in chosen:
        record = records[int(index)]
        start = start_of(comparison.go, record)
        whole = comparison.go.replay(np.array(record.moves), start=start, keep_boards=False)
        actions = list(record.moves[: whole.played + 1])
        if whole.refusal == Refusal.NONE:
            whole.states.passes[:] = 0
            actions += _gnugo.playout(comparison.go, whole.states, rng)
        ended = comparison.follow(actions, start=start, look_period=10)
        if ended.over[0]:
            comparison.score(ended)
    comparison.close()
    yield from summary(comparison, "real", len(chosen))


def replays(settings: argparse.Namespace) -> Found:
    """Replay every real game, and ask GNU Go of each move that is refused. Superko is counted, not asked about."""
    if not settings.records:
        return
    simple, superko = Go(_gnugo.simple_rules(19)), Go(Rules(ko="positional", size=19, max_moves=2000))
    refused, repeated, unreadable, replayed = [], 0, 0, 0
    for record in settings.records:
        if not isinstance(record, Record):
            unreadable += 1
            continue
        actions = np.array(record.moves)
        result = simple.replay(actions, start=start_of(simple, record), keep_boards=False)
        if result.refusal != Refusal.NONE:
            refused.append((record, result.played, result.refusal))
            continue
        replayed += 1
        repeated += superko.replay(actions, start=start_of(superko, record), keep_boards=False).refusal != Refusal.NONE
    differences = []
    for record, played, reason in refused:
        print(f"{record.name}: move {played + 1} is illegal: {reason.sentence()}")
        if not _gnugo.missing() and allowed_by_gnu_go(simple, record, played):
            differences.append(f"{record.name}: GNU Go allows move {played + 1}, Tengen says {reason.sentence()}")
    print(
        f"{replayed} replayed, {repeated} of which repeat a position; {len(refused)} refused, {unreadable} unreadable"
    )
    row = {"oracle": "GNU Go", "version": gnu_go_version(), "games": "real", "number_of_games": replayed + len(refused)}
    row |= {"size": 19, "what": "refused moves", "compared": len(refused), "different": len(differences)}
    yield row, differences


def allowed_by_gnu_go(go: Go, record: Record, played: int) -> bool:
    """Return whether GNU Go would allow the move after those played."""
    comparison = _gnugo.Comparison(19)
    comparison.follow(record.moves[: played + 1], start=start_of(go, record), look_period=10_000)
    comparison.close()
    return any(line.startswith("is_legal") for line in comparison.differences)


def start_of(go: Go, record: Record) -> GoStates:
    """Return where a record begins."""
    board = np.zeros((1, 19 * 19), np.int8)
    for stone in record.stones:
        board[0, stone if stone >= 0 else -1 - stone] = 1 if stone >= 0 else -1
    return go.setup(board.reshape(1, 19, 19), record.first)


def summary(comparison: _gnugo.Comparison, games: str, number: int) -> Found:
    """Yield what was compared, a row for each kind."""
    for what, compared in sorted(comparison.counts.items()):
        found = [line for line in comparison.differences if line.startswith(what)]
        row = {"oracle": "GNU Go", "version": gnu_go_version(), "games": games, "number_of_games": number}
        row |= {"size": comparison.go.rules.size, "what": what, "compared": compared, "different": len(found)}
        yield row, found


def gnu_go_version() -> str:
    """Return the version of GNU Go."""
    if _gnugo.missing():
        return ""
    with GTPClient(_gnugo.COMMAND) as client:
        return client.send("version")


if __name__ == "__main__":
    sys.exit(guarded(main))
