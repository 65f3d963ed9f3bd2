from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from tengen.tables import make_tables, tables_from_gymnasium, tabulate


def chain(p: float = 1.0, next_state: int = 1, discount: float = 0.0) -> dict[str, object]:
    """Two states, one action: 0 -> 1, and 1 ends."""
    return {
        "start": [0, 1, 3],
        "probability": [1.0, p / 2, p / 2],
        "next_state": [1, next_state, 0],
        "reward": [1.0, 2.0, 3.0],
        "discount": [1.0, discount, 0.0],
        "initial": [0.25, 0.75],
    }


def test_outcomes_lie_side_by_side_with_their_running_sums() -> None:
    tables = make_tables(**chain())  # type: ignore[arg-type]
    assert (tables.num_states, tables.num_actions, tables.num_observations) == (2, 1, 2)
    assert tables.outcomes(1, 0) == [(0.5, 1, 2.0, 0.0), (0.5, 0, 3.0, 0.0)]
    assert tables.cumulative.tolist() == [1.0, 0.5, 1.0]
    assert tables.initial_cumulative.tolist() == [0.25, 1.0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"probability": [1.0, 0.4, 0.5]}, "action 0 in state 1 have probabilities that sum to 0.9"),
        ({"probability": [1.0, float("nan"), 0.5]}, "sum to nan"),
        ({"probability": [1.0, -0.5, 1.5]}, "negative probability"),
        ({"next_state": [1, 2, 0]}, "outside 0..1"),
        ({"discount": [1.0, 1.5, 0.0]}, r"discounts in \[-1, 1\]"),
        ({"reward": [1.0, float("inf"), 0.0]}, "finite"),
        ({"initial": [0.5, 0.4]}, "first states sum to 0.9"),
        ({"initial": [0.5, float("nan")]}, "first states sum to nan"),
        ({"initial": [1.5, -0.5]}, "a first state has a negative probability"),
        ({"noise": np.array([0.0, float("nan"), 1.0])}, "noise must be finite"),
        ({"noise": np.array([0.0, -1.0, 1.0])}, "noise must be finite and not negative"),
        ({"observation": np.array([0])}, "observation must have a whole number"),
        ({"observation": np.array([0, -1])}, "observation must have a whole number"),
        ({"observation": np.array([0.0, 1.5])}, "observation must have a whole number"),
        ({"start": [0, 0, 3]}, "needs an outcome"),
        ({"start": [0, 1, 2, 3]}, "don't divide among 2 states"),
        ({"reward": [1.0, 2.0]}, r"reward has the shape \(2,\), expected \(3,\)"),
    ],
)
def test_tables_that_are_no_decision_process_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_tables(**{**chain(), **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "Taxi-v4", "CliffWalking-v1"])
def test_the_tables_of_a_gymnasium_environment_hold_its_outcomes_in_its_order(env_id: str) -> None:
    env = gym.make(env_id).unwrapped
    tables = tables_from_gymnasium(env.P, env.initial_state_distrib)  # type: ignore[attr-defined]
    for state, actions in env.P.items():  # type: ignore[attr-defined]
        for action, outcomes in actions.items():
            expected = [(p, s, r, 0.0 if terminated else 1.0) for p, s, r, terminated in outcomes]
            assert tables.outcomes(state, action) == expected
            pair = state * tables.num_actions + action
            running = np.cumsum([outcome[0] for outcome in outcomes])
            assert tables.cumulative[tables.start[pair] : tables.start[pair + 1]].tolist() == running.tolist()


def test_rules_given_as_a_function_become_tables_with_noise_on_the_reward() -> None:
    tables = tabulate(2, 2, lambda s, a: [(1.0, a, float(s), 0.0)], 1, noise=lambda s, a: float(a))
    assert tables.initial.tolist() == [0.0, 1.0]
    assert tables.noise.tolist() == [0.0, 1.0, 0.0, 1.0]
    assert tables.outcomes(1, 0) == [(1.0, 0, 1.0, 0.0)]
