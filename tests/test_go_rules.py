"""Go's rules: the kernels against the plain twin on random games, and the cases that rules are known by."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from go_twin import TwinGame

from tengen.envs.go.rules import Refusal, Rules
from tengen.envs.go.simulator import Go
from tengen.envs.go.states import GoStates

INTERPRETED = bool(numba.config.DISABLE_JIT)  # type: ignore[attr-defined]  # numba sets its settings by name


def follow(rules: Rules, num_games: int, num_plies: int, seed: int) -> set[Refusal]:
    """Play random games on both sides, comparing everything at each ply; return what refusals were met."""
    go, rng = Go(rules), np.random.default_rng(seed)
    states, twins = go.init(rng, num_games), [TwinGame(rules) for _ in range(num_games)]
    met = set()
    for _ in range(num_plies):
        legal = go.legal(states)
        for row, twin in enumerate(twins):
            assert legal[row].tolist() == twin.legal()
            met |= {twin.refusal(action) for action in range(rules.num_points)}
        actions = np.array([rng.choice(np.flatnonzero(row[:-1]) if row[:-1].any() else [-1]) for row in legal])
        actions[(actions < 0) | (rng.random(num_games) < 0.05)] = rules.pass_action
        actions = np.where(legal[np.arange(num_games), actions], actions, legal.argmax(axis=1))
        check_refusals(go, states, twins, rng)
        movers = states.to_move
        over_before = states.over
        states, reward, discount = go.step(states, actions)
        for row, twin in enumerate(twins):
            if not twin.over:
                twin.play(int(actions[row]))
            compare(go, states, row, twin)
            won = 0.0 if over_before[row] or not twin.over else np.sign(twin.score()) * movers[row]
            assert reward[row] == won
            assert discount[row] == (0 if twin.over else twin.to_move * movers[row])
    return met


def check_refusals(go: Go, states: GoStates, twins: list[TwinGame], rng: np.random.Generator) -> None:
    """Any action, legal or not: the reasons are the same, and a refused one changes nothing."""
    anything = rng.integers(go.num_actions, size=len(twins))
    after, reasons = go.play(states, anything)
    for row, twin in enumerate(twins):
        wanted = Refusal.NONE if twin.over else twin.refusal(int(anything[row]))
        assert reasons[row] == wanted
        if wanted or twin.over:
            for mine, given in zip(after.rows(row), states.rows(row), strict=True):
                np.testing.assert_array_equal(mine, given)


def compare(go: Go, states: GoStates, row: int, twin: TwinGame) -> None:
    """Everything that a state holds."""
    np.testing.assert_array_equal(states.board[row], twin.board())
    assert states.to_move[row] == twin.to_move
    assert states.ko[row] == twin.ko
    assert states.passes[row] == twin.passes
    assert states.last[row].tolist() == (twin.moves[::-1] + [-1] * 8)[:8]
    assert states.captured[row].tolist() == [twin.captured[1], twin.captured[-1]]
    assert states.moves[row] == min(len(twin.moves), go.rules.move_limit)


VARIANTS = [
    Rules(size=2, komi=0),
    Rules(size=2, komi=1, suicide=True, ko="situational"),
    Rules(size=3, komi=2, suicide=True),
    Rules(size=3, komi=0.5, suicide=True, ko="situational"),
    Rules(size=4, ko="simple", scoring="territory"),
    Rules(size=4, ko="situational", scoring="territory", suicide=True),
    Rules(size=5, ko="simple", suicide=True, max_moves=30),
    Rules(size=5, handicap=3, free_handicap=True, handicap_bonus="n-1"),
    Rules.chinese(7, handicap=2),
]


@pytest.mark.parametrize("rules", VARIANTS, ids=lambda rules: f"{rules.size}-{rules.ko}-{rules.suicide}")
def test_kernels_play_as_the_twin_does(rules: Rules) -> None:
    num_games, num_plies = (2, 25) if INTERPRETED else (6, 60)
    met = follow(rules, num_games, num_plies, seed=1)
    if not INTERPRETED:
        assert {Refusal.OCCUPIED, Refusal.SUICIDE} <= met
        assert Refusal.KO in met or rules.size not in (3, 4, 5)
        assert Refusal.SUPERKO in met or rules.ko == "simple" or rules.size > 3
