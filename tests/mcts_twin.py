"""The tree search of one game once more, slowly: objects in place of arrays, and nothing shared with what it checks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tengen.contracts import Simulator
from tengen.planners.mcts.evaluators import Evaluate
from tengen.planners.mcts.guesses import Guess
from tengen.planners.mcts.settings import SearchSettings

_MASK = 2**64 - 1


def plain_seed(seed: int, count: int) -> int:
    """Return a simulation's seed, in Python's integers."""
    z = (seed + (count + 1) * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


@dataclass
class Edge:
    action: int
    prior: float
    visits: int = 0
    value_sum: float = 0.0
    pending: int = 0
    reward: float = 0.0
    discount: float | None = None
    amaf_visits: float = 0.0
    amaf_sum: float = 0.0
    child: Node | None = None

    def mean(self) -> float:
        return self.value_sum / self.visits


@dataclass
class Node:
    state: Any
    raw_value: float
    edges: list[Edge] = field(default_factory=list)


class SlowSearch:
    """One game's tree. `run` mirrors `Search.run` of a single game with a generator of its own."""

    def __init__(
        self, simulator: Simulator, evaluate: Evaluate, settings: SearchSettings, guess: Guess | None = None
    ) -> None:
        self.simulator, self.evaluate, self.settings, self.guess = simulator, evaluate, settings, guess
        self.num_nodes = 0
        self.root: Node | None = None

    def reset(self, state: Any) -> None:
        self.state, self.root, self.num_nodes = state, None, 0

    def advance(self, action: int, state: Any) -> None:
        child = next((edge.child for edge in self.root.edges if edge.action == action), None) if self.root else None
        self.state, self.root = state, child
        self.num_nodes = self._count(child) if child else 0

    def run(self, simulations: int, rng: np.random.Generator) -> None:
        self.seed = int(rng.integers(2**64, dtype=np.uint64))
        if self.root is None:
            value, priors = 0.0, None
            if self.settings.rule != "uct":
                value, priors, _ = self._judge(self.state, plain_seed(self.seed, 2**63))
            self.root = self._make_node(self.state, value, priors)
        self._prepare(simulations)
        count = 0
        before: list[Any] = []
        while count < simulations:
            leaves: list[Any] = []
            room = min(self.settings.leaves, simulations - count)
            if self.settings.rule == "gumbel":
                room = min(room, self._round_end(count) - count)
            for _ in range(room):
                path = self._descend(count)
                edge = path[-1][1]
                ended = edge.discount == 0
                if edge.pending and edge.child is None and not ended and self.settings.rule != "uct":
                    break
                for _, passed in path:
                    passed.pending += 1
                if ended:
                    self._back_up(path, 0.0, {})
                else:
                    visits = edge.visits + edge.pending
                    due = visits == self.settings.expand_visits or (
                        edge.pending == 1 and visits > self.settings.expand_visits
                    )
                    leaves.append((path, due and edge.child is None, plain_seed(self.seed, count)))
                count += 1
            if self.settings.overlap:
                leaves, before = before, leaves
            self._finish(leaves)
        self._finish(before)

    def _finish(self, leaves: list[Any]) -> None:
        results = []
        for path, due, seed in leaves:
            node, edge = path[-1]
            state, reward, discount = self.simulator.step(node.state, np.array([edge.action]), np.random.default_rng(0))
            edge.reward, edge.discount = float(reward[0]), float(discount[0])
            results.append((path, due, state, *self._judge(state, seed)))
        for path, due, state, value, priors, _ in results:
            edge = path[-1][1]
            if due and edge.discount != 0 and edge.child is None and self.num_nodes < self.settings.max_nodes:
                edge.child = self._make_node(state, value, priors)
        for path, _, _, value, _, first in results:
            self._back_up(path, value, first)

    def _judge(self, state: Any, seed: int) -> tuple[float, Any, dict[int, int]]:
        judged = self.evaluate(state, self.simulator.legal(state), np.array([seed], np.uint64))
        first = {} if judged.first is None else {a: int(side) for a, side in enumerate(judged.first[0]) if side}
        return float(judged.values[0]), None if judged.priors is None else judged.priors[0], first

    def _make_node(self, state: Any, value: float, priors: Any) -> Node:
        self.num_nodes += 1
        legal = self.simulator.legal(state)
        actions = np.flatnonzero(legal[0]).tolist()
        node = Node(state, float(np.float32(value)))
        for action in actions:
            prior = np.float32(1) / np.float32(len(actions)) if priors is None else priors[action]
            node.edges.append(Edge(action, float(prior)))
        if self.guess is not None:
            values, weights = self.guess(state, legal)
            for edge in node.edges:
                edge.amaf_visits = float(weights[0, edge.action])
                edge.amaf_sum = float(np.float32(weights[0, edge.action]) * np.float32(values[0, edge.action]))
        return node

    def _back_up(self, path: list[tuple[Node, Edge]], value: float, first: dict[int, int]) -> None:
        side, first = 1, dict(first)
        for node, edge in reversed(path):
            assert edge.discount is not None
            value = edge.reward + edge.discount * value
            edge.visits, edge.value_sum, edge.pending = edge.visits + 1, edge.value_sum + value, edge.pending - 1
            if edge.discount < 0:
                side = -side
            first[edge.action] = side
            for sibling in node.edges:
                if self.settings.rave_equivalence and first.get(sibling.action) == side:
                    sibling.amaf_visits += 1
                    sibling.amaf_sum += float(np.float32(value))

    def _descend(self, count: int) -> list[tuple[Node, Edge]]:
        node = self.root
        path: list[tuple[Node, Edge]] = []
        while node is not None and len(path) < self.settings.max_depth:
            edge = self._choose(node, count)
            path.append((node, edge))
            node = edge.child
        return path

    def _choose(self, node: Node, count: int) -> Edge:
        if self.settings.rule == "uct":
            scores = [self._ucb(node, edge) for edge in node.edges]
        elif self.settings.rule == "puct":
            scores = [self._puct(node, edge) for edge in node.edges]
        elif node is self.root:
            level = self._level(count)
            fits = [edge.visits + edge.pending - self.base[edge.action] == level for edge in node.edges]
            logits = self.improved_logits(node)
            scores = [
                self.gumbel[edge.action] + logit if fit or not any(fits) else -math.inf
                for edge, logit, fit in zip(node.edges, logits, fits, strict=True)
            ]
        else:
            total = sum(edge.visits + edge.pending for edge in node.edges)
            policy = self.improved_policy(node)
            scores = [p - (e.visits + e.pending) / (1 + total) for p, e in zip(policy, node.edges, strict=True)]
        return node.edges[scores.index(max(scores))]

    def _ucb(self, node: Node, edge: Edge) -> float:
        s = self.settings
        c = s.exploration if s.exploration is not None else float(s.rave_equivalence == 0)
        total = max(1, sum(e.visits + e.pending for e in node.edges))
        bonus = c * math.sqrt(math.log(total))
        n = edge.visits + edge.pending
        amaf = edge.amaf_sum / edge.amaf_visits if s.rave_equivalence and edge.amaf_visits else None
        if n == 0:
            untried = math.inf if s.fpu is None else s.fpu
            return untried if amaf is None else amaf + bonus
        score = (edge.value_sum - s.virtual_loss * edge.pending) / n
        if amaf is not None:
            others = edge.amaf_visits
            score += others / (n + others + n * others / s.rave_equivalence) * (amaf - score)
        return score + bonus / math.sqrt(n) if bonus > 0 else score

    def _puct(self, node: Node, edge: Edge) -> float:
        s = self.settings
        counts = {id(e): e.visits + e.pending for e in node.edges}
        total = sum(counts.values())
        losses = sum(e.value_sum - s.virtual_loss * e.pending for e in node.edges)
        tried = sum(e.prior for e in node.edges if counts[id(e)])
        untried = (node.raw_value + losses) / (1 + total) - s.fpu_reduction * math.sqrt(tried)
        n = counts[id(edge)]
        value = (edge.value_sum - s.virtual_loss * edge.pending) / n if n else (untried if s.fpu is None else s.fpu)
        c = 1.25 if s.exploration is None else s.exploration
        c += math.log((1 + total + s.exploration_base) / s.exploration_base)
        prior = self.noisy.get(edge.action, edge.prior) if node is self.root else edge.prior
        return value + c * math.sqrt(1 + total) * prior / (1 + n)

    def mixed_value(self, node: Node) -> float:
        tried = [edge for edge in node.edges if edge.visits]
        total = sum(edge.visits for edge in tried)
        if not tried:
            return node.raw_value
        mean = sum(edge.prior * edge.mean() for edge in tried) / sum(edge.prior for edge in tried)
        return (node.raw_value + total * mean) / (1 + total)

    def improved_logits(self, node: Node) -> list[float]:
        s, mix = self.settings, self.mixed_value(node)
        most = max(edge.visits for edge in node.edges)
        completed = [edge.mean() if edge.visits else mix for edge in node.edges]
        scale = (s.gumbel_visits + most) * s.gumbel_scale
        return [math.log(e.prior) + scale * (1 + q) / 2 for e, q in zip(node.edges, completed, strict=True)]

    def improved_policy(self, node: Node) -> list[float]:
        logits = self.improved_logits(node)
        weights = [math.exp(logit - max(logits)) for logit in logits]
        return [weight / sum(weights) for weight in weights]

    def _prepare(self, simulations: int) -> None:
        assert self.root is not None
        s, actions = self.settings, [edge.action for edge in self.root.edges]
        self.base = {edge.action: edge.visits for edge in self.root.edges}
        self.noisy: dict[int, float] = {}
        if s.rule == "puct" and s.noise:
            noise = np.random.default_rng(self.seed).dirichlet([s.noise_alpha] * len(actions))
            for edge, eta in zip(self.root.edges, noise, strict=True):
                self.noisy[edge.action] = float(np.float32((1 - s.noise) * np.float32(edge.prior) + s.noise * eta))
        if s.rule == "gumbel":
            drawn = np.random.default_rng(self.seed).gumbel(size=self.simulator.num_actions)
            self.gumbel = s.gumbel_noise * drawn if s.gumbel_noise else np.zeros(len(drawn))
            self.rounds = slow_halving(min(s.considered, len(actions)), simulations)

    def _round_end(self, count: int) -> int:
        end = 0
        for left, visits in self.rounds:
            end += left * visits
            if end > count:
                return end
        raise AssertionError("past the last round")

    def _level(self, count: int) -> int:
        """Return how many visits each that is left has had, before the pass over them that `count` is in."""
        level = 0
        for left, visits in self.rounds:
            if count < left * visits:
                return level + count // left
            count -= left * visits
            level += visits
        raise AssertionError("past the last round")

    def _count(self, node: Node) -> int:
        return 1 + sum(self._count(edge.child) for edge in node.edges if edge.child)


def slow_halving(considered: int, simulations: int) -> list[tuple[int, int]]:
    """Return the rounds of sequential halving: how many actions are left, and how often each is visited."""
    rounds, left, used = [], considered, 0
    num_rounds = max(1, math.ceil(math.log2(considered)))
    while used < simulations:
        visits = max(1, simulations // (num_rounds * left))
        rounds.append((left, visits))
        used += left * visits
        left = max(left // 2, min(left, 2))
    return rounds
