"""The Monte Carlo control agents: their kernels against plain Python, and what they come to in small worlds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_steps import Turn, discounted_return, ends, legal_table, legal_values, split, teach
from run_helpers import digest, in_two

from tengen.agents._learner_kernels import Linear, StepSize, act
from tengen.agents._trees import arrays_of, empty_trajectory, load_arrays
from tengen.agents.tabular import MonteCarloConfig, OffPolicyMonteCarloConfig
from tengen.agents.tabular import _monte_carlo_kernels as kernels
from tengen.config import RunConfig
from tengen.contracts import Agent
from tengen.envs import EnvConfig, make_env
from tengen.envs.book import TabularEnv
from tengen.envs.tabled import TabledEnvironment
from tengen.errors import UserError
from tengen.run import train
from tengen.tables import EpisodeLog, Outcome, TransitionTables, tabulate
from tengen.testing import check_agent
from tengen.types import Bools, EnvSpec, Floats

S, A, GAMMA = 5, 3, 0.9
EPSILON = Linear(0.8, 0.2, 300)


LEGAL = legal_table(S, A, 3)


def initial_table(masked: bool = False) -> Floats:
    """Values to begin with; illegal actions seem the best, so that it shows where they are looked at."""
    return np.random.default_rng(5).normal(size=(S, A)) + (5.0 * ~LEGAL if masked else 0.0)


def size(power: float) -> StepSize:
    return StepSize(Linear(0.5, 0.1, 200), power, np.zeros((S, A) if power else (0, 0), np.int64))


def alpha(count: int, clock: int, power: float) -> float:
    schedule = 0.1 if clock >= 200 else 0.5 - 0.4 * clock / 200
    return float(schedule / count**power)


def epsilon_at(clock: int) -> float:
    return 0.2 if clock >= 300 else 0.8 - 0.6 * clock / 300


def soft_value(q: Floats, legal: Bools, epsilon: float) -> float:
    values = legal_values(q, legal)
    return epsilon * float(np.mean(values)) + (1 - epsilon) * max(values)


def monte_carlo(turns: list[Turn], first_visit: bool, power: float, masked: bool, greedy: bool) -> Floats:
    """Monte Carlo control the slow way: every return is summed up from its definition."""
    q, counts = initial_table(masked), np.zeros((S, A), int)
    for episode in split(turns):
        final = episode[-1]
        clock = final.clock
        v = soft_value(q[final.outcome.s_t], final.next_legal, 0.0 if greedy else epsilon_at(clock))
        returns = [discounted_return(episode, t, GAMMA, v) for t in range(len(episode))]
        pairs = [(turn.outcome.s_tm1, turn.outcome.a_tm1) for turn in episode]
        for t in reversed(range(len(episode))):
            if not first_visit or pairs[t] not in pairs[:t]:
                counts[pairs[t]] += 1
                q[pairs[t]] += alpha(counts[pairs[t]], clock, power) * (returns[t] - q[pairs[t]])
    return q


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("power", [0.0, 1.0])
@pytest.mark.parametrize("first_visit", [True, False])
def test_on_policy_control_learns_as_its_plain_twin(first_visit: bool, power: float, masked: bool) -> None:
    learner = kernels.MonteCarlo(initial_table(masked), size(power), EPSILON, GAMMA, first_visit, empty_trajectory(2))
    learner, turns = teach(learner, 300, seed=1, legal=LEGAL if masked else None)
    np.testing.assert_allclose(learner.q, monte_carlo(turns, first_visit, power, masked, greedy=False), rtol=1e-9)


@pytest.mark.parametrize("first_visit", [True, False])
def test_exploring_starts_learn_as_their_plain_twin(first_visit: bool) -> None:
    learner = kernels.ExploringStarts(initial_table(True), size(1.0), GAMMA, first_visit, empty_trajectory(2))
    learner, turns = teach(learner, 300, seed=2, legal=LEGAL)
    np.testing.assert_allclose(learner.q, monte_carlo(turns, first_visit, 1.0, masked=True, greedy=True), rtol=1e-9)


def test_exploring_starts_explore_at_the_start_of_an_episode_only() -> None:
    learner = kernels.ExploringStarts(np.zeros((S, A)), size(0.0), GAMMA, True, empty_trajectory(1))
    learner.q[:, 1] = 1.0
    rng, legal = np.random.default_rng(0), np.array([True, True, False])
    first = [act(learner, 0, 2, legal, 0, rng) for _ in range(200)]
    assert set(first) == {0, 1}
    learner.episode.length[0] = 1
    assert {act(learner, 0, 2, legal, 0, rng) for _ in range(200)} == {1}


class OffPolicyTwin:
    """Off-policy control as the book's box on page 111 has it, kept up beside the learner."""

    def __init__(self, masked: bool) -> None:
        self.q, self.c = initial_table(masked), np.zeros((S, A))
        self.legal = LEGAL if masked else np.ones((S, A), bool)
        self.probabilities: dict[int, list[float]] = {0: [], 1: []}
        self.episodes: dict[int, list[Turn]] = {0: [], 1: []}

    def look(self, learner: Any, turn: Turn) -> None:
        values = np.where(self.legal, self.q, -np.inf)
        s, a, epsilon = turn.outcome.s_tm1, turn.outcome.a_tm1, epsilon_at(turn.clock)
        ties = values[s] == values[s].max()
        b = epsilon / self.legal[s].sum() + (1 - epsilon) * ties[a] / ties.sum()
        self.probabilities[turn.row].append(b)
        self.episodes[turn.row].append(turn)
        if ends(turn):
            self.learn(self.episodes[turn.row], self.probabilities[turn.row])
            self.episodes[turn.row], self.probabilities[turn.row] = [], []

    def learn(self, episode: list[Turn], probabilities: list[float]) -> None:
        v = max(legal_values(self.q[episode[-1].outcome.s_t], episode[-1].next_legal))
        w = 1.0
        for t in reversed(range(len(episode))):
            pair = s, a = episode[t].outcome.s_tm1, episode[t].outcome.a_tm1
            self.c[pair] += w
            self.q[pair] += w / self.c[pair] * (discounted_return(episode, t, GAMMA, v) - self.q[pair])
            if a != np.where(self.legal, self.q, -np.inf)[s].argmax():
                break
            w /= probabilities[t]


@pytest.mark.parametrize("masked", [False, True])
def test_off_policy_control_learns_as_its_plain_twin(masked: bool) -> None:
    twin = OffPolicyTwin(masked)
    known = np.ones((S if masked else 0, A), np.bool_)
    learner = kernels.OffPolicyMonteCarlo(
        initial_table(masked), np.zeros((S, A)), EPSILON, GAMMA, known, np.zeros(2), kernels.no_episodes(2)
    )
    learner, _ = teach(learner, 300, seed=4, legal=LEGAL if masked else None, look=twin.look)
    np.testing.assert_allclose(learner.q, twin.q, rtol=1e-9)
    np.testing.assert_allclose(learner.weight, twin.c, rtol=1e-9)


@pytest.mark.parametrize("length", [0, 1, 2, 50])
def test_first_visits_are_those_that_nothing_equal_precedes(length: int) -> None:
    visited = np.random.default_rng(length).integers(6, size=length)
    expected = [visited[t] not in visited[:t] for t in range(length)]
    assert kernels.counted_visits(visited, True).tolist() == expected
    assert kernels.counted_visits(visited, False).tolist() == [True] * length


def test_what_a_memory_held_before_is_no_part_of_its_state() -> None:
    def learner() -> Any:
        return kernels.MonteCarlo(initial_table(), size(0.0), EPSILON, GAMMA, True, empty_trajectory(2))

    used, _ = teach(learner(), 90, seed=1)
    used.episode.length[:] = [2, 40]
    saved = arrays_of(used)
    assert not saved["episode"]["reward"][0, 2:].any()
    again = arrays_of(load_arrays(learner(), saved))
    for part, array in saved["episode"].items():
        np.testing.assert_array_equal(again["episode"][part], array)


# --- Small worlds ---


def forks() -> TransitionTables:
    """Five places in a row, from which one goes on, back or out; what pays best lies beyond what pays soon."""

    def outcomes(state: int, action: int) -> list[Outcome]:
        if action == 2:
            return [(1.0, state, [0.2, 0.0, 0.0, 0.1, 1.0][state], 0.0)]
        aim, slip = (min(state + 1, 4), max(state - 1, 0)) if action == 0 else (max(state - 1, 0), state)
        return [(0.8, aim, -0.02, 1.0), (0.2, slip, -0.02, 1.0)]

    return tabulate(5, 3, outcomes, np.full(5, 0.2))


def exact(tables: TransitionTables, epsilon: float, gamma: float) -> Floats:
    """The action values [S, A] of the best epsilon-soft policy, by value iteration."""
    q = np.zeros((tables.num_states, tables.num_actions))
    for _ in range(2_000):
        v = epsilon * q.mean(1) + (1 - epsilon) * q.max(1)
        q = np.array(
            [
                [sum(p * (r + gamma * d * v[n]) for p, n, r, d in tables.outcomes(s, a)) for a in range(q.shape[1])]
                for s in range(len(q))
            ]
        )
    return q


def learn_in(tables: TransitionTables, config: Any, num_steps: int, limit: int | None = None) -> Any:
    """Train by the compiled loop; return the agent."""
    env = TabledEnvironment("forks", [TabularEnv(tables)], tables, limit)
    agent = config.build(env.spec, np.random.default_rng(1), "cpu")
    env.reset(2)
    world, done = env.world(), 0
    log = EpisodeLog(np.zeros(1), np.zeros(1_000), np.zeros(1_000, np.int64), np.zeros(1_000, np.int64))
    while done < num_steps:
        done += agent.drive(world, log, num_steps - done)[0]
    return agent


@pytest.mark.parametrize("visits", ["first", "every"])
def test_on_policy_control_finds_the_values_of_the_best_epsilon_soft_policy(visits: Any) -> None:
    config = MonteCarloConfig(
        gamma=0.95,
        visits=visits,
        epsilon_start=0.2,
        epsilon_end=0.2,
        step_size=0.05,
        step_size_power=0.0,
        step_size_end=0.0005,
        step_size_decay_steps=200_000,
    )
    agent = learn_in(forks(), config, 250_000)
    best = exact(forks(), 0.2, 0.95)
    assert agent.learner.q.argmax(1).tolist() == best.argmax(1).tolist() == [0, 0, 0, 0, 2]
    np.testing.assert_allclose(agent.learner.q.max(1), best.max(1), atol=0.02)
    np.testing.assert_allclose(agent.learner.q, best, atol=0.06)


def test_exploring_starts_find_the_optimum() -> None:
    agent = learn_in(forks(), MonteCarloConfig(gamma=0.95, exploring_starts=True, step_size_power=0.7), 200_000, 200)
    best = exact(forks(), 0.0, 0.95)
    assert agent.learner.q.argmax(1).tolist() == best.argmax(1).tolist()
    np.testing.assert_allclose(agent.learner.q.max(1), best.max(1), atol=0.03)


@pytest.mark.parametrize("behaviour", ["uniform", "epsilon_greedy"])
def test_off_policy_control_finds_the_optimum_while_it_acts_otherwise(behaviour: Any) -> None:
    config = OffPolicyMonteCarloConfig(gamma=0.95, behaviour=behaviour, epsilon_start=0.5, epsilon_end=0.5)
    agent = learn_in(forks(), config, 400_000)
    best = exact(forks(), 0.0, 0.95)
    assert agent.learner.q.argmax(1).tolist() == best.argmax(1).tolist()
    np.testing.assert_allclose(agent.learner.q.max(1), best.max(1), atol=0.05)


# --- Runs ---

AGENTS: dict[str, MonteCarloConfig | OffPolicyMonteCarloConfig] = {
    "first": MonteCarloConfig(epsilon_start=0.5, epsilon_end=0.1, epsilon_decay_steps=2_000),
    "every": MonteCarloConfig(visits="every", step_size=0.1, step_size_power=0.0),
    "exploring": MonteCarloConfig(exploring_starts=True),
    "off-policy": OffPolicyMonteCarloConfig(),
    "uniform": OffPolicyMonteCarloConfig(behaviour="uniform"),
}


def run_config(agent: str, env: str, **fields: Any) -> RunConfig:
    config = AGENTS[agent]
    name = "off_policy_monte_carlo" if isinstance(config, OffPolicyMonteCarloConfig) else "monte_carlo"
    return RunConfig(
        name, config, EnvConfig(env), **{"steps": 3_000, "checkpoint_period": 0, "log_period": 500, **fields}
    )


@pytest.mark.parametrize("agent", AGENTS)
def test_every_kind_keeps_the_contract_of_an_agent(agent: str) -> None:
    def build(spec: EnvSpec, rng: np.random.Generator) -> Agent:
        return replace(AGENTS[agent], discretiser="uniform", bins=(3,)).build(spec, rng, "cpu")

    check_agent(build, lambda: make_env(EnvConfig("tengen/TicTacToe-v0", 2), training=True), num_steps=120)


@pytest.mark.parametrize("env", ["FrozenLake-v1", "Taxi-v4"])
@pytest.mark.parametrize("agent", AGENTS)
def test_both_drivers_come_to_the_same_state(agent: str, env: str, tmp_path: Path) -> None:
    for driver in ("python", "compiled"):
        train(run_config(agent, env, driver=driver), tmp_path / driver)
    assert digest(tmp_path / "python") == digest(tmp_path / "compiled")


@pytest.mark.parametrize("driver", ["python", "compiled"])
@pytest.mark.parametrize("agent", ["first", "exploring", "off-policy"])
def test_a_run_goes_on_in_mid_episode_as_if_it_had_not_stopped(agent: str, driver: Any, tmp_path: Path) -> None:
    config = run_config(agent, "Taxi-v4", driver=driver, steps=1_500)  # whose episodes are long: 730 is within one
    train(config, tmp_path / "straight")
    in_two(config, 730, tmp_path / "parts")
    assert digest(tmp_path / "straight") == digest(tmp_path / "parts")


# --- Wrong input ---


@pytest.mark.parametrize("field", ["step_size", "step_size_end", "step_size_power"])
def test_off_policy_control_refuses_a_step_size(field: str) -> None:
    with pytest.raises(UserError, match=rf"no step size: leave agent\.{field} out, got 0\.5"):
        OffPolicyMonteCarloConfig(**{field: 0.5})  # type: ignore[arg-type]
