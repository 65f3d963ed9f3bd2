"""Makers of thinkers: what a player's name stands for, once the rules are known."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tengen.envs.go.simulator import Go
from tengen.errors import UserError
from tengen.evaluation.go.komi import is_learnt
from tengen.evaluation.go.thinkers import Maker, PolicyThinker, RandomThinker, SearchThinker, Thinker
from tengen.planners.mcts.evaluators import NetworkFunction, light_playouts, mixed, network
from tengen.planners.mcts.guesses import both, policy_guess
from tengen.planners.mcts.search import Search
from tengen.planners.mcts.settings import SearchSettings
from tengen.types import Array

if TYPE_CHECKING:
    from tengen.perception.network_file import Card, LoadedNetwork
    from tengen.perception.openvino_network import OpenVINONetwork

LIGHT: Final = SearchSettings(rule="uct", leaves=32, expand_visits=4, rave_equivalence=3000.0)
"""How a search over playouts is done."""

_WITHOUT_RAVE: Final = dataclasses.replace(LIGHT, rave_equivalence=0.0)

PLAYS: Final = ("light", "atari", "shapes")
"""How playouts go: at random but for eyes; with answers to atari; and with 3x3 shapes as well."""

WITH_NETWORK: Final = SearchSettings(rule="puct", leaves=8)
"""How a search is done whose leaves a network judges: on a CPU eight positions take little longer than one."""

_GUIDED_UP_TO = 13

GUIDED: Final = dataclasses.replace(LIGHT, expand_visits=32)
"""How a search over playouts is done to which a network proposes moves: it is asked once for 32 playouts or more."""


@dataclass(frozen=True)
class RandomMaker:
    """Players of random moves."""

    def planes(self, size: int) -> str:
        """Nobody looks."""
        return "board"

    def __call__(self, simulator: Go) -> Thinker:
        """Return one."""
        return RandomThinker()


@dataclass(frozen=True)
class PlayoutMaker:
    """Searches over playouts.

    Attributes:
        settings: Of the search.
        threads: For playouts; with `settings.overlap` one of them walks the tree meanwhile.
        play: One of `PLAYS`.
        guess: Whether moves are thought to be worth something before any is tried; for RAVE.
    """

    settings: SearchSettings = LIGHT
    threads: int = 1
    play: str = "shapes"
    guess: bool = True

    def planes(self, size: int) -> str:
        """Nobody looks."""
        return "board"

    def __call__(self, simulator: Go) -> Thinker:
        """Return one."""
        from tengen.envs.go.guesses import go_guesses
        from tengen.envs.go.tactics import tactical_playouts

        play = None if self.play == "light" else tactical_playouts(simulator, shapes=self.play == "shapes")
        judged = light_playouts(simulator, threads=_players(self.threads, self.settings), play=play)
        guess = go_guesses(simulator) if self.guess and self.settings.rave_equivalence > 0 else None
        return SearchThinker(Search(simulator, judged, self.settings, guess))


@dataclass(frozen=True)
class NetworkMaker:
    """Players by a network, with search or without.

    Attributes:
        loaded: The network.
        source: What to call it.
        settings: Of the search; None plays the network's first choice. By the rule uct playouts judge, and the network
            proposes moves; by the others it judges, too.
        threads: For playouts; with `settings.overlap` one of them walks the tree meanwhile.
        playout_weight: Share of a playout in the value of a leaf, beside the network's (AlphaGo's lambda); 1 where the
            network has no value of its own, or at a komi that it has not learnt. Not for the rule uct.
        any_size: Play on boards of other sizes than that which the network was trained on, too.
    """

    loaded: LoadedNetwork | OpenVINONetwork
    source: str
    settings: SearchSettings | None
    threads: int = 1
    playout_weight: float = 0.0
    any_size: bool = False

    def planes(self, size: int) -> str:
        """What the network sees."""
        return self.loaded.card.planes

    def __call__(self, simulator: Go) -> Thinker:
        """Return one; UserError where the network was trained on boards of another size."""
        from tengen.perception.network_file import require_fit

        card, size = self.loaded.card, None if self.any_size else simulator.rules.size
        require_fit(card, self.source, simulator.planes, size)
        knows = _knows_values(card.architecture) and is_learnt(simulator.rules.total_komi, card.komi)
        function = _with_values(self.loaded, known=knows)
        if self.settings is None:
            return PolicyThinker(simulator, function)
        if self.settings.rule == "uct":
            return SearchThinker(self._guided(simulator, function, self.settings))
        judged = network(simulator, function)
        weight = self.playout_weight if knows else 1.0
        if weight > 0:
            from tengen.envs.go.tactics import tactical_playouts

            threads = _players(self.threads, self.settings)
            played = light_playouts(simulator, threads=threads, play=tactical_playouts(simulator))
            judged = mixed(judged, played, weight)
        return SearchThinker(Search(simulator, judged, self.settings))

    def _guided(self, simulator: Go, function: NetworkFunction, settings: SearchSettings) -> Search:
        """Return a search over playouts whose nodes begin with what the network thinks of moves."""
        from tengen.envs.go.guesses import go_guesses
        from tengen.envs.go.tactics import tactical_playouts

        played = light_playouts(simulator, threads=_players(self.threads, settings), play=tactical_playouts(simulator))
        guess = both(policy_guess(simulator, function), go_guesses(simulator))
        return Search(simulator, played, settings, guess)


@dataclass(frozen=True)
class ShippedMaker:
    """Players by the network that is shipped for a board; where there is none, a search is over playouts alone."""

    changes: Mapping[str, Any]
    threads: int
    searches: bool = True
    backend: str = "torch"
    playout_weight: float = 0.0
    loaded: dict[int, Maker] = dataclasses.field(default_factory=dict)

    def planes(self, size: int) -> str:
        """What the board's network sees."""
        return self._of(size).planes(size)

    def __call__(self, simulator: Go) -> Thinker:
        """Return one; UserError where it does not search, and no network is shipped for the board."""
        return self._of(simulator.rules.size)(simulator)

    def _of(self, size: int) -> Maker:
        if size not in self.loaded:
            path = shipped_network(size)
            if path is None:
                if not self.searches:
                    shipped = [path.stem for path in _shipped()]
                    raise UserError(
                        f"no network is shipped for {size}x{size}, only {', '.join(shipped)}: give a file, or one of "
                        f"these for any size, policy:{shipped[0]},any_size=true"
                    )
                maker = playout_maker(self.changes, self.threads)
            else:
                maker = network_maker(
                    str(path),
                    self.changes,
                    self.threads,
                    searches=self.searches,
                    backend=self.backend,
                    playout_weight=self.playout_weight,
                )
            self.loaded[size] = maker
        return self.loaded[size]


def playout_maker(changes: Mapping[str, Any], threads: int, play: str = "shapes", guess: bool = True) -> Maker:
    """Return a maker of searches over playouts; see `PlayoutMaker`. RAVE is for the rule uct: others begin without.

    With several threads playouts overlap with the search, unless the changes say otherwise.
    """
    base = LIGHT if changes.get("rule", LIGHT.rule) == LIGHT.rule else _WITHOUT_RAVE
    return PlayoutMaker(_changed(base, changes, threads), threads, play, guess)


def network_maker(
    source: str,
    changes: Mapping[str, Any],
    threads: int,
    *,
    searches: bool,
    backend: str = "torch",
    playout_weight: float = 0.0,
    any_size: bool = False,
) -> Maker:
    """Return a maker of players by a network.

    Args:
        source: A file, the name of a shipped one, or the folder of a run or fit; empty: the one shipped for the board.
        changes: Fields of `SearchSettings` that differ.
        threads: For the network or its playouts.
        searches: Whether to search, or play its first choice.
        backend: torch, or openvino, which is faster on a CPU.
        playout_weight: Of playouts beside the network's value; see `NetworkMaker`.
        any_size: Whether it may play on other boards than it was trained on.

    Raises:
        UserError: It can't be read.
    """
    if not source:
        return ShippedMaker(changes, threads, searches, backend, playout_weight)

    import torch

    path = Path(source)
    if _is_run(path):
        from tengen.evaluation.go.run_maker import run_maker

        maker = run_maker(path)
        torch.set_num_threads(threads)  # not the run's
        return maker
    torch.set_num_threads(threads)
    loaded = _load(source)
    settings = _with_network(loaded.card, changes, threads) if searches else None
    if backend == "openvino":
        from tengen.perception.openvino_network import OpenVINONetwork

        translated = OpenVINONetwork(loaded, threads=threads)
        return NetworkMaker(translated, source, settings, threads, playout_weight, any_size)
    return NetworkMaker(loaded, source, settings, threads, playout_weight, any_size)


def shipped_network(size: int) -> Path | None:
    """Return the file of the network that is shipped for a board, or None; one that knows values before others."""
    import safetensors

    found: list[tuple[bool, Path]] = []
    for path in _shipped():
        with safetensors.safe_open(path, "np") as file:
            card = json.loads((file.metadata() or {}).get("tengen", "{}"))
        if card.get("size") == size:
            found.append((_knows_values(card["architecture"]), path))
    return max(found)[1] if found else None


def _shipped() -> list[Path]:
    return sorted((Path(str(resources.files("tengen.presets"))) / "networks").glob("*.safetensors"))


def _is_run(path: Path) -> bool:
    """Return whether an agent has learnt in a folder, rather than a network been fitted."""
    if not path.is_dir():
        return False
    from tengen.run.folder import is_fit

    return not is_fit(path)


def _load(source: str) -> LoadedNetwork:
    """Return the network of a file, of a shipped one's name, or of a fit's folder."""
    from tengen.perception.network_file import folded, load_network, named_network, ready

    if not Path(source).is_dir():
        return load_network(named_network(source))
    from tengen.run.fitted import load_fitted

    fitted = load_fitted(Path(source))
    return ready(*folded(fitted.network, fitted.card))


def _knows_values(architecture: Mapping[str, Any]) -> bool:
    """Return whether a network has a value head; `ResidualTower` has one unless its parameters say otherwise."""
    return bool(architecture["parameters"].get("value", architecture["class"] == "ResidualTower"))


def _with_network(card: Card, changes: Mapping[str, Any], threads: int) -> SearchSettings:
    """Return how to search with a network: unless a rule is given, guided if it knows no values and boards are small.

    On 19x19 there are not enough playouts for RAVE to tell better from worse once it has forgotten where it began.
    """
    guided = card.size <= _GUIDED_UP_TO and not _knows_values(card.architecture)
    rule = changes.get("rule", "uct" if guided else "puct")
    return _changed(GUIDED, changes, threads) if rule == "uct" else dataclasses.replace(WITH_NETWORK, **changes)


def _changed(base: SearchSettings, changes: Mapping[str, Any], threads: int) -> SearchSettings:
    """Return settings of a search over playouts; with several threads it goes on while they last."""
    overlaps = threads > 1 and changes.get("rule", base.rule) != "gumbel"
    return dataclasses.replace(base, **{"overlap": overlaps, **changes})


def _players(threads: int, settings: SearchSettings) -> int:
    """Return how many of a search's threads play."""
    return max(1, threads - settings.overlap)


def _with_values(loaded: Callable[[Array], tuple[Array, Array | None]], *, known: bool) -> NetworkFunction:
    """Return a network as a function whose values are 0 where they are not known."""

    def function(planes: Array) -> tuple[Array, Array]:
        logits, values = loaded(planes)
        return logits, values if known and values is not None else np.zeros(len(logits), np.float32)

    return function
