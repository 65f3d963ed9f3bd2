"""The rules of a Simulator, and the check that tries them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tengen.contracts import Simulator
from tengen.testing.trees import freeze_state, state_difference
from tengen.testing.violation import Rules, Violation
from tengen.types import Bools, Floats, Ints

SIMULATOR_RULES: Rules = {
    "protocol": "A simulator has every method of tengen.Simulator.",
    "fields": "observe leads with B; legal is bool [B, A]; reward and discount are float64 [B].",
    "discount": "Discount is within [-1, 1].",
    "legal": "Every state has a legal action; in terminal states all actions count as legal.",
    "pure": "No method changes the states or actions that it is given.",
    "seeded": "The same generator gives the same states, rewards and discounts.",
    "rows-independent": "What a state's row shows depends neither on its place nor on the other rows.",
}


def check_simulator(simulator: Simulator, *, batch_size: int = 8, num_steps: int = 100, seed: int = 0) -> None:
    """Check that a simulator keeps every rule of `SIMULATOR_RULES`.

    Args:
        simulator: The rules of a game or a task.
        batch_size: States side by side.
        num_steps: Random legal actions of each row; a row whose state is terminal starts anew.
        seed: Of everything random.

    Raises:
        Violation: A rule is broken.
        ValueError: No state became terminal in `num_steps`, so that a rule could not be tried.
    """
    if not isinstance(simulator, Simulator):
        raise _violation("protocol", repr(simulator))
    rng = np.random.default_rng(seed)
    states = simulator.init(np.random.default_rng(seed), batch_size)
    if state_difference(_plain(states), _plain(simulator.init(np.random.default_rng(seed), batch_size))):
        raise _violation("seeded", "init gave other states for the same generator")
    terminal = np.zeros(batch_size, np.bool_)
    ended = False
    for turn in range(num_steps):
        where = f"after {turn} steps"
        legal = _look(simulator, states, terminal, where)
        if terminal.any():  # each row at its own time, so that the rows are of different ages
            ended = True
            states = _where(terminal, simulator.init(rng, batch_size), states)
            legal = _look(simulator, states, np.zeros_like(terminal), where)
        actions = np.array([rng.choice(np.flatnonzero(row)) for row in legal])
        result = _step(simulator, states, actions, [seed, turn], where)
        kept = copy.deepcopy(result)
        _step(simulator, states, _others(legal, actions), [seed, turn], where)
        if state_difference(_plain(tuple(kept)), _plain(tuple(result))):
            raise _violation("pure", f"{where}: step wrote into what it returned before")
        states, terminal = result[0], result[2] == 0
    if not ended:
        raise ValueError(f"no state became terminal within {num_steps} random actions: raise num_steps")


def _look(simulator: Simulator, states: Any, terminal: Bools, where: str) -> Bools:
    before = copy.deepcopy(states)
    observation, legal = simulator.observe(states), simulator.legal(states)
    num_rows = len(terminal)
    if len(observation) != num_rows:
        raise _violation("fields", f"{where}: observe returned {observation.shape} for {num_rows} states")
    if legal.shape != (num_rows, simulator.num_actions) or legal.dtype != np.bool_:
        raise _violation("fields", f"{where}: legal is {legal.dtype} {legal.shape}")
    for row in range(num_rows):
        if not legal[row].any() or (terminal[row] and not legal[row].all()):
            raise _violation("legal", f"{where}, row {row}: {legal[row]}, terminal {terminal[row]}")
    if state_difference(_plain(before), _plain(states)):
        raise _violation("pure", f"{where}: observe or legal changed the states")
    order = np.arange(num_rows)[::-1]
    turned = _take(states, order)
    if not (
        np.array_equal(simulator.observe(turned), observation[order])
        and np.array_equal(simulator.legal(turned), legal[order])
    ):
        raise _violation("rows-independent", f"{where}: the rows in another order are not the same rows")
    for row in (0, num_rows - 1):
        alone = _take(states, np.array([row]))
        if not np.array_equal(simulator.observe(alone)[0], observation[row]):
            raise _violation("rows-independent", f"{where}, row {row}: alone it is observed as something else")
    return legal


def _step(simulator: Simulator, states: Any, actions: Ints, seed: list[int], where: str) -> tuple[Any, Floats, Floats]:
    before, given = copy.deepcopy(states), actions.copy()
    result = simulator.step(states, actions, np.random.default_rng(seed))
    if state_difference(_plain(before), _plain(states)) or not np.array_equal(given, actions):
        raise _violation("pure", f"{where}: step changed the states or the actions that it was given")
    _, reward, discount = result
    for name, value in (("reward", reward), ("discount", discount)):
        if value.shape != actions.shape or value.dtype != np.float64:
            raise _violation("fields", f"{where}: {name} is {value.dtype} {value.shape}")
    if np.any(np.abs(discount) > 1):
        raise _violation("discount", f"{where}: {discount}")
    kept = copy.deepcopy(result)
    again = simulator.step(states, actions, np.random.default_rng(seed))
    if state_difference(_plain(tuple(kept)), _plain(tuple(again))):
        raise _violation("seeded", f"{where}: step gave something else for the same generator")
    return result


def _others(legal: Bools, actions: Ints) -> Ints:
    """Return a legal action for each row, another one where there is another."""
    others = legal.copy()
    others[np.arange(len(actions)), actions] = False
    return np.where(others.any(1), others.argmax(1), actions)


def _plain(states: Any) -> Any:
    """Opaque states as a tree that can be compared."""
    return freeze_state(list(states) if isinstance(states, tuple) else states)


def _take(states: Any, rows: Ints) -> Any:
    if isinstance(states, tuple):
        parts = [_take(part, rows) for part in states]
        return type(states)(*parts) if hasattr(states, "_fields") else tuple(parts)
    return states[rows]


def _where(rows: Bools, new: Any, old: Any) -> Any:
    """Return states with the new ones in some rows."""
    if isinstance(old, tuple):
        parts = [_where(rows, x, y) for x, y in zip(new, old, strict=True)]
        return type(old)(*parts) if hasattr(old, "_fields") else tuple(parts)
    return np.where(rows.reshape(-1, *[1] * (old.ndim - 1)), new, old)


def _violation(rule: str, seen: str) -> Violation:
    return Violation(SIMULATOR_RULES, rule, seen)
