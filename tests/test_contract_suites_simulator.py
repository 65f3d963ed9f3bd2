"""Each rule of the simulators' suite catches rules of a game that were broken on purpose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tengen.envs.tictactoe import TicTacToe
from tengen.testing import SIMULATOR_RULES, Violation, check_simulator
from tengen.types import Array, Bools, Floats, Ints


class Rules(TicTacToe):
    """Right rules, to be broken."""


class NoObserve(Rules):
    def __getattribute__(self, name: str) -> Any:
        if name == "observe":
            raise AttributeError(name)
        return super().__getattribute__(name)


class ShortRewards(Rules):
    def step(self, states: Any, actions: Ints, rng: np.random.Generator) -> tuple[Any, Floats, Floats]:
        states, reward, discount = super().step(states, actions, rng)
        return states, reward.astype(np.float32), discount


class NumbersForLegal(Rules):
    def legal(self, states: Any) -> Bools:
        return super().legal(states).astype(np.int8)


class DoubleDiscount(Rules):
    def step(self, states: Any, actions: Ints, rng: np.random.Generator) -> tuple[Any, Floats, Floats]:
        states, reward, discount = super().step(states, actions, rng)
        return states, reward, 2 * discount


class OnlyEmptySquares(Rules):
    def legal(self, states: Any) -> Bools:
        empty: Bools = states == 0
        return empty


class StepsInPlace(Rules):
    def step(self, states: Any, actions: Ints, rng: np.random.Generator) -> tuple[Any, Floats, Floats]:
        after, reward, discount = super().step(states, actions, rng)
        states[:] = after
        return after, reward, discount


class TurnsTheBoardToLook(Rules):
    def observe(self, states: Any) -> Array:
        states *= -1
        return super().observe(-states)


class ReusesItsBoards(Rules):
    boards: Any = None

    def step(self, states: Any, actions: Ints, rng: np.random.Generator) -> tuple[Any, Floats, Floats]:
        after, reward, discount = super().step(states, actions, rng)
        if self.boards is None or np.shares_memory(self.boards, states):
            self.boards = np.zeros_like(after)
        self.boards[:] = after
        return self.boards, reward, discount


class RollsItsOwnDice(Rules):
    dice = np.random.default_rng(0)

    def step(self, states: Any, actions: Ints, rng: np.random.Generator) -> tuple[Any, Floats, Floats]:
        after, reward, discount = super().step(states, actions, rng)
        return after, reward + self.dice.random(), discount


class StartsAnyhow(Rules):
    dice = np.random.default_rng(0)

    def init(self, rng: np.random.Generator, batch_size: int) -> Any:
        states = super().init(rng, batch_size)
        states[0, self.dice.integers(9, size=2)] = 1
        return states


class SeesTheFirstRow(Rules):
    def observe(self, states: Any) -> Array:
        observation: Array = super().observe(states) + states[0].sum() / 8
        return observation


class AllowsByPlace(Rules):
    def legal(self, states: Any) -> Bools:
        legal = super().legal(states)
        if legal[0].sum() > 1:
            legal[0, legal[0].argmax()] = False
        return legal


PLANTED_RULES: list[tuple[str, type[Rules]]] = [
    ("protocol", NoObserve),
    ("fields", ShortRewards),
    ("fields", NumbersForLegal),
    ("discount", DoubleDiscount),
    ("legal", OnlyEmptySquares),
    ("pure", StepsInPlace),
    ("pure", TurnsTheBoardToLook),
    ("pure", ReusesItsBoards),
    ("seeded", RollsItsOwnDice),
    ("seeded", StartsAnyhow),
    ("rows-independent", SeesTheFirstRow),
    ("rows-independent", AllowsByPlace),
]


def test_right_rules_pass() -> None:
    check_simulator(Rules())


@pytest.mark.parametrize(("rule", "broken"), PLANTED_RULES)
def test_a_broken_simulator_is_caught_by_the_rule_that_it_breaks(rule: str, broken: type[Rules]) -> None:
    with pytest.raises(Violation) as caught:
        check_simulator(broken())
    assert caught.value.rule == rule
    assert SIMULATOR_RULES[rule] in str(caught.value)


def test_every_rule_of_simulators_has_a_planted_violation() -> None:
    assert {rule for rule, _ in PLANTED_RULES} == set(SIMULATOR_RULES)


def test_a_simulator_check_in_which_nothing_ends_is_refused() -> None:
    with pytest.raises(ValueError, match="raise num_steps"):
        check_simulator(Rules(), num_steps=2)
