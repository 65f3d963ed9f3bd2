"""A game of Go against a person in the terminal: the board, what the engine thinks, and a few commands.

What is shown and asked goes through two functions, so that a test can be the person. Start at `Session.run`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tengen.checkpoint.files import replace as replace_file
from tengen.envs.go.coordinates import BLACK, WHITE, action_of, letter_of, vertex_of
from tengen.errors import did_you_mean
from tengen.evaluation.go.board_text import SYMBOLS, board_text
from tengen.evaluation.go.engine import Chosen, Engine
from tengen.evaluation.go.game import IllegalMoveError
from tengen.evaluation.go.record import rules_text, write_game
from tengen.evaluation.go.referee import result_text
from tengen.evaluation.go.thinkers import Thought

_SHOWN: Final = 5  # candidates
_LETTERS: Final = "abcde"  # of candidates on the board
_VARIATION: Final = 6  # moves of a variation
_NAMES: Final = {BLACK: "Black", WHITE: "White"}

HELP: Final = """\
  D4          play there (a letter without I, then a number)
  pass        pass; two passes end the game
  undo        take back your last move, and the answer to it
  hint        show what the engine would play for you: candidates, their win rates, what may follow
  score       count the board as it stands
  board       show the board again
  resign      give up
  save FILE   write the game to an SGF file
  new         begin again
  help        this list
  quit        leave"""


class Session:
    """A person and an engine at a board.

    Args:
        engine: Who plays against the person.
        human: The person's colour.
        ask: Shows a prompt and returns what was typed; EOFError where nothing more comes.
        show: Shows a text.
    """

    def __init__(self, engine: Engine, human: int, ask: Callable[[str], str], show: Callable[[str], None]) -> None:
        self._engine = engine
        self._human = human
        self._ask = ask
        self._show = show
        self._result: str | None = None  # once the game is over
        self._commands: dict[str, Callable[[str], None]] = {
            "pass": lambda text: self._move("pass"),
            "undo": self._undo,
            "hint": self._hint,
            "score": self._score,
            "board": lambda text: self._board(),
            "resign": self._resign,
            "save": self._save,
            "new": self._new,
            "help": lambda text: self._show(HELP),
        }

    def run(self) -> None:
        """Play until the person leaves."""
        self._show(f"You play {_NAMES[self._human]} ({SYMBOLS[self._human]}). Type a point such as D4, or help.")
        self._begin()
        while True:
            try:
                text = self._ask(self._prompt()).strip()
            except EOFError:
                return
            if text.lower() in ("quit", "exit", "q"):
                return
            if text:
                self._obey(text)

    def _obey(self, text: str) -> None:
        word, _, rest = text.partition(" ")
        command = self._commands.get(word.lower())
        if command is not None:
            command(rest.strip())
        else:
            self._move(text)

    def _prompt(self) -> str:
        if self._result is not None:
            return f"The game is over: {self._result}. new, undo, save FILE or quit? "
        return f"{len(self._engine.game.moves) + 1}. {_NAMES[self._human]}: "

    def _begin(self) -> None:
        self._result = None
        rules = self._engine.rules
        if rules.handicap and rules.free_handicap:
            self._show(f"Black places {rules.handicap} stones before White's first move.")
        self._board()
        self._reply()

    def _move(self, text: str) -> None:
        if self._result is not None:
            self._show("The game is over: new begins another, undo takes back a move.")
            return
        try:
            action = action_of(text, self._engine.game.size)
        except ValueError as error:
            hint = did_you_mean(text.lower(), [*self._commands, "quit"])
            self._show(f"{error}.{hint} help lists the commands.")
            return
        try:
            self._engine.play(self._human, action)
        except IllegalMoveError as error:
            self._show(f"That is an {error}.")
            return
        if self._engine.game.over:
            self._end()
        elif self._engine.game.to_move == self._human:
            self._board()
        else:
            self._reply()

    def _reply(self) -> None:
        """Have the engine move until it is the person's turn."""
        while self._result is None and self._engine.game.to_move != self._human:
            self._answer()

    def _answer(self) -> None:
        """Have the engine make a move."""
        size = self._engine.game.size
        chosen = self._engine.genmove(-self._human)
        if chosen.action is None:
            self._result = f"{letter_of(self._human)}+R"
            self._show("The engine resigns. You win.")
            return
        self._board()
        self._show(f"{_NAMES[-self._human]} plays {vertex_of(chosen.action, size)}.{self._outlook(chosen)}")
        if self._engine.game.over:
            self._end()

    def _outlook(self, chosen: Chosen) -> str:
        """Return what the engine thinks of the game, in a sentence."""
        if chosen.thought is None:
            return ""
        best = chosen.thought.best
        if best.visits <= 1 and best.value == 0:  # chance, or a run that keeps its thoughts to itself
            return ""
        follow = " ".join(vertex_of(action, self._engine.game.size) for action in best.variation[1:_VARIATION])
        expected = f"; it expects {follow}" if follow else ""
        return f" Your win rate: {100 * (1 - best.win_rate):.0f}% ({best.visits} visits{expected})."

    def _board(self) -> None:
        game = self._engine.game
        last = game.moves[-1].action if game.moves and game.moves[-1].action < game.size**2 else None
        self._show("\n".join(board_text(game.board.tolist(), last=last)))

    def _undo(self, text: str) -> None:
        moves = self._engine.game.moves
        if not any(move.color == self._human for move in moves):
            self._show("There is no move of yours to take back.")
            return
        while moves:
            color = moves[-1].color
            self._engine.undo()
            if color == self._human:
                break
        self._result = None
        self._board()

    def _hint(self, text: str) -> None:
        if self._result is not None:
            self._show("The game is over.")
            return
        chosen = self._engine.choose(self._human)
        if chosen.thought is None:
            self._show(f"{vertex_of(chosen.action or 0, self._engine.game.size)}: there is nothing better.")
            return
        self._candidates(chosen.thought)

    def _candidates(self, thought: Thought) -> None:
        """Show the best moves as letters on the board, and in a table."""
        game = self._engine.game
        shown = thought.candidates[:_SHOWN]
        marks = {candidate.action: letter for candidate, letter in zip(shown, _LETTERS, strict=False)}
        lines = [*board_text(game.board.tolist(), marks), "     move  win rate  visits  and then"]
        for candidate, letter in zip(shown, _LETTERS, strict=False):
            follow = " ".join(vertex_of(action, game.size) for action in candidate.variation[1:_VARIATION])
            move = vertex_of(candidate.action, game.size)
            lines.append(f"  {letter}  {move:<5} {100 * candidate.win_rate:7.1f}% {candidate.visits:7}  {follow}")
        self._show("\n".join(lines))

    def _score(self, text: str) -> None:
        self._show(self._counted())

    def _counted(self) -> str:
        """Return the score in words: as the board stands, and without stones that look dead."""
        engine, game = self._engine, self._engine.game
        plain = result_text(game.score())
        dead = engine.dead()
        if not dead.any():
            return f"{plain}, with all stones counted as alive."
        points = [vertex_of(int(point), game.size) for point in dead.reshape(-1).nonzero()[0]]
        cleared = result_text(game.score(dead))
        return f"{cleared} if {' '.join(points)} are dead, as they look; {plain} with all stones counted as alive."

    def _resign(self, text: str) -> None:
        if self._result is None:
            self._result = f"{letter_of(-self._human)}+R"

    def _end(self) -> None:
        self._result = result_text(self._engine.score())
        self._show(f"Both passed. {self._counted()}")

    def _save(self, text: str) -> None:
        if not text:
            self._show("Where to? As in: save game.sgf")
            return
        rules, game, path = self._engine.rules, self._engine.game, Path(text).expanduser()
        names = {self._human: "you", -self._human: "Tengen"}
        record = write_game(
            game.size,
            rules.komi,
            game.moves[game.placed :],
            black=names[BLACK],
            white=names[WHITE],
            result=self._result or "?",
            properties={"RU": rules_text(rules)},
            handicap=game.line[game.placed].states.board[0],
        )
        try:
            replace_file(path, record)
        except OSError as error:
            self._show(f"{path} can't be written: {error.strerror}.")
            return
        self._show(f"The game is in {path}.")

    def _new(self, text: str) -> None:
        handicap, start = self._engine.handicap, self._engine.game.start
        self._engine.new_game()
        if handicap:
            self._engine.set_up(start, WHITE, handicap)
        self._begin()
