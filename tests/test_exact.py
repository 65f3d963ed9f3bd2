"""The exact returns that `tengen evaluate` prints beside the measured ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tengen.agents.random import RandomPolicy
from tengen.cli import main
from tengen.contracts import Environment
from tengen.envs import EnvConfig, make_env
from tengen.evaluate import evaluate
from tengen.evaluation.exact import exact_terms, tabulate_policy
from tengen.planners import finite_horizon_return, random_policy
from tengen.types import Ints, TimeStep


def env_of(name: str, **kwargs: object) -> Environment:
    return make_env(EnvConfig(name, kwargs=dict(kwargs)), training=False)


class ByObservation:
    """Takes the sum of an observation's parts, as an action."""

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        return np.asarray(step.observation.reshape(len(step.reward), -1).sum(1) % 2, np.int64)


class Coin:
    """Draws its actions, and doesn't say how."""

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        return rng.integers(2, size=len(step.reward))


def test_a_policy_is_shown_every_state_as_an_agent_sees_it() -> None:
    spec = env_of("Blackjack-v1", sab=True).spec
    assert spec.model is not None
    probabilities = tabulate_policy(ByObservation(), spec)
    assert probabilities is not None
    numbers = spec.model.observation if len(spec.model.observation) else np.arange(spec.model.num_states)
    player, dealer, usable = np.unravel_index(numbers, spec.observation_space.nvec)  # type: ignore[attr-defined]  # MultiDiscrete
    np.testing.assert_array_equal(probabilities.argmax(1), (player + dealer + usable) % 2)
    np.testing.assert_array_equal(probabilities.sum(1), 1.0)


def test_a_policy_that_draws_without_saying_how_has_no_exact_return() -> None:
    env = env_of("Blackjack-v1", sab=True)
    assert tabulate_policy(Coin(), env.spec) is None
    assert set(exact_terms(Coin(), env, 1.0)) == {"q_star_return", "gamma"}


def test_a_random_policy_is_worth_what_the_planner_says_and_what_is_measured() -> None:
    env = env_of("FrozenLake-v1")
    assert env.spec.model is not None
    policy = RandomPolicy(4)
    terms = exact_terms(policy, env, None)
    assert terms == {"expected_return": finite_horizon_return(env.spec.model, random_policy(env.spec.model), 100)}
    measured = evaluate(policy, env, 4_000, 0)
    assert measured is not None
    assert abs(measured.returns.mean() - terms["expected_return"]) < 4 * measured.returns.std() / 4_000**0.5


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_random_actions_of_the_evaluation_count_too(epsilon: float) -> None:
    env = env_of("tengen/WindyGridworld-v0")
    policy = exact_terms(RandomPolicy(env.spec.num_actions), env, 1.0, epsilon)
    assert policy["q_star_return"] == pytest.approx(-15) if epsilon == 0 else policy["q_star_return"] < -15


def test_a_policy_that_always_explores_is_worth_what_a_random_one_is() -> None:
    env = env_of("FrozenLake-v1")
    follows, random = ByObservation(), RandomPolicy(4)
    assert exact_terms(follows, env, None, 1.0) == pytest.approx(exact_terms(random, env, None))
    assert exact_terms(follows, env, None) != pytest.approx(exact_terms(random, env, None))


def test_tables_that_hold_for_a_while_only_say_nothing() -> None:
    assert exact_terms(RandomPolicy(4), env_of("tengen/BlockingMaze-v0"), 0.95) == {}


def test_what_no_agent_can_follow_is_left_out() -> None:
    terms = exact_terms(RandomPolicy(2), env_of("tengen/ShortCorridor-v0"), 1.0)  # all of its states look alike
    assert terms == {"expected_return": pytest.approx(-12), "gamma": 1.0}


def test_what_would_take_minutes_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    env = env_of("FrozenLake-v1")
    assert env.spec.model is not None
    in_an_episode = 100 * len(env.spec.model.probability)
    monkeypatch.setattr("tengen.evaluation.exact._MOST_BACKUPS", in_an_episode)  # too few for Q* at such a gamma
    assert set(exact_terms(RandomPolicy(4), env, 0.9999)) == {"expected_return", "gamma"}
    monkeypatch.setattr("tengen.evaluation.exact._MOST_BACKUPS", in_an_episode - 1)
    assert exact_terms(RandomPolicy(4), env, 0.99) == {}


def test_an_environment_without_tables_says_nothing() -> None:
    assert exact_terms(RandomPolicy(2), env_of("CartPole-v1"), 0.99) == {}


@pytest.mark.parametrize(
    ("env", "gamma", "expected"),
    [
        ("FrozenLake-v1", "0.99", 0.7402),
        ("FrozenLake8x8-v1", "0.99", 0.863),
        ("FrozenLake8x8-v1", "0.995", 0.894),
        ("FrozenLake8x8-v1", "0.999", 0.886),
        ("Taxi-v4", "0.99", 7.93),
        ("CliffWalking-v1", "0.99", -13.0),
    ],
)
def test_the_command_prints_the_return_of_the_policy_that_is_greedy_on_q_star(
    env: str, gamma: str, expected: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    arguments = ["--env", env, "--agent.gamma", gamma, "--steps", "100", "--run-dir", str(run)]
    assert main(["train", "q_learning", *arguments]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--episodes", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["gamma"] == float(gamma)
    assert result["q_star_return"] == pytest.approx(expected, abs=6e-4 if abs(expected) < 1 else 6e-3)
    assert result["expected_return"] <= {"FrozenLake8x8-v1": 0.91322}.get(env, 8.0)  # no policy can do better
