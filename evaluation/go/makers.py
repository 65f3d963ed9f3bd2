"""Makers of thinkers: what a player's name stands for, once the rules are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tengen.envs.go.simulator import Go
from tengen.evaluation.go.thinkers import Maker, PolicyThinker, RandomThinker, SearchThinker, Thinker
from tengen.planners.mcts.evaluators import light_playouts, network
from tengen.planners.mcts.search import Search
from tengen.planners.mcts.settings import SearchSettings


@dataclass(frozen=True)
class RandomMaker:
    """Players of random moves."""

    planes: str = "board"

    def __call__(self, simulator: Go) -> Thinker:
        """Return one."""
        return RandomThinker()


@dataclass(frozen=True)
class PlayoutMaker:
    """Searches over light playouts.

    Attributes:
        settings: Of the search.
        threads: That share the playouts of a batch.
        planes: What the simulator shows; nobody looks.
    """

    settings: SearchSettings
    threads: int = 1
    planes: str = "board"

    def __call__(self, simulator: Go) -> Thinker:
        """Return one."""
        return SearchThinker(Search(simulator, light_playouts(simulator, threads=self.threads), self.settings))


def network_maker(source: str, changes: Mapping[str, Any], threads: int, *, searches: bool) -> Maker:
    """Return a maker of players by a network.

    Args:
        source: A file, a run's folder, or empty for the one that is shipped for a board.
        changes: Fields of `SearchSettings`.
        threads: For the network.
        searches: Whether to search, or play its first choice.

    Raises:
        UserError: It can't be read.
    """
    raise NotImplementedError  # until networks can be read


_ = (dataclasses, network, PolicyThinker)
