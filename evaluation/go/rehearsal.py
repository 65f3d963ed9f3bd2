"""A few moves of a game that nobody sees, so that no clock runs while kernels are compiled or a network wakes up."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from typing import Final

import numpy as np

from tengen._jit import on_compilation
from tengen.envs.go.rules import Rules
from tengen.envs.go.simulator import Go
from tengen.evaluation.go.engine import Engine, EngineSettings
from tengen.evaluation.go.thinkers import Maker, Thinker, sensible

_PLAYOUTS: Final = 8  # in one go: a batch of a network's
_MOST_GOES: Final = 32  # enough for playouts that are counted by 32 before a move's answers are looked at
_NOTICE: Final = "tengen: compiling kernels, once after an installation or update; that takes half a minute or so"


@dataclass(frozen=True)
class Rehearsed:
    """A maker whose thinkers can think at once: what they run is compiled when they are made.

    Attributes:
        maker: Makes them.
        known: Rules that were rehearsed by.
    """

    maker: Maker
    known: set[Rules] = dataclasses.field(default_factory=set)

    def planes(self, size: int) -> str:
        """What the maker's thinkers see."""
        return self.maker.planes(size)

    def __call__(self, simulator: Go) -> Thinker:
        """Return a thinker; UserError where there is none for these rules."""
        thinker = self.maker(simulator)
        if simulator.rules not in self.known:
            rehearse(self.maker, simulator.rules)
            self.known.add(simulator.rules)
        return thinker


def rehearse(maker: Maker, rules: Rules) -> None:
    """Think about a move and its answer. Where kernels must be compiled for it, standard error says so.

    Raises:
        UserError: It can't think, as with a network whose weights are broken.
    """
    with on_compilation(lambda: print(_NOTICE, file=sys.stderr, flush=True)):
        engine = Engine(maker, rules, EngineSettings(_PLAYOUTS, resign=None))
        color = engine.game.to_move
        only = np.cumsum(sensible(engine.game, color)) <= 2  # two points, so that one of them is soon looked beyond
        for _ in range(_MOST_GOES):
            chosen = engine.choose(color, only=only)
            thought = chosen.thought
            if thought is None or thought.simulations == 0 or len(thought.best.variation) > 1:
                break
        assert chosen.action is not None
        engine.play(color, chosen.action)
        engine.choose(engine.game.to_move)
