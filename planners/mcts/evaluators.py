"""What judges the leaves of a search: playouts, a network, or both.

M leaves, A actions. Each leaf has a seed of its own, so that it is judged the same whatever else is in the batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tengen.contracts import PlayoutSimulator, Simulator, SymmetricSimulator
from tengen.errors import UserError
from tengen.planners.mcts.seeds import Seeds, hashed
from tengen.planners.mcts.states import map_states, num_rows, take_states
from tengen.types import Array, Bools, Floats, Playouts

_LEAST_CHUNK = 8  # leaves for which a thread of their own pays


class Evaluation(NamedTuple):
    """What M states are thought to be worth, and their actions."""

    priors: Array | None  # float32 [M, A], probabilities, 0 for illegal ones; None: uniform
    values: Array  # [M], in [-1, 1], for the side to move
    first: Array | None = None  # int8 [M, A], as `Playouts.first`, for RAVE; the search may write into it


Evaluate: TypeAlias = Callable[[Any, Bools | None, Seeds], Evaluation]
"""Judges states [M, ...] with legal actions [M, A], each by a seed [M]. Legal is None where no priors are asked for."""

Play: TypeAlias = Callable[[Any, Seeds], Playouts]
"""Plays one game from each of the states [M, ...] to its end, each by its seed [M]."""

NetworkFunction: TypeAlias = Callable[[Array], tuple[Array, Array]]
"""From observations [M, ...] to logits [M, A] and values [M] in [-1, 1] for the side to move."""


def light_playouts(simulator: Simulator, *, threads: int = 1, playouts: int = 1, play: Play | None = None) -> Evaluate:
    """Judge a state by random games from it to the end.

    They are the simulator's own where it is a `PlayoutSimulator`, else `step`s with random actions.

    Args:
        simulator: The rules.
        threads: Share the leaves of a batch; they change no result.
        playouts: Games for each leaf; their mean is its value.
        play: Plays the games, in place of those.
    """
    if play is None:
        play = simulator.playouts if isinstance(simulator, PlayoutSimulator) else _StepPlayouts(simulator)
    pool = ThreadPoolExecutor(threads - 1, "playouts") if threads > 1 else None

    def played(states: Any, seeds: Seeds) -> Playouts:
        chunks = min(threads, len(seeds) // _LEAST_CHUNK)
        if pool is None or chunks < 2:
            return play(states, seeds)
        cuts = np.linspace(0, len(seeds), chunks + 1).astype(int).tolist()
        parts = [slice(start, stop) for start, stop in itertools.pairwise(cuts)]
        others = [
            pool.submit(play, map_states(lambda leaf, part=part: leaf[part], states), seeds[part]) for part in parts[1:]
        ]
        results = [play(map_states(lambda leaf: leaf[parts[0]], states), seeds[parts[0]])]
        results += [other.result() for other in others]
        first = None if results[0].first is None else np.concatenate([result.first for result in results])
        return Playouts(np.concatenate([result.value for result in results]), first)

    def evaluate(states: Any, legal: Bools | None, seeds: Seeds) -> Evaluation:
        if playouts == 1:
            value, first = played(states, seeds)
            return Evaluation(None, value, first)
        which = np.repeat(np.arange(len(seeds)), playouts)
        with np.errstate(over="ignore"):
            further = seeds[which] + np.tile(np.arange(playouts, dtype=np.uint64) << np.uint64(48), len(seeds))
        value, first = played(take_states(states, which), further)
        return Evaluation(None, value.reshape(-1, playouts).mean(axis=1), None if first is None else first[::playouts])

    return evaluate


def network(simulator: Simulator, function: NetworkFunction, *, symmetries: bool = False) -> Evaluate:
    """Judge states by a network.

    Args:
        simulator: The rules.
        function: The network, on arrays.
        symmetries: Show it each state from a side drawn by the leaf's seed, where the simulator has any.

    What it returns raises UserError where the network's answers are not finite.
    """
    turning = simulator if symmetries and isinstance(simulator, SymmetricSimulator) else None

    def evaluate(states: Any, legal: Bools | None, seeds: Seeds) -> Evaluation:
        observation = simulator.observe(states)
        if turning is None:
            logits, values = function(observation)
        else:
            sides = (seeds >> np.uint64(33)) % np.uint64(turning.num_symmetries)
            observation = observation.copy()
            for k in np.unique(sides).tolist():
                rows = sides == k
                observation[rows] = turning.transform(observation[rows], int(k))
            logits, values = function(observation)
            logits = np.take_along_axis(logits, turning.symmetry_actions[sides.astype(np.int64)], axis=1)
        _check(values)
        return Evaluation(None if legal is None else masked_softmax(logits, legal), values)

    return evaluate


def mixed(valued: Evaluate, played: Evaluate, weight: float) -> Evaluate:
    """Judge by `(1 - weight) * value + weight * playout`, as AlphaGo did with weight 0.5 (Silver et al. 2016).

    Args:
        valued: Gives priors and values: a network.
        played: Gives values: playouts.
        weight: Lambda of the paper, 0 to 1.
    """

    def evaluate(states: Any, legal: Bools | None, seeds: Seeds) -> Evaluation:
        one, other = valued(states, legal, seeds), played(states, None, seeds)
        return Evaluation(one.priors, (1.0 - weight) * one.values + weight * other.values, other.first)

    return evaluate


def masked_softmax(logits: Array, legal: Bools) -> Array:
    """Return probabilities of the legal actions, float32 [M, A]; 0 for the others.

    Raises:
        UserError: They are no numbers.
    """
    shifted = np.where(legal, logits, -np.inf).astype(np.float32)
    shifted -= shifted.max(axis=1, keepdims=True)
    weights = np.exp(shifted)
    probabilities: Array = weights / weights.sum(axis=1, keepdims=True)
    _check(probabilities)
    return probabilities


def _check(answers: Array) -> None:
    if not np.isfinite(answers).all():
        raise UserError("a network answers with nan or inf: its weights are broken, or its training has diverged")


class _StepPlayouts:
    """Random games by a simulator's `step`, all at once, each action by a hash of its game's seed and its turn."""

    def __init__(self, simulator: Simulator, max_length: int = 10_000) -> None:
        self._simulator = simulator
        self._max_length = max_length

    def __call__(self, states: Any, seeds: Seeds) -> Playouts:
        num_games = num_rows(states)
        value: Floats = np.zeros(num_games)
        factor = np.ones(num_games)  # what the next reward is multiplied with, 0 once the game is over
        first = np.zeros((num_games, self._simulator.num_actions), np.int8)
        rows, rng = np.arange(num_games), np.random.default_rng(0)  # nothing is drawn: the rules know no chance
        for turn in range(self._max_length):
            legal = self._simulator.legal(states)
            counts = legal.sum(axis=1)
            chosen = (hashed(seeds, turn) % counts.astype(np.uint64)).astype(np.int64)
            actions = (legal.cumsum(axis=1) > chosen[:, None]).argmax(axis=1)
            fresh = first[rows, actions] == 0
            first[rows, actions] = np.where(fresh, np.sign(factor), first[rows, actions])
            states, reward, discount = self._simulator.step(states, actions, rng)
            value += factor * reward
            factor = factor * discount
            if not factor.any():
                break
        return Playouts(value, first)
