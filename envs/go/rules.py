"""The rules of Go that can be chosen: board, komi, scoring, ko, suicide, handicap. Values and checks only.

Sources: Tromp & Taylor's rules (https://tromp.github.io/go.html), the Chinese rules as KataGo names their parts
(https://lightvector.github.io/KataGo/rules.html).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, get_args

from tengen.envs.go.coordinates import most_fixed_handicap
from tengen.errors import UserError, did_you_mean

MAX_SIZE = 19
MOST_MOVES = 32_000  # of a game: states count them in 16 bits
_MAX_KOMI = 1000  # more than any board has points; some programs ask for a certain win

Scoring = Literal["area", "territory"]
Ko = Literal["positional", "situational", "simple"]
Bonus = Literal["none", "n", "n-1"]


class Refusal(IntEnum):
    """Why a move is not legal; the kernels speak in these numbers."""

    NONE = 0
    """It is legal."""
    OCCUPIED = 1
    """There is a stone."""
    SUICIDE = 2
    """It would leave its own chain without liberties: where suicide is allowed, a single stone still may not."""
    KO = 3
    """It would take back a ko at once."""
    SUPERKO = 4
    """It would repeat an earlier position."""
    OFF_BOARD = 5
    """There is no such point."""
    GAME_OVER = 6
    """The game has ended."""
    MOVE_LIMIT = 7
    """The move limit has been reached: only a pass is left, which ends the game."""
    PLACING = 8
    """Black, who is placing his handicap stones, can't pass."""

    def sentence(self) -> str:
        """Return the reason in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Refusal.NONE: "the move is legal",
    Refusal.OCCUPIED: "the point is occupied",
    Refusal.SUICIDE: "the move is suicide",
    Refusal.KO: "the move takes back a ko at once",
    Refusal.SUPERKO: "the move repeats an earlier position",
    Refusal.OFF_BOARD: "the point is not on the board",
    Refusal.GAME_OVER: "the game is over",
    Refusal.MOVE_LIMIT: "the move limit has been reached",
    Refusal.PLACING: "black has handicap stones left to place",
}


@dataclass(frozen=True)
class Rules:
    """One set of rules; the default is Tromp and Taylor's without suicide, on 9x9.

    Area scores of Tromp-Taylor and Chinese rules are equal but for three things: Tromp-Taylor counts every stone on the
    board as alive, where Chinese rules remove dead ones by agreement (`Go.score` takes a mask of them); Chinese rules
    give White a point for each handicap stone; and only Tromp-Taylor allows suicide.
    """

    size: int = 9
    """Points along a side, 2 to 19."""
    komi: float = 7.5
    """Points that White gets for moving second."""
    scoring: Scoring = "area"
    """`area`: stones and surrounded points. `territory`, as in Japan: surrounded points and captured stones."""
    suicide: bool = False
    """Whether a move may take its own chain's last liberty, and the chain off the board, if it is two stones or more.

    Of a single stone it would change nothing on the board; all rules here forbid it, as positional superko would.
    """
    ko: Ko = "positional"
    """What may not be repeated: any earlier position (`positional`), any with the same side to move (`situational`), or
    only the one before the opponent took a ko (`simple`)."""
    handicap: int = 0
    """Black stones on the board before White's first move: 0, or 2 to 9 (fewer on small boards)."""
    free_handicap: bool = False
    """Whether Black places them where he likes, as his first moves; else they lie on the standard points."""
    handicap_bonus: Bonus = "none"
    """Points that White gets for `n` handicap stones: none, n, or n - 1."""
    max_moves: int = 0
    """After so many moves only a pass is left, and it ends the game; 0: twice the points, and 64 at least.

    AlphaGo Zero (Silver et al. 2017) stops at 2 * 19 * 19 = 722, too. Environments truncate there.
    """

    def __post_init__(self) -> None:
        if not _is_int(self.size) or not 2 <= self.size <= MAX_SIZE:
            raise UserError(f"a Go board is from 2x2 to {MAX_SIZE}x{MAX_SIZE}, got size {self.size!r}")
        for name, choices in (("scoring", Scoring), ("ko", Ko), ("handicap_bonus", Bonus)):
            given, known = getattr(self, name), list(get_args(choices))
            if given not in known:
                hint = did_you_mean(str(given), known)
                raise UserError(f"Go's {name} must be one of {', '.join(known)}, got {given!r}.{hint}")
        for name in ("suicide", "free_handicap"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"Go's {name} must be true or false, got {getattr(self, name)!r}")
        if isinstance(self.komi, bool) or not isinstance(self.komi, int | float) or not math.isfinite(self.komi):
            raise UserError(f"komi must be a number of points such as 7.5, got {self.komi!r}")
        if abs(self.komi) > _MAX_KOMI:
            raise UserError(f"komi must be within {_MAX_KOMI} points either way, got {self.komi}")
        most = self.size**2 - 1 if self.free_handicap else most_fixed_handicap(self.size)
        if not _is_int(self.handicap) or not (self.handicap == 0 or 2 <= self.handicap <= most):
            options = f"0 or from 2 to {most}" if most >= 2 else "0"
            raise UserError(f"handicap on {self.size}x{self.size} must be {options}, got {self.handicap!r}")
        if not _is_int(self.max_moves) or not (self.max_moves == 0 or self.handicap < self.max_moves <= MOST_MOVES):
            span = f"from {self.handicap + 1} to {MOST_MOVES}"
            raise UserError(f"max_moves must be 0 (twice the points) or {span}, got {self.max_moves!r}")

    @classmethod
    def tromp_taylor(cls, size: int = 9, komi: float = 7.5, **changes: Any) -> Rules:
        """Return Tromp and Taylor's rules: area, positional superko, suicide."""
        return cls(**{"size": size, "komi": komi, "suicide": True, **changes})

    @classmethod
    def chinese(cls, size: int = 9, komi: float = 7.5, **changes: Any) -> Rules:
        """Return the Chinese rules: area, positional superko, no suicide, a point for each handicap stone."""
        return cls(**{"size": size, "komi": komi, "handicap_bonus": "n", **changes})

    @property
    def num_points(self) -> int:
        """Points of the board."""
        return self.size**2

    @property
    def pass_action(self) -> int:
        """The action that passes, the last one."""
        return self.size**2

    @property
    def move_limit(self) -> int:
        """`max_moves`, or what it stands for."""
        return self.max_moves or max(64, 2 * self.size**2)

    @property
    def total_komi(self) -> float:
        """Komi and White's bonus for handicap stones."""
        return self.komi + {"none": 0, "n": self.handicap, "n-1": max(0, self.handicap - 1)}[self.handicap_bonus]


NAMED = {"tromp-taylor": Rules.tromp_taylor, "chinese": Rules.chinese}
"""Sets of rules by name."""


def named_rules(name: str, **changes: Any) -> Rules:
    """Return a named set of rules with some fields changed.

    Raises:
        UserError: No set has this name, or a value is out of range.
    """
    known = list(NAMED)
    if name not in known:
        hint = did_you_mean(str(name), known)
        raise UserError(f"no rules of Go are called {name!r}.{hint} Known: {', '.join(known)}.")
    return NAMED[name](**changes)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
