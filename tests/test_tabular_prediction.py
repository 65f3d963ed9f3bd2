"""Prediction: its kernels against plain Python, the policies that it follows, and the book's figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from gymnasium.spaces import Discrete
from random_steps import ALL_LEGAL, Turn, discounted_return, ends, legal_table, split, teach
from run_helpers import digest, in_two

from tengen.agents._learner_kernels import Linear, Outcome, StepSize, act, update
from tengen.agents._trees import empty_trajectory
from tengen.agents.tabular import PredictionConfig
from tengen.agents.tabular import _prediction_kernels as kernels
from tengen.agents.tabular._n_step_kernels import empty_window
from tengen.agents.tabular._trace_kernels import ACCUMULATING, DUTCH, REPLACING, no_traces
from tengen.agents.tabular.prediction import FollowedPolicy
from tengen.config import RunConfig
from tengen.contracts import Agent
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.run import train
from tengen.tables import EpisodeLog
from tengen.testing import check_agent
from tengen.types import Decision, EnvSpec, Floats, TimeStep

S, A, GAMMA, LAMBDA = 5, 3, 0.9, 0.8
POLICY = kernels.Stochastic(np.random.default_rng(3).dirichlet(np.ones(A), S))


def initial_values() -> Floats:
    return np.random.default_rng(5).normal(size=S)


def size(power: float) -> StepSize:
    return StepSize(Linear(0.5, 0.1, 200), power, np.zeros((S, 1) if power else (0, 0), np.int64))


class Alphas:
    """The step sizes of `size`, visit after visit."""

    def __init__(self, power: float) -> None:
        self.power, self.counts = power, np.zeros(S, int)

    def __call__(self, s: int, clock: int) -> float:
        self.counts[s] += 1
        schedule = 0.1 if clock >= 200 else 0.5 - 0.4 * clock / 200
        return float(schedule / self.counts[s] ** self.power)


# --- Learning, against slow twins ---


@pytest.mark.parametrize("power", [0.0, 0.7])
def test_td_learns_as_its_plain_twin(power: float) -> None:
    learner, turns = teach(kernels.TD(initial_values(), POLICY, size(power), GAMMA), 300, seed=1)
    v, alpha = initial_values(), Alphas(power)
    for turn in turns:
        s, _, r, d, following, _ = turn.outcome
        v[s] += alpha(s, turn.clock) * (r + (GAMMA * d * v[following] if d else 0.0) - v[s])
    np.testing.assert_allclose(learner.v, v, rtol=1e-9)


def n_step(turns: list[Turn], n: int, power: float) -> Floats:
    v, alpha = initial_values(), Alphas(power)
    waiting: dict[int, list[Turn]] = {0: [], 1: []}
    for turn in turns:
        window = waiting[turn.row]
        window.append(turn)
        ready = len(window) if ends(turn) else max(len(window) - n + 1, 0)
        returns = [discounted_return(window, k, GAMMA, v[turn.outcome.s_t]) for k in range(ready)]
        for g in returns:
            s = window.pop(0).outcome.s_tm1
            v[s] += alpha(s, turn.clock) * (g - v[s])
    return v


@pytest.mark.parametrize("power", [0.0, 0.7])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_n_step_td_learns_as_its_plain_twin(n: int, power: float) -> None:
    learner = kernels.NStepTD(initial_values(), POLICY, size(power), GAMMA, empty_window(2, n))
    learner, turns = teach(learner, 300, seed=2)
    np.testing.assert_allclose(learner.v, n_step(turns, n, power), rtol=1e-9)


def with_traces(turns: list[Turn], replacing: bool, power: float) -> Floats:
    """TD(lambda) with a trace for every state, S&B's box on page 293; the step size is in the trace."""
    v, alpha, z = initial_values(), Alphas(power), np.zeros((2, S))
    for turn in turns:
        s, _, r, d, following, _ = turn.outcome
        z[turn.row, s] = alpha(s, turn.clock) + (0.0 if replacing else z[turn.row, s])
        v += (r + GAMMA * d * v[following] - v[s]) * z[turn.row]
        z[turn.row] *= 0.0 if ends(turn) else GAMMA * LAMBDA * d
    return v


@pytest.mark.parametrize("power", [0.0, 0.7])
@pytest.mark.parametrize("kind", [ACCUMULATING, REPLACING])
def test_td_lambda_learns_as_its_plain_twin(kind: int, power: float) -> None:
    learner = kernels.TDLambda(initial_values(), POLICY, size(power), GAMMA, LAMBDA, no_traces(kind, 2, S), np.zeros(2))
    learner, turns = teach(learner, 300, seed=3)
    np.testing.assert_allclose(learner.v, with_traces(turns, kind == REPLACING, power), rtol=1e-9)


def online_lambda_return(turns: list[Turn], power: float) -> Floats:
    """The online lambda-return algorithm (S&B section 12.4): at each step, all updates of the episode are redone.

    True online TD(lambda) is defined as what comes to the same.
    """
    v, alpha = initial_values(), Alphas(power)
    first, alphas, episode, latest = v, [], [], [v]  # latest[k]: the values at time k of the episode
    for turn in turns:
        episode.append(turn)
        alphas.append(alpha(turn.outcome.s_tm1, turn.clock))
        v, horizon = first.copy(), len(episode)
        for t in range(horizon):
            returns = [
                discounted_return(episode[:stop], t, GAMMA, latest[stop - 1][episode[stop - 1].outcome.s_t])
                for stop in range(t + 1, horizon + 1)
            ]
            weights = [(1 - LAMBDA) * LAMBDA**k for k in range(len(returns) - 1)] + [LAMBDA ** (len(returns) - 1)]
            s = episode[t].outcome.s_tm1
            v[s] += alphas[t] * (np.dot(weights, returns) - v[s])
        latest.append(v)
        if ends(turn):
            first, alphas, episode, latest = v, [], [], [v]
    return v


@pytest.mark.parametrize("power", [0.0, 0.7])
def test_true_online_td_lambda_equals_the_online_lambda_return_algorithm(power: float) -> None:
    traces = no_traces(DUTCH, 1, S)
    learner = kernels.TDLambda(initial_values(), POLICY, size(power), GAMMA, LAMBDA, traces, np.zeros(1))
    learner, turns = teach(learner, 250, seed=4, num_rows=1)
    np.testing.assert_allclose(learner.v, online_lambda_return(turns, power), rtol=1e-9)


@pytest.mark.parametrize("power", [0.0, 1.0])
@pytest.mark.parametrize("first_visit", [False, True])
def test_monte_carlo_learns_as_its_plain_twin(first_visit: bool, power: float) -> None:
    learner = kernels.MonteCarloPrediction(
        initial_values(), POLICY, size(power), GAMMA, first_visit, empty_trajectory(2)
    )
    learner, turns = teach(learner, 300, seed=5)
    v, alpha = initial_values(), Alphas(power)
    for episode in split(turns):
        states = [turn.outcome.s_tm1 for turn in episode]
        final = v[episode[-1].outcome.s_t]
        for t in reversed(range(len(episode))):
            if not first_visit or states[t] not in states[:t]:
                g = discounted_return(episode, t, GAMMA, final)
                v[states[t]] += alpha(states[t], episode[-1].clock) * (g - v[states[t]])
    np.testing.assert_allclose(learner.v, v, rtol=1e-9)


def batch(step_size: float, max_sweeps: int, first_visit: bool) -> kernels.Batch:
    experience = kernels.no_experience(2)
    return kernels.Batch(
        Linear(step_size, step_size, 0), GAMMA, 1e-9, max_sweeps, first_visit, experience, np.zeros(2, np.int64)
    )


def solved(equations: list[tuple[int, float, float, int]]) -> Floats:
    """The values v for which v[s] is the mean of constant + factor v[following] over the equations of s."""
    matrix, right = np.eye(S), initial_values()
    for s in {equation[0] for equation in equations}:
        own = [equation for equation in equations if equation[0] == s]
        right[s] = np.mean([constant for _, constant, _, _ in own])
        for _, _, factor, following in own:
            matrix[s, following] -= factor / len(own)
    return np.asarray(np.linalg.solve(matrix, right), np.float64)


@pytest.mark.parametrize("step_size", [1.0, 0.6])
def test_batch_td_finds_the_values_of_the_most_likely_process(step_size: float) -> None:
    learner, turns = teach(kernels.BatchTD(initial_values(), POLICY, batch(step_size, 10_000, False)), 30, seed=6)
    outcomes = [turn.outcome for episode in split(turns) for turn in episode]
    expected = solved([(o.s_tm1, o.r_t, GAMMA * o.discount_t, o.s_t) for o in outcomes])
    np.testing.assert_allclose(learner.v, expected, atol=1e-7)


@pytest.mark.parametrize("first_visit", [False, True])
def test_batch_monte_carlo_finds_the_mean_of_the_returns(first_visit: bool) -> None:
    learner = kernels.BatchMonteCarlo(initial_values(), POLICY, batch(1.0, 10_000, first_visit))
    learner, turns = teach(learner, 30, seed=7)
    equations = []
    for episode in split(turns):
        states = [turn.outcome.s_tm1 for turn in episode]
        for t, s in enumerate(states):
            if not first_visit or s not in states[:t]:
                constant = discounted_return(episode, t, GAMMA, 0.0)
                factor = discounted_return(episode, t, GAMMA, 1.0) - constant
                equations.append((s, constant, factor, episode[-1].outcome.s_t))
    np.testing.assert_allclose(learner.v, solved(equations), atol=1e-7)


@pytest.mark.parametrize("kind", [kernels.BatchTD, kernels.BatchMonteCarlo])
def test_batch_updating_gives_up_after_as_many_sweeps_as_it_may(kind: Any) -> None:
    learner = kind(np.zeros(S), POLICY, batch(0.5, 1, False))
    play(learner, [(0, 1.0, 0.0, 1)])
    assert learner.v[0] == 0.5


def play(learner: Any, steps: list[tuple[int, float, float, int]]) -> None:
    """Show a learner (state, reward, discount, next state), the last of which is the last of an episode."""
    for number, (s, r, d, following) in enumerate(steps):
        outcome = Outcome(s, 0, r, d, following, number == len(steps) - 1)
        update(learner, 0, outcome, ALL_LEGAL, 0, np.random.default_rng(0))


# --- Example 6.4: you are the predictor ---


def show(agent: Any, episodes: list[list[tuple[int, float]]]) -> None:
    """Show an agent episodes of (state, reward), each of which ends by terminating."""

    def moment(state: int, reward: float, discount: float, first: bool) -> TimeStep:
        last = discount == 0
        return TimeStep(
            np.array([state]), np.array([reward]), np.array([discount]), np.array([first]), np.array([last])
        )

    for episode in episodes:
        for t, (state, reward) in enumerate(episode):
            following = episode[t + 1][0] if t + 1 < len(episode) else 0
            now, then = moment(state, 0.0, 1.0, t == 0), moment(following, reward, float(t + 1 < len(episode)), False)
            agent.update(now, Decision(np.zeros(1, np.int64)), then)


@pytest.mark.parametrize(("method", "value_of_a"), [("batch_td", 0.75), ("batch_mc", 0.0)])
def test_batch_td_and_batch_monte_carlo_give_the_two_answers_of_example_6_4(method: Any, value_of_a: float) -> None:
    config = PredictionConfig(gamma=1.0, method=method, step_size=0.5, tolerance=1e-12)
    agent = config.build(EnvSpec("AB", Discrete(2), Discrete(1), 1), np.random.default_rng(0), "cpu")
    a, b = 0, 1
    show(agent, [[(a, 0.0), (b, 0.0)], *[[(b, 1.0)]] * 6, [(b, 0.0)]])
    values = agent.state_dict()["learner"]["v"]
    np.testing.assert_allclose(values, [value_of_a, 0.75], atol=1e-9)


# --- The policy that is followed ---


def test_a_stochastic_policy_draws_by_its_odds_among_the_legal_actions() -> None:
    policy = kernels.Stochastic(np.array([[0.1, 0.6, 0.0, 0.3]]))
    rng = np.random.default_rng(1)
    for legal, odds in (
        (ALL_LEGAL, [0.1, 0.6, 0.0, 0.3]),
        (np.array([True, False, True, True]), [0.25, 0.0, 0.0, 0.75]),
        (np.array([False, False, True, False]), [0.0, 0.0, 1.0, 0.0]),
    ):
        drawn = np.bincount([kernels.choose(policy, 0, legal, rng) for _ in range(4_000)], minlength=4)
        np.testing.assert_allclose(drawn / 4_000, odds, atol=0.03)
        assert not drawn[np.array(odds) == 0].any()


def test_a_greedy_policy_takes_the_first_of_the_best_legal_actions() -> None:
    policy, rng = kernels.Greedy(np.array([[0.0, -1.0, 0.0, -2.0]])), np.random.default_rng(1)
    assert kernels.choose(policy, 0, ALL_LEGAL, rng) == 0
    assert kernels.choose(policy, 0, np.array([False, True, True, True]), rng) == 2
    assert kernels.choose(policy, 0, np.array([False, True, False, True]), rng) == 1


def test_the_agent_acts_by_the_policy_that_it_evaluates() -> None:
    legal = legal_table(S, A, 3)
    learner = kernels.TD(np.zeros(S), POLICY, size(0.0), GAMMA)
    step = TimeStep(np.arange(S), np.zeros(S), np.ones(S), np.ones(S, bool), np.zeros(S, bool), legal)
    rng = np.random.default_rng(7)
    expected = [act(learner, 0, s, legal[s], 0, rng) for s in range(S)]
    acted = FollowedPolicy(lambda observation: observation, POLICY, learner.v).act(step, np.random.default_rng(7))
    assert acted.dtype == np.int64
    assert acted.tolist() == expected


# --- Runs ---

METHODS = ["td", "n_step", "lambda", "true_online", "mc", "batch_td", "batch_mc"]


def config_of(method: Any, policy: str = "random") -> PredictionConfig:
    if method.startswith("batch"):
        return PredictionConfig(method=method, policy=policy, max_sweeps=5)
    return PredictionConfig(method=method, policy=policy, step_size=0.9, step_size_power=0.5)


def run_config(env: str, method: str, policy: str = "random", **fields: Any) -> RunConfig:
    settings = {"steps": 1_500, "checkpoint_period": 0, **fields}
    return RunConfig("td", config_of(method, policy), EnvConfig(env), **settings)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_the_contract_of_an_agent(method: str) -> None:
    def build(spec: EnvSpec, rng: np.random.Generator) -> Agent:
        return replace(config_of(method), discretiser="uniform", bins=(3,)).build(spec, rng, "cpu")

    check_agent(build, lambda: make_env(EnvConfig("tengen/TicTacToe-v0", 2), training=True), num_steps=120)


@pytest.mark.parametrize("env", ["FrozenLake-v1", "Taxi-v4"])
@pytest.mark.parametrize("method", METHODS)
def test_both_drivers_come_to_the_same_state(method: str, env: str, tmp_path: Path) -> None:
    for driver in ("python", "compiled"):
        train(run_config(env, method, driver=driver), tmp_path / driver)
    assert digest(tmp_path / "python") == digest(tmp_path / "compiled")


@pytest.mark.parametrize("method", METHODS)
def test_a_run_goes_on_in_mid_episode_as_if_it_had_not_stopped(method: str, tmp_path: Path) -> None:
    config = run_config("Taxi-v4", method)  # whose episodes are long: 730 is within one
    train(config, tmp_path / "straight")
    in_two(config, 730, tmp_path / "parts")
    assert digest(tmp_path / "straight") == digest(tmp_path / "parts")


# --- The book's figures ---

numba_config: Any = numba.config  # its settings are set by name, out of mypy's sight
compiled_only = pytest.mark.skipif(numba_config.DISABLE_JIT, reason="hundreds of runs take long as plain Python")


def errors(env_id: str, truth: Floats, num_runs: int, every: bool, num_episodes: int, **settings: Any) -> Floats:
    """The root-mean-square error of each run after its last episode, or its mean over the run's episodes."""
    env = make_env(EnvConfig(env_id), training=True)
    config = PredictionConfig(gamma=1.0, **settings)
    at_a_time = 1 if every else num_episodes
    log = EpisodeLog(np.zeros(1), np.zeros(at_a_time), np.zeros(at_a_time, np.int64), np.zeros(at_a_time, np.int64))
    found = np.zeros(num_runs)
    for run in range(num_runs):
        agent: Any = config.build(env.spec, np.random.default_rng([run, 0]), "cpu")
        env.reset(run)
        world: Any = env.world()  # type: ignore[attr-defined]  # it is a TabledEnvironment
        rms = []
        for _ in range(num_episodes // at_a_time):
            assert agent.drive(world, log, 50_000)[1] == at_a_time
            rms.append(np.sqrt(np.mean((agent.learner.v[1 : len(truth) + 1] - truth) ** 2)))
        found[run] = np.mean(rms)
    return found


def assert_agrees(found: Floats, expected: float) -> None:
    """Within three combined standard errors; those of the book's values are of 300 runs or more."""
    assert abs(found.mean() - expected) < 3 * found.std(ddof=1) * np.sqrt(1 / len(found) + 1 / 300)


@compiled_only
@pytest.mark.parametrize(
    ("method", "step_size", "expected"),
    [("td", 0.15, 0.0712), ("td", 0.05, 0.0356), ("mc", 0.01, 0.0969), ("mc", 0.03, 0.0940)],
)
def test_the_random_walk_of_example_6_2(method: Any, step_size: float, expected: float) -> None:
    truth = np.arange(1, 6) / 6
    settings = {"method": method, "step_size": step_size, "initial_value": 0.5}
    found = errors("tengen/RandomWalk-v0", truth, num_runs=300, every=False, num_episodes=100, **settings)
    assert_agrees(found, expected)


@compiled_only
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"method": "n_step", "n_step": 1, "step_size": 0.82}, 0.345),
        ({"method": "n_step", "n_step": 4, "step_size": 0.38}, 0.2625),
        ({"method": "n_step", "n_step": 16, "step_size": 0.14}, 0.310),
        ({"method": "lambda", "trace_decay": 0.8, "step_size": 0.32}, 0.258),
        ({"method": "lambda", "trace_decay": 1.0, "step_size": 0.0125}, 0.500),
        ({"method": "true_online", "trace_decay": 0.8, "step_size": 0.4}, 0.250),
    ],
)
def test_the_random_walk_of_figures_7_2_and_12_6(settings: dict[str, Any], expected: float) -> None:
    truth = np.arange(-9, 10) / 10
    found = errors("tengen/RandomWalk19-v0", truth, num_runs=200, every=True, num_episodes=10, **settings)
    assert_agrees(found, expected)


# --- Wrong input ---


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_step": 0}, r"agent\.n_step must be from 1 to 10000, got 0"),
        ({"trace_decay": 1.5}, r"agent\.trace_decay must be between 0 and 1, got 1\.5"),
        ({"tolerance": -1.0}, r"agent\.tolerance must be finite and not negative, got -1"),
        ({"max_sweeps": 0}, r"agent\.max_sweeps must be at least 1, got 0"),
        ({"method": "batch_td", "step_size_power": 1.0}, r"not for the batch methods.* got 1"),
    ],
)
def test_settings_out_of_their_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        PredictionConfig(**settings)
