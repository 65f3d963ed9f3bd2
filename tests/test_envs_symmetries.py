"""The symmetries of games: what looks the same must play the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tengen.contracts import SymmetricSimulator
from tengen.envs.connect_four import ConnectFour
from tengen.envs.tictactoe import TicTacToe


@pytest.mark.parametrize("rules", [TicTacToe(), ConnectFour()])
def test_a_game_seen_from_another_side_goes_on_alike(rules: Any) -> None:
    assert isinstance(rules, SymmetricSimulator)
    rng = np.random.default_rng(0)
    for k in range(rules.num_symmetries):
        ours, theirs = rules.init(rng, 1), rules.init(rng, 1)
        for _ in range(42):
            seen = rules.transform(rules.observe(ours), k)
            np.testing.assert_array_equal(rules.observe(theirs), seen)
            legal = np.flatnonzero(rules.legal(ours)[0])
            assert set(rules.symmetry_actions[k, legal]) == set(np.flatnonzero(rules.legal(theirs)[0]))
            action = rng.choice(legal, size=1)
            ours, *result = rules.step(ours, action, rng)
            theirs, *other = rules.step(theirs, rules.symmetry_actions[k, action], rng)
            np.testing.assert_array_equal(result, other)
            if result[1] == 0:
                break


@pytest.mark.parametrize("rules", [TicTacToe(), ConnectFour()])
def test_every_symmetry_is_another_one_and_the_first_changes_nothing(rules: Any) -> None:
    assert rules.symmetry_actions.shape == (rules.num_symmetries, rules.num_actions)
    assert len(np.unique(rules.symmetry_actions, axis=0)) == rules.num_symmetries
    np.testing.assert_array_equal(rules.symmetry_actions[0], np.arange(rules.num_actions))
