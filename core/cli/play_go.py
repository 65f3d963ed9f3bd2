"""`tengen play go`: a game of Go against a person in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tengen.cli.gtp_command import PLAYER_OPTIONS, make_engine
from tengen.cli.options import Command, Option, parse
from tengen.errors import UserError

_COMMAND = Command(
    "tengen play go",
    "Play Go in the terminal. Type a point such as D4; help lists the commands: hint, undo, score, save and others.",
    (
        "tengen play go",
        "tengen play go --size 13 --color white --time 3",
        "tengen play go --size 19 --handicap 4 --playouts 500",
        "tengen play runs/mine --human",
    ),
)
_COLOR = Option("color", str, "Yours: black or white.", "black", "black|white")
_OPTIONS = (
    _COLOR,
    Option("handicap", int, "Black stones on the board at the start, 0 or 2 to 9.", 0),
    *(option for option in PLAYER_OPTIONS if option.name != "rules"),
    Option("rules", str, "tromp-taylor or chinese (which leaves out dead stones at the end).", "chinese"),
)


def run(arguments: Sequence[str]) -> int:
    """Run the command."""
    parsed = parse(_COMMAND, _OPTIONS, arguments)
    if parsed is None:
        return 0
    given = parsed.values
    human = _color(given["color"])

    import numpy as np

    from tengen.envs.go.coordinates import WHITE, fixed_handicap

    engine = make_engine(parsed)
    if given["handicap"]:
        size = given["size"]
        try:
            points = fixed_handicap(given["handicap"], size)
        except ValueError as error:
            raise UserError(f"--handicap {given['handicap']} is wrong on {size}x{size}: {error}") from error
        board = np.zeros(size * size, np.int8)
        board[points] = 1
        engine.set_up(board.reshape(size, size), WHITE, len(points))
    _play(engine, human)
    return 0


def run_of(folder: Path, color: str) -> int:
    """Play against what a run has learnt."""
    human = _color(color)

    from tengen.evaluation.go.engine import Engine, EngineSettings
    from tengen.evaluation.go.makers import network_maker
    from tengen.evaluation.go.rehearsal import Rehearsed
    from tengen.evaluation.go.run_maker import RunMaker
    from tengen.run.folder import is_fit

    if not folder.is_dir() or is_fit(folder):
        raise UserError(f"{folder} is no run of `tengen train`; against a network, `tengen play go --network {folder}`")
    maker = network_maker(str(folder), {}, 1, searches=True)
    assert isinstance(maker, RunMaker)
    settings = EngineSettings(playouts=1, removes_dead=True)
    _play(Engine(Rehearsed(maker), maker.simulator.rules, settings), human)
    return 0


def _color(name: str) -> int:
    from tengen.envs.go.coordinates import color_of

    try:
        return color_of(name)
    except ValueError:
        raise UserError(f"--color must be black or white, got {name!r}") from None


def _play(engine: object, human: int) -> None:
    import sys

    from tengen.evaluation.go.engine import Engine
    from tengen.evaluation.go.play import Session

    assert isinstance(engine, Engine)

    def ask(prompt: str) -> str:
        print(prompt, end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            print()
            raise EOFError
        return line

    def ask_at_terminal(prompt: str) -> str:
        import readline  # gives `input` a history of lines, and keys that edit them

        del readline
        return input(prompt)

    on_terminal = sys.stdin.isatty()
    Session(engine, human, ask_at_terminal if on_terminal else ask, lambda text: print(text, flush=True)).run()
