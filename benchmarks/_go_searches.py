"""Searches of Go by what judges their leaves, and how much of the time the judging takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tengen.envs.go.guesses import go_guesses
from tengen.envs.go.rules import Rules
from tengen.envs.go.simulator import Go
from tengen.envs.go.tactics import tactical_playouts
from tengen.evaluation.go.makers import LIGHT, WITH_NETWORK
from tengen.perception.network_file import load_network, named_network
from tengen.planners.mcts.budget import Budget
from tengen.planners.mcts.evaluators import Evaluate, Evaluation, light_playouts, mixed, network
from tengen.planners.mcts.guesses import Guess
from tengen.planners.mcts.search import Search
from tengen.planners.mcts.seeds import Seeds
from tengen.planners.mcts.settings import SearchSettings
from tengen.types import Array, Bools

NETWORK = "go_policy_19x19"  # which computes on every size


class TimedSearch:
    """A search of the empty board, a second at a time, that keeps account of its evaluator's time.

    Args:
        name: What to call it.
        make: Makes the search, given what its evaluator is wrapped in.
    """

    package = "tengen"

    def __init__(self, name: str, make: Callable[[Callable[[Evaluate], Evaluate]], Search], go: Go) -> None:
        self.name = name
        self._search, self._go = make(self._timed), go
        self._spent = 0.0

    def turn(self, seconds: float) -> tuple[float, float]:
        """Return simulations a second, and the share of the time that judging took."""
        self._search.reset(self._go.init(np.random.default_rng(0), 1))
        self._spent, began = 0.0, time.perf_counter()
        result = self._search.run(Budget(seconds=seconds), np.random.default_rng(0))
        took = time.perf_counter() - began
        return result.num_simulations / took, self._spent / took

    def _timed(self, evaluate: Evaluate) -> Evaluate:
        def timed(states: Any, legal: Bools | None, seeds: Seeds) -> Evaluation:
            began = time.perf_counter()
            judged = evaluate(states, legal, seeds)
            self._spent += time.perf_counter() - began
            return judged

        return timed


def searches(size: int) -> list[TimedSearch]:
    """Return one search for each evaluator that is installed."""
    go = Go(Rules(size=size), "standard")

    def search(name: str, evaluate: Evaluate, settings: SearchSettings, guess: Guess | None = None) -> TimedSearch:
        return TimedSearch(name, lambda timed: Search(go, timed(evaluate), settings, guess), go)

    light = light_playouts(go)
    shapes = light_playouts(go, play=tactical_playouts(go))
    found = [
        search("UCT, light playouts", light, replace(LIGHT, rave_equivalence=0.0)),
        search("UCT and RAVE, light playouts", light, LIGHT),
        search("UCT and RAVE with guesses, playouts with shapes", shapes, LIGHT, go_guesses(go)),
    ]
    for backend, function in networks().items():
        judged = network(go, function)
        found.append(search(f"PUCT, network by {backend}", judged, WITH_NETWORK))
        both = mixed(judged, shapes, 0.5)
        found.append(search(f"PUCT, network by {backend} and a playout with shapes", both, WITH_NETWORK))
    return found


def networks() -> dict[str, Callable[[Array], tuple[Array, Array]]]:
    """Return the shipped network by each backend that is here, on one thread; its values are none: 0."""
    import torch

    torch.set_num_threads(1)
    file: Path = named_network(NETWORK)
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
