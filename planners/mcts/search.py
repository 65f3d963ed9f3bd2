"""One tree search for any simulator: UCT, PUCT and Gumbel AlphaZero; many games and many leaves of a game at once.

B games (rows), A actions, M leaves of a batch. A batch is three steps: kernels walk down all trees to leaves, whatever
judges leaves is called once, and kernels hand the values up.

The same seeds give the same trees, whatever the number of threads, and each game the tree that it would have alone. The
rules must know no chance (`deterministic = True`): a node keeps the state that was first stepped into.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tengen.contracts import Simulator
from tengen.errors import UserError
from tengen.planners.mcts._gumbel_kernels import choose_best, improved_policy
from tengen.planners.mcts._layout_kernels import GUMBEL, PUCT, UCT, Leaves, Root, Rule
from tengen.planners.mcts._tree_kernels import Grown, make_node, record, select
from tengen.planners.mcts.budget import Budget
from tengen.planners.mcts.evaluators import Evaluate, Evaluation
from tengen.planners.mcts.guesses import Guess
from tengen.planners.mcts.halving import halving_schedule
from tengen.planners.mcts.result import SearchResult
from tengen.planners.mcts.seeds import Seeds, hashed
from tengen.planners.mcts.settings import SearchSettings
from tengen.planners.mcts.states import num_rows, same_states, take_states, write_states
from tengen.planners.mcts.tree import TreeStore
from tengen.types import Array, Bools, Ints

Generators: TypeAlias = np.random.Generator | Sequence[np.random.Generator]
"""One generator for all games, or one for each."""

_ROOT = 2**63  # the count that the seeds of a root's own evaluation are made with
_NOT_DRAWN_FROM = np.random.default_rng(0)  # the rules know no chance
_NO_VALUES = np.empty((0, 0), np.float32)
_NO_FIRST = np.empty((0, 0), np.int8)


class _Batch(NamedTuple):
    """Leaves that were walked down to, M in all games together."""

    size: int  # M
    leaves: Leaves
    states: Any  # [M, ...]; None where there is no leaf
    legal: Bools | None  # [M, A], where all of them are due to become nodes
    results: Array  # float64 [2, M], reward and discount of the steps to them


class Search:
    """Trees of B games.

    Args:
        simulator: The rules, without chance.
        evaluate: Judges leaves; see `tengen.planners.mcts.evaluators`.
        settings: How to search.
        guess: What is known of actions beforehand, for RAVE.

    Raises:
        ValueError: The rules know chance.
    """

    def __init__(
        self,
        simulator: Simulator,
        evaluate: Evaluate,
        settings: SearchSettings | None = None,
        guess: Guess | None = None,
    ) -> None:
        if not getattr(simulator, "deterministic", False):
            raise ValueError(f"{type(simulator).__name__} can't be searched: it does not say `deterministic = True`")
        self.settings = settings or SearchSettings()
        self._simulator = simulator
        self._evaluate = evaluate
        self._guess = guess
        self._rule = _rule(self.settings)
        self._store: TreeStore | None = None
        self._root: Root
        self._leaves: tuple[Leaves, Leaves]  # of the batch that is walked down for, and of one that is judged meanwhile
        self._pool: ThreadPoolExecutor | None = None
        self._num_simulations = 0

    @property
    def num_games(self) -> int:
        """B; 0 before the first `reset`."""
        return 0 if self._store is None else len(self._store.tree.num_nodes)

    @property
    def num_nodes(self) -> Ints:
        """The number of nodes in each tree, [B]."""
        return self._known.tree.num_nodes.astype(np.int64)

    def reset(self, states: Any, legal: Bools | None = None) -> None:
        """Forget everything, and begin with B new roots.

        Args:
            states: The roots' states.
            legal: Where given, the roots' actions [B, A] to choose among, within the legal ones.
        """
        num_games, num_actions = num_rows(states), self._simulator.num_actions
        if self._store is None or num_games != self.num_games:
            self._store = TreeStore(states, num_actions, self.settings.max_nodes)
            room = (num_games * self.settings.leaves, self.settings.max_depth, num_actions)
            self._leaves = _leaves(*room), _leaves(*room)
        else:
            self._store.forget(np.arange(num_games), states)
        self._begin(legal)

    def advance(self, actions: Ints, states: Any, legal: Bools | None = None) -> None:
        """Go on from where actions led, keeping what is known of it.

        A game whose new state is another than the tree has there, such as one that was begun anew, is forgotten.

        Args:
            actions: Played at the roots, [B]; -1 forgets a game.
            states: Where they led.
            legal: As in `reset`.
        """
        store = self._known
        forgotten = np.ones(self.num_games, np.bool_)
        for row, action in enumerate(actions.tolist()):
            node = self._child_of(row, action)
            if node >= 0:
                store.keep(row, node)
                forgotten[row] = False
        kept = np.flatnonzero(~forgotten)
        if len(kept):
            forgotten[kept] = ~same_states(store.roots(kept), take_states(states, kept))
        rows = np.flatnonzero(forgotten)
        if len(rows):
            store.forget(rows, take_states(states, rows))
        self._begin(legal)

    def restrict(self, legal: Bools) -> None:
        """Choose among these actions [B, A], within the legal ones, at the roots from now on; the trees stay."""
        self._begin(legal)

    def run(self, budget: Budget, rng: Generators, should_stop: Callable[[], bool] | None = None) -> SearchResult:
        """Search on, and return what is known then.

        Args:
            budget: When to end.
            rng: Draws a seed for each game: with a generator for each, a game's tree is that which it would have alone.
            should_stop: Asked between batches.

        Raises:
            UserError: The rule is gumbel, and the number of simulations is not known beforehand.
        """
        deadline = budget.deadline()
        if self._rule.kind == GUMBEL and budget.simulations is None:
            raise UserError("the rule gumbel needs a number of simulations: sequential halving divides it up")
        seeds = _draw_seeds(rng, self.num_games)
        self._make_roots(seeds)
        ends = self._prepare_roots(seeds, budget.simulations or 0)
        counts = np.zeros(self.num_games, np.int64)
        most = budget.simulations

        def batches() -> Iterator[_Batch]:
            """Walk down to leaves, batch by batch, until the budget is spent."""
            while most is None or counts.min() < most:
                left = np.full_like(counts, self.settings.leaves) if most is None else most - counts
                if ends is not None:  # the halves are judged when all of their visits are in
                    left = np.minimum(left, ends[np.arange(len(ends)), np.minimum(counts, ends.shape[1] - 1)] - counts)
                yield self._descend(np.clip(left, 0, self.settings.leaves), seeds, counts)
                if time.monotonic() >= deadline or (should_stop is not None and should_stop()):
                    return

        (self._grow_overlapping if self.settings.overlap else self._grow)(batches())
        self._num_simulations = int(counts.min())
        return self.result()

    def result(self) -> SearchResult:
        """Return what is known now; a root that was never run has nothing but zeros."""
        tree, num_actions = self._known.tree, self._simulator.num_actions
        shape = (self.num_games, num_actions)
        visits, sums = np.zeros(shape, np.int64), np.zeros(shape)
        priors, policy = np.zeros(shape, np.float32), np.zeros(shape)
        best = np.zeros(self.num_games, np.int64)
        for row in range(self.num_games):
            edges = self._edges(row)
            actions = tree.action[row, edges]
            visits[row, actions] = tree.visits[row, edges]
            sums[row, actions] = tree.value_sum[row, edges]
            priors[row, actions] = tree.prior[row, edges]
            if len(actions) and self._rule.kind == GUMBEL:
                best[row] = tree.action[row, choose_best(tree, self._rule, self._root, row)]
        total = visits.sum(axis=1)
        value = np.where(total > 0, sums.sum(axis=1) / np.maximum(total, 1), 0.0)
        visits[~self._root.allowed] = 0
        values = np.where(visits > 0, sums / np.maximum(visits, 1), 0.0)
        if self._rule.kind == GUMBEL:
            improved_policy(tree, self._rule, self._root, policy)
        else:
            policy = visits / np.maximum(visits.sum(axis=1, keepdims=True), 1)
            best = _most_visited(visits, values, np.where(self._root.allowed, priors, -1.0))
        return SearchResult(visits, values, value, priors, policy, best, self._num_simulations)

    def principal_variation(self, row: int = 0, action: int | None = None) -> list[int]:
        """Return the actions that are played if both sides play what was visited most.

        Args:
            row: The game.
            action: The first of them, where it is not the most visited.
        """
        tree, node, line = self._known.tree, 0, []
        while node >= 0 and (edges := self._edges(row, node)).stop > edges.start:
            visits = tree.visits[row, edges]
            if node == 0:
                actions = tree.action[row, edges]
                fits = self._root.allowed[row, actions] if action is None else actions == action
                visits = np.where(fits, visits, 0)
            if not visits.any():
                break
            values = tree.value_sum[row, edges] / np.maximum(visits, 1)
            edge = edges.start + int(_most_visited(visits[None], values[None], tree.prior[None, row, edges])[0])
            line.append(int(tree.action[row, edge]))
            node = int(tree.child[row, edge])
        return line

    @property
    def _known(self) -> TreeStore:
        assert self._store is not None, "a search needs `reset` first"
        return self._store

    def _edges(self, row: int, node: int = 0) -> slice:
        tree = self._known.tree
        if node >= tree.num_nodes[row]:
            return slice(0, 0)
        start = int(tree.first_edge[row, node])
        return slice(start, start + int(tree.width[row, node]))

    def _child_of(self, row: int, action: int) -> int:
        edges = self._edges(row)
        found = np.flatnonzero(self._known.tree.action[row, edges] == action)
        return int(self._known.tree.child[row, edges][found[0]]) if len(found) else -1

    def _begin(self, legal: Bools | None) -> None:
        shape = (self.num_games, self._simulator.num_actions)
        allowed = np.ones(shape, np.bool_) if legal is None else legal.astype(np.bool_)
        self._root = Root(
            allowed,
            np.zeros(shape, np.float32),
            np.zeros(shape),
            np.zeros(shape, np.int32),
            np.zeros((shape[0], 1), np.int32),
        )
        self._num_simulations = 0

    def _make_roots(self, seeds: Seeds) -> None:
        """Give those roots edges that have none."""
        tree = self._known.tree
        rows = np.flatnonzero(tree.num_nodes == 0)
        if not len(rows):
            return
        states = self._known.roots(rows)
        legal = self._simulator.legal(states)
        values, priors = np.zeros(len(rows)), _NO_VALUES
        if self._rule.kind != UCT:
            judged = self._evaluate(states, legal, hashed(seeds[rows], _ROOT))
            values, priors = judged.values, _as_priors(judged.priors)
        grown = self._grown(np.arange(len(rows)), states, legal, priors)
        for g, row in enumerate(rows.tolist()):
            node = make_node(tree, row, grown, g, float(values[g]))
            assert node == 0, "an empty tree has room for a root"

    def _grown(self, leaf: Ints, states: Any, legal: Bools, priors: Array) -> Grown:
        guesses, weights = _NO_VALUES, _NO_VALUES
        if self._guess is not None and len(leaf):
            guesses, weights = (part.astype(np.float32, copy=False) for part in self._guess(states, legal))
        return Grown(leaf, legal, priors, guesses, weights, np.empty(len(leaf), np.int64))

    def _prepare_roots(self, seeds: Seeds, num_simulations: int) -> Ints | None:
        """Set what holds at the roots for one run; return, for gumbel, where each simulation's part ends [B, S]."""
        tree, root, settings = self._known.tree, self._root, self.settings
        levels, ends = [], []
        for row in range(self.num_games):
            edges = self._edges(row)
            actions = tree.action[row, edges]
            chosen = actions[root.allowed[row, actions]]
            assert len(chosen), f"row {row}: no action is allowed"
            root.prior[row, actions] = tree.prior[row, edges]
            root.base[row, actions] = tree.visits[row, edges]
            if settings.rule == "puct" and settings.noise > 0:
                noise = np.random.default_rng(seeds[row]).dirichlet(np.full(len(chosen), settings.noise_alpha))
                root.prior[row, chosen] = (1 - settings.noise) * root.prior[row, chosen] + settings.noise * noise
            elif settings.rule == "gumbel":
                if settings.gumbel_noise > 0:
                    drawn = np.random.default_rng(seeds[row]).gumbel(size=root.gumbel.shape[1])
                    root.gumbel[row] = settings.gumbel_noise * drawn
                level, end = halving_schedule(min(settings.considered, len(chosen)), num_simulations)
                levels.append(level)
                ends.append(end)
        if not ends:
            return None
        self._root = root._replace(levels=np.array(levels, np.int32).reshape(len(levels), -1))
        if num_simulations == 0:
            self._root = root._replace(levels=np.zeros((len(levels), 1), np.int32))
        return np.array(ends, np.int64)

    def _grow(self, batches: Iterator[_Batch]) -> None:
        """Judge each batch, and hand it up, before the next one is walked down for."""
        for batch in batches:
            if batch.size:
                self._hand_up(batch, self._judge(batch))

    def _grow_overlapping(self, batches: Iterator[_Batch]) -> None:
        """Walk down for a batch while the one before it is judged; what is handed up when is always the same."""
        self._pool = self._pool or ThreadPoolExecutor(1, "leaves")
        before: tuple[_Batch, Future[Evaluation]] | None = None
        for batch in batches:
            self._leaves = self._leaves[::-1]
            judging = (batch, self._pool.submit(self._judge, batch)) if batch.size else None
            if before is not None:
                self._hand_up(before[0], before[1].result())
            before = judging
        if before is not None:
            self._hand_up(before[0], before[1].result())

    def _descend(self, wanted: Ints, seeds: Seeds, counts: Ints) -> _Batch:
        """Walk down to so many leaves of each game [B], and step to their states."""
        store, leaves = self._known, self._leaves[0]
        store.make_room((1 + self.settings.overlap) * self.settings.leaves)
        m = select(store.tree, self._rule, self._root, leaves, wanted, seeds, counts)
        if m == 0:
            return _Batch(0, leaves, None, None, _NO_VALUES)
        parents = take_states(store.states, leaves.row[:m] * store.num_nodes + leaves.node[:m])
        states, reward, discount = self._simulator.step(parents, leaves.action[:m], _NOT_DRAWN_FROM)
        legal = self._simulator.legal(states) if self._rule.expand_visits == 1 else None  # then all of them grow
        return _Batch(m, leaves, states, legal, np.stack([reward, discount]))

    def _judge(self, batch: _Batch) -> Evaluation:
        return self._evaluate(batch.states, batch.legal, batch.leaves.seed[: batch.size])

    def _hand_up(self, batch: _Batch, judged: Evaluation) -> None:
        """Make nodes of leaves that are due, and hand the values of all of them up."""
        store, (m, leaves, states, legal, results) = self._known, batch
        leaf = np.flatnonzero(leaves.grows[:m])
        growing = take_states(states, leaf) if len(leaf) else states
        if len(leaf) == 0:
            legal = np.empty((0, self._simulator.num_actions), np.bool_)
        else:
            legal = self._simulator.legal(growing) if legal is None else legal[leaf]
        priors = _as_priors(judged.priors if judged.priors is None else judged.priors[leaf])
        grown = self._grown(leaf, growing, legal, priors)
        first = _NO_FIRST if judged.first is None or self._rule.rave == 0 else judged.first
        record(store.tree, self._rule, leaves, grown, results, judged.values.astype(np.float64, copy=False), first, m)
        new = np.flatnonzero(grown.node >= 0)
        if len(new):
            write_states(
                store.states, leaves.row[leaf[new]] * store.num_nodes + grown.node[new], take_states(growing, new)
            )


def _as_priors(priors: Array | None) -> Array:
    return _NO_VALUES if priors is None else priors.astype(np.float32, copy=False)


def _most_visited(visits: Array, values: Array, priors: Array) -> Ints:
    """Return the column of each row [B, X] with the most visits, of these the best value, of these the best prior."""
    top = visits == visits.max(axis=1, keepdims=True)
    worth = np.where(top, values, -np.inf)
    top &= worth == worth.max(axis=1, keepdims=True)
    best: Ints = np.where(top, priors, -np.inf).argmax(axis=1)
    return best


def _draw_seeds(rng: Generators, num_games: int) -> Seeds:
    if isinstance(rng, np.random.Generator):
        return rng.integers(2**64, size=num_games, dtype=np.uint64)
    assert len(rng) == num_games, f"{len(rng)} generators for {num_games} games"
    return np.array([generator.integers(2**64, dtype=np.uint64) for generator in rng])


def _leaves(num_leaves: int, max_depth: int, num_actions: int) -> Leaves:
    wide = np.zeros((2, num_leaves + 1, max_depth), np.int32)  # one more: where a descent ends that counts for nothing
    whole = np.zeros((3, num_leaves + 1), np.int64)
    return Leaves(
        path=wide[0],
        nodes=wide[1],
        length=np.zeros(num_leaves + 1, np.int32),
        row=whole[0],
        node=whole[1],
        action=whole[2],
        grows=np.zeros(num_leaves + 1, np.bool_),
        seed=np.zeros(num_leaves + 1, np.uint64),
        scratch=np.zeros(num_actions, np.int8),
    )


def _rule(settings: SearchSettings) -> Rule:
    """Return the settings as kernels take them, with those decided that depend on the rule."""
    kind = {"uct": UCT, "puct": PUCT, "gumbel": GUMBEL}[settings.rule]
    exploration = settings.exploration
    if exploration is None:
        exploration = 1.25 if kind == PUCT else float(settings.rave_equivalence == 0)
    fpu = settings.fpu
    if fpu is None:
        fpu = math.inf if kind == UCT else math.nan
    return Rule(
        kind=kind,
        exploration=float(exploration),
        exploration_base=float(settings.exploration_base),
        fpu=float(fpu),
        fpu_reduction=float(settings.fpu_reduction),
        virtual_loss=float(settings.virtual_loss),
        rave=float(settings.rave_equivalence),
        expand_visits=settings.expand_visits,
        collisions=kind == UCT,
        gumbel_visit=float(settings.gumbel_visits),
        gumbel_scale=float(settings.gumbel_scale),
    )
