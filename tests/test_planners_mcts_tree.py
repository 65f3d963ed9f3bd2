"""The trees of the search, node by node: against a slow twin, side by side, and after moves."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from mcts_games import RandomTree, played
from mcts_twin import Node, SlowSearch, slow_halving

from tengen.contracts import Simulator
from tengen.envs.connect_four import ConnectFour
from tengen.envs.tictactoe import TicTacToe
from tengen.planners.mcts import Budget, Evaluate, Search, SearchSettings, light_playouts
from tengen.planners.mcts.halving import halving_schedule
from tengen.planners.mcts.states import take_states
from tengen.types import Array, Bools

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")  # where kernels run uncompiled

INTERPRETED = bool(vars(numba.config)["DISABLE_JIT"])
FEW = 40 if INTERPRETED else 150

SETTINGS = {
    "uct": SearchSettings(),
    "uct-batch": SearchSettings(leaves=5, expand_visits=3, virtual_loss=0.5, exploration=0.7, fpu=1.1),
    "rave": SearchSettings(rave_equivalence=30.0, leaves=4, expand_visits=2),
    "rave-ucb": SearchSettings(rave_equivalence=30.0, exploration=0.4, max_nodes=20),
    "puct": SearchSettings(rule="puct", max_depth=3),
    "puct-batch": SearchSettings(rule="puct", leaves=6, noise=0.25, noise_alpha=0.5, exploration=2.0),
    "puct-fpu": SearchSettings(rule="puct", fpu=-0.3, leaves=2, exploration_base=50.0),
    "uct-overlap": SearchSettings(overlap=True, leaves=3, expand_visits=2, virtual_loss=0.5),
    "rave-overlap": SearchSettings(overlap=True, rave_equivalence=30.0, leaves=4, max_nodes=20),
    "puct-overlap": SearchSettings(rule="puct", overlap=True, leaves=3),
    "gumbel": SearchSettings(rule="gumbel", gumbel_visits=5.0),
    "gumbel-batch": SearchSettings(rule="gumbel", leaves=4, considered=4, gumbel_noise=0.5, gumbel_scale=0.3),
}


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def read(search: Search, row: int = 0, node: int = 0) -> Any:
    """Return a tree as nested dicts: of each action its numbers and what is below."""
    tree = search._known.tree
    found: dict[int, Any] = {}
    for edge in range(tree.first_edge[row, node], tree.first_edge[row, node] + tree.width[row, node]):
        assert tree.pending[row, edge] == 0
        child = int(tree.child[row, edge])
        found[int(tree.action[row, edge])] = (
            int(tree.visits[row, edge]),
            float(tree.value_sum[row, edge]),
            float(tree.amaf_visits[row, edge]),
            float(tree.amaf_sum[row, edge]),
            float(tree.prior[row, edge]),
            {} if child < 0 else read(search, row, child),
        )
    return found


def read_twin(node: Node | None) -> Any:
    if node is None:
        return {}
    return {
        e.action: (e.visits, e.value_sum, e.amaf_visits, e.amaf_sum, e.prior, read_twin(e.child)) for e in node.edges
    }


def some_guess(states: Array, legal: Bools) -> tuple[Array, Array]:
    values = np.sin(np.arange(legal.shape[1]) + states[:, None]).astype(np.float32)
    return np.round(values * 8) / 8, np.full(legal.shape, 3.0, np.float32)


GAMES: list[tuple[Simulator, Evaluate]] = [(game := RandomTree(seed), game.network) for seed in range(3)]
GAMES += [(TicTacToe(), light_playouts(TicTacToe()))]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("which", range(len(GAMES)))
def test_the_tree_is_the_slow_twins_visit_by_visit(which: int, name: str) -> None:
    game, evaluate = GAMES[which]
    settings = SETTINGS[name]
    guess = some_guess if which == 1 and settings.rave_equivalence else None
    fast, slow = Search(game, evaluate, settings, guess), SlowSearch(game, evaluate, settings, guess)
    start = game.init(rng(0), 1)
    fast.reset(start)
    slow.reset(start)
    for run, simulations in enumerate((1, 7, FEW)):
        fast.run(Budget(simulations=simulations), [rng(run)])
        slow.run(simulations, rng(run))
        assert read(fast) == read_twin(slow.root)
        assert fast.num_nodes[0] == slow.num_nodes
    state = start
    for turn in range(2):  # and after moves, with what is known kept
        action = int(fast.result().actions[0])
        state, _, discount = game.step(state, np.array([action]), rng(0))
        if discount[0] == 0:
            break
        fast.advance(np.array([action]), state)
        slow.advance(action, state)
        assert read(fast) == read_twin(slow.root)
        fast.run(Budget(simulations=FEW // 3), [rng(turn, 1)])
        slow.run(FEW // 3, rng(turn, 1))
        assert read(fast) == read_twin(slow.root)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_batch_of_games_has_the_trees_that_each_has_alone(name: str) -> None:
    game, settings = ConnectFour(), SETTINGS[name]
    evaluate = light_playouts(game, threads=2)
    # rows of other ages, one of them with full columns, one that wins at once, one twice
    starts = [
        played(game, moves) for moves in ([], [3, 3, 3, 3, 3, 3], [0, 6, 0, 6, 0, 6], [3, 2], [], [1] * 6 + [2] * 6)
    ]
    states = type(starts[0])(*(np.concatenate(leaves) for leaves in zip(*starts, strict=True)))
    together = Search(game, evaluate, settings)
    together.reset(states)
    result = together.run(Budget(simulations=FEW), [rng(row) for row in range(6)])
    actions = result.actions
    after, _, _ = game.step(states, actions)
    together.advance(np.where(np.arange(6) == 3, -1, actions), after)
    again = together.run(Budget(simulations=FEW // 2), [rng(row, 1) for row in range(6)])
    for row, start in enumerate(starts):
        alone = Search(game, light_playouts(game), settings)
        alone.reset(start)
        single = alone.run(Budget(simulations=FEW), [rng(row)])
        for ours, its in zip(result[:-1], single[:-1], strict=True):
            np.testing.assert_array_equal(ours[row], its[0])
        alone.advance(np.array([-1 if row == 3 else actions[row]]), take_states(after, np.array([row])))
        alone.run(Budget(simulations=FEW // 2), [rng(row, 1)])
        assert read(alone) == read(together, row)
    assert (again.visits.sum(axis=1) >= FEW // 2).all()


@pytest.mark.parametrize("name", ["uct-batch", "puct-batch", "gumbel"])
def test_what_other_rows_hold_leaks_into_none(name: str) -> None:
    game = RandomTree(5, num_actions=4)
    search = Search(game, game.network, SETTINGS[name])
    roots = np.array([0, 1, 2, 3, 4])
    roots = roots[game.legal(roots).sum(axis=1) > 1]
    trees = []
    for others in (0, 1):
        states = roots.copy()
        states[1:] = np.roll(states[1:], others)
        search.reset(states)
        search.run(Budget(simulations=FEW), [rng(int(state)) for state in states])
        trees.append({int(state): read(search, row) for row, state in enumerate(states)})
    assert trees[0] == trees[1]


@pytest.mark.parametrize("overlap", [False, True])
def test_the_number_of_threads_and_the_speed_of_one_change_nothing(overlap: bool) -> None:
    game = ConnectFour()
    settings = SearchSettings(leaves=64, expand_visits=4, rave_equivalence=100.0, overlap=overlap)
    trees = []
    for threads in (1, 2, 3):
        search = Search(game, light_playouts(game, threads=threads), settings)
        search.reset(game.init(rng(0), 1))
        search.run(Budget(simulations=10 * FEW), rng(3))
        trees.append(read(search))
    assert trees[0] == trees[1] == trees[2]


@pytest.mark.parametrize("name", SETTINGS)
def test_after_a_move_its_subtree_is_as_it_was(name: str) -> None:
    game = TicTacToe()
    search = Search(game, light_playouts(game), SETTINGS[name])
    states = game.init(rng(0), 2)
    search.reset(states)
    result = search.run(Budget(simulations=2 * FEW), rng(1))
    before = [read(search, row)[int(action)][-1] for row, action in enumerate(result.actions)]
    after, _, _ = game.step(states, result.actions, rng(0))
    search.advance(result.actions, after)
    assert [read(search, row) for row in range(2)] == before
    assert search.num_nodes.min() > 1


def test_a_state_that_is_not_where_the_tree_leads_is_begun_anew() -> None:
    game = TicTacToe()
    search = Search(game, light_playouts(game))
    search.reset(game.init(rng(0), 2))
    search.run(Budget(simulations=FEW), rng(1))
    search.advance(np.array([4, 4]), np.concatenate([played(game, [4]), played(game, [4, 0])]))
    assert search.result().visits.sum(axis=1).tolist()[1] == 0
    assert search.result().visits[0].sum() > 0
    result = search.run(Budget(simulations=FEW), rng(2))
    assert result.visits[1].sum() == FEW
    assert result.visits[1, [0, 4]].sum() == 0


def test_only_allowed_actions_are_tried_at_the_root() -> None:
    game = TicTacToe()
    allowed = np.zeros((1, 9), np.bool_)
    allowed[0, [3, 7]] = True
    for settings in SETTINGS.values():
        search = Search(game, light_playouts(game), settings)
        search.reset(game.init(rng(0), 1), allowed)
        result = search.run(Budget(simulations=20), rng(0))
        assert result.visits[0, [3, 7]].sum() == 20
        assert result.actions[0] in (3, 7)
        assert result.policy[0, [3, 7]].sum() == pytest.approx(1)


def test_a_full_tree_goes_on_without_new_nodes() -> None:
    game = TicTacToe()
    search = Search(game, light_playouts(game), SearchSettings(max_nodes=10))
    search.reset(game.init(rng(0), 1))
    result = search.run(Budget(simulations=FEW), rng(0))
    assert search.num_nodes[0] == 10
    assert result.visits.sum() == FEW


def test_a_full_tree_asks_no_more_for_guesses() -> None:
    game = TicTacToe()
    asked = []

    def guess(states: Any, legal: Bools) -> tuple[Array, Array]:
        asked.append(len(legal))
        return np.zeros(legal.shape, np.float32), np.ones(legal.shape, np.float32)

    settings = SearchSettings(max_nodes=10, rave_equivalence=50.0, expand_visits=2)
    search = Search(game, light_playouts(game), settings, guess)
    search.reset(game.init(rng(0), 1))
    search.run(Budget(simulations=FEW), rng(0))
    assert sum(asked) == search.num_nodes[0] == 10


@pytest.mark.parametrize("considered", [1, 2, 3, 4, 7, 16])
@pytest.mark.parametrize("simulations", [0, 1, 2, 5, 16, 33, 200])
def test_sequential_halving_visits_as_the_algorithm_says(considered: int, simulations: int) -> None:
    levels, ends = halving_schedule(considered, simulations)
    expected, expected_ends, level = [], [], 0
    for left, visits in slow_halving(considered, simulations):
        for _ in range(visits):
            expected += [level] * left
            level += 1
        expected_ends += [min(len(expected), simulations)] * (left * visits)
    assert levels.tolist() == expected[:simulations]
    assert ends.tolist() == expected_ends[:simulations]
