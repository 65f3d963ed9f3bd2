"""Settings of the tree search. Standard library only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tengen.errors import UserError

SelectRule = Literal["uct", "puct", "gumbel"]


@dataclass(frozen=True)
class SearchSettings:
    """How a tree is grown. Values are taken to lie in [-1, 1]; where rewards are greater, `exploration` should be too.

    Raises:
        UserError: A value is out of its range.
    """

    rule: SelectRule = "uct"
    """How actions are chosen on the way down: UCB1 over playouts, AlphaZero's PUCT, or Gumbel AlphaZero."""
    exploration: float | None = None
    """What is multiplied with the bonus of actions seldom tried; None: 1 for uct (0 with RAVE), 1.25 for puct."""
    exploration_base: float = 19652.0
    """puct: visits at which exploration has grown by log 2 (AlphaZero's c_base)."""
    fpu: float | None = None
    """The value of an action that was never tried ("first-play urgency"); None: uct tries each action once first, puct
    takes the mean value of the state less `fpu_reduction`."""
    fpu_reduction: float = 0.2
    """puct: is multiplied with the square root of the prior probability that has been tried already."""
    rave_equivalence: float = 0.0
    """uct: the number of playouts at which an action's own mean weighs as much as its all-moves-as-first mean (RAVE);
    0: no RAVE."""
    expand_visits: int = 1
    """An action gets a node once it was visited so often. More saves memory and time where leaves are judged by
    playouts; with a network each visit before is an evaluation made again."""
    leaves: int = 1
    """Leaves of each game that are evaluated at once."""
    overlap: bool = False
    """Go on with the next leaves while the last ones are judged, by a thread of its own: as if there were twice the
    leaves. It decides which trees come out, the threads' pace does not."""
    virtual_loss: float = 1.0
    """A descent whose leaf waits counts as a loss of so much meanwhile, so that a batch's leaves differ."""
    noise: float = 0.0
    """puct: the weight of Dirichlet noise in the root's priors; AlphaZero's self-play has 0.25."""
    noise_alpha: float = 0.3
    """puct: concentration of the noise; about 10 divided by the usual number of legal actions."""
    considered: int = 16
    """gumbel: the root's actions that sequential halving begins with."""
    gumbel_noise: float = 1.0
    """gumbel: is multiplied with the root's Gumbel noise; 0 plays without chance."""
    gumbel_visits: float = 50.0
    """gumbel: c_visit of the paper's sigma."""
    gumbel_scale: float = 1.0
    """gumbel: c_scale of the paper's sigma, for values in [0, 1]."""
    max_nodes: int = 50_000
    """Nodes of a game at most; a full tree goes on without new nodes."""
    max_depth: int = 256
    """Actions on a path at most."""

    def __post_init__(self) -> None:
        if self.rule not in ("uct", "puct", "gumbel"):
            raise UserError(f"the rule of a search must be uct, puct or gumbel, got {self.rule!r}")
        for name in ("expand_visits", "leaves", "considered", "max_nodes", "max_depth"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} of a search must be at least 1, got {getattr(self, name)}")
        for name in ("fpu_reduction", "rave_equivalence", "virtual_loss", "gumbel_noise", "gumbel_visits"):
            self._check(name, getattr(self, name) >= 0, "0 or more")
        for name in ("exploration_base", "noise_alpha", "gumbel_scale"):
            self._check(name, getattr(self, name) > 0, "greater than 0")
        self._check("noise", 0 <= self.noise <= 1, "between 0 and 1")
        if self.exploration is not None:
            self._check("exploration", self.exploration >= 0, "0 or more")
        if self.fpu is not None and not self.fpu > -math.inf:
            raise UserError(f"fpu of a search must be none or a number above -inf, got {self.fpu:g}")
        if self.overlap and self.rule == "gumbel":
            raise UserError("overlap is for the rules uct and puct: gumbel needs all visits of a half to judge it")
        if self.rave_equivalence and self.rule != "uct":
            raise UserError(f"rave_equivalence is for the rule uct, got {self.rave_equivalence:g} with {self.rule}")

    def _check(self, name: str, good: bool, wanted: str) -> None:
        if not good or math.isinf(getattr(self, name)):
            raise UserError(f"{name} of a search must be {wanted}, and finite, got {getattr(self, name):g}")
