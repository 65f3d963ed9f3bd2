"""Searches of Go by what judges their leaves, and how much of the time that takes, and guessing."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tengen.envs.go.guesses import go_guesses
from tengen.envs.go.rules import Rules
from tengen.envs.go.simulator import Go
from tengen.envs.go.tactics import tactical_playouts
from tengen.evaluation.go.game import Game
from tengen.evaluation.go.makers import GUIDED, LIGHT, WITH_NETWORK
from tengen.evaluation.go.specs import parse_player
from tengen.perception.network_file import load_network, named_network
from tengen.planners.mcts.budget import Budget
from tengen.planners.mcts.evaluators import Evaluate, light_playouts, mixed, network
from tengen.planners.mcts.guesses import Guess, both, policy_guess
from tengen.planners.mcts.search import Search
from tengen.planners.mcts.settings import SearchSettings
from tengen.types import Array

T = TypeVar("T")
NETWORKS = {9: "go_policy_9x9", 19: "go_policy_19x19"}


class Shares(NamedTuple):
    """Where the time of a search went."""

    rate: float  # simulations a second
    judging: float  # share of the time that leaves took
    guessing: float  # share that guesses of new nodes' moves took


class TimedSearch:
    """A search of the empty board, a second at a time, that keeps account of what it asks."""

    package = "tengen"

    def __init__(self, name: str, go: Go, evaluate: Evaluate, settings: SearchSettings, guess: Guess | None) -> None:
        self.name = name
        self._go = go
        self._spent = {"judging": 0.0, "guessing": 0.0}
        guessed = None if guess is None else self._timed(guess, "guessing")
        self._search = Search(go, self._timed(evaluate, "judging"), settings, guessed)

    def turn(self, seconds: float) -> Shares:
        """Search for so long."""
        self._search.reset(self._go.init(np.random.default_rng(0), 1))
        self._spent, began = dict.fromkeys(self._spent, 0.0), time.perf_counter()
        result = self._search.run(Budget(seconds=seconds), np.random.default_rng(0))
        took = time.perf_counter() - began
        return Shares(result.num_simulations / took, self._spent["judging"] / took, self._spent["guessing"] / took)

    def _timed(self, function: Callable[..., T], what: str) -> Callable[..., T]:
        def timed(*arguments: Any) -> T:
            began = time.perf_counter()
            found = function(*arguments)
            self._spent[what] += time.perf_counter() - began
            return found

        return timed


class PlayerThinking:
    """A player that thinks about the empty board."""

    package = "tengen"

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        maker = parse_player(name).maker()
        self._game = Game(Go(Rules(size), maker.planes(size)))
        self._maker = maker

    def turn(self, seconds: float) -> float:
        """Think for so long; return simulations a second."""
        thinker = self._maker(self._game.simulator)  # knows nothing of the turn before
        allowed, rng = self._game.legal(self._game.to_move), np.random.default_rng(0)
        thinker.think(self._game, allowed, Budget(simulations=1), rng)
        began = time.perf_counter()
        thought = thinker.think(self._game, allowed, Budget(seconds=seconds), rng)
        return thought.simulations / (time.perf_counter() - began)


def players(size: int) -> list[PlayerThinking]:
    """Return players with one thread and with two."""
    names = ["mcts", "mcts:threads=2,overlap=false", "mcts:threads=2"]
    if importlib.util.find_spec("openvino") is not None:  # torch has one number of threads for all
        guided = f"network:{NETWORKS.get(size, NETWORKS[19])},backend=openvino,any_size=true,rule=uct"
        names += [guided, f"{guided},threads=2"]
    return [PlayerThinking(name, size) for name in names]


def searches(size: int) -> list[TimedSearch]:
    """Return one search for each evaluator that is installed."""
    go = Go(Rules(size=size), "standard")

    def search(name: str, evaluate: Evaluate, settings: SearchSettings, guess: Guess | None = None) -> TimedSearch:
        return TimedSearch(name, go, evaluate, settings, guess)

    light = light_playouts(go)
    shapes = light_playouts(go, play=tactical_playouts(go))
    found = [
        search("UCT, light playouts", light, replace(LIGHT, rave_equivalence=0.0)),
        search("UCT and RAVE, light playouts", light, LIGHT),
        search("UCT and RAVE with guesses, playouts with shapes", shapes, LIGHT, go_guesses(go)),
    ]
    for backend, function in networks(size).items():
        guess = both(policy_guess(go, function), go_guesses(go))
        found.append(search(f"UCT and RAVE guided by a network by {backend}", shapes, GUIDED, guess))
        judged = network(go, function)
        found.append(search(f"PUCT, network by {backend}", judged, WITH_NETWORK))
        halved = mixed(judged, shapes, 0.5)
        found.append(search(f"PUCT, network by {backend} and a playout with shapes", halved, WITH_NETWORK))
    return found


def networks(size: int) -> dict[str, Callable[[Array], tuple[Array, Array]]]:
    """Return the shipped network by each backend that is here, on one thread; its values are none: 0."""
    import torch

    torch.set_num_threads(1)
    file: Path = named_network(NETWORKS.get(size, NETWORKS[19]))
    found: dict[str, Callable[[Array], tuple[Array, Any]]] = {
        "torch, float32": load_network(file),
        "torch, bfloat16": load_network(file, in_bfloat16=True),
    }
    try:
        from tengen.perception.openvino_network import OpenVINONetwork

        found["OpenVINO"] = OpenVINONetwork(load_network(file), threads=1)
    except ImportError:
        print("OpenVINO is not installed", flush=True)

    def valued(function: Callable[[Array], tuple[Array, Any]]) -> Callable[[Array], tuple[Array, Array]]:
        return lambda planes: (function(planes)[0], np.zeros(len(planes), np.float32))

    return {name: valued(function) for name, function in found.items()}
