"""What the tabular control agents arrive at, against exact answers; and by both drivers, and over a resume."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_helpers import digest, in_two

from tengen.agents.tabular import (
    DoubleQLearningConfig,
    ExpectedSarsaConfig,
    NStepSarsaConfig,
    QLambdaConfig,
    QLearningConfig,
    QSigmaConfig,
    SarsaConfig,
    SarsaLambdaConfig,
    TabularAgent,
    TreeBackupConfig,
)
from tengen.config import RunConfig
from tengen.envs import EnvConfig, make_env
from tengen.run import resume, train
from tengen.tables import EpisodeLog, TransitionTables, World, tabulate
from tengen.types import EnvSpec, Floats

GAMMA, EPSILON = 0.9, 0.3
Q_STAR: list[Any] = [
    QLearningConfig(),
    DoubleQLearningConfig(),
    TreeBackupConfig(n_step=3),
    QSigmaConfig(n_step=3, target_epsilon=0.0),
    QLambdaConfig(trace_decay=0.8, traces="accumulating"),
    QLambdaConfig(trace_decay=0.8, traces="replacing"),
]
Q_OF_EPSILON_GREEDY: list[Any] = [
    SarsaConfig(),
    ExpectedSarsaConfig(),
    NStepSarsaConfig(n_step=3),
    NStepSarsaConfig(n_step=3, expected=True),
    TreeBackupConfig(n_step=3, target_epsilon=None),
    QSigmaConfig(n_step=3),
    SarsaLambdaConfig(trace_decay=0.8, traces="accumulating"),
    SarsaLambdaConfig(trace_decay=0.8, traces="replacing"),
    SarsaLambdaConfig(trace_decay=0.8, traces="dutch"),
]


def name_of(config: Any) -> str:
    settings = [str(value) for key, value in vars(config).items() if key in ("expected", "target_epsilon", "traces")]
    return " ".join([type(config).__name__.removesuffix("Config"), *settings])


@dataclass
class Trained:
    """An agent that learnt in the compiled loop, and the episodes of its training."""

    agent: TabularAgent
    returns: Floats

    @property
    def q(self) -> Floats:
        q: Floats = self.agent.learner.q
        return q / 2 if hasattr(self.agent.learner, "tables") else q  # Double Q-learning acts on the sum of two


def train_on(config: Any, tables: TransitionTables, seed: int, *, steps: int, episodes: int = 1_000_000) -> Trained:
    """Let an agent learn for some steps or episodes, without limit to an episode's length."""
    from gymnasium.spaces import Discrete

    spec = EnvSpec("tables", Discrete(tables.num_observations), Discrete(tables.num_actions), 1)
    seeds = np.random.SeedSequence(seed).spawn(2)
    agent = config.build(spec, np.random.default_rng(seeds[0]), "cpu")
    log = EpisodeLog(np.zeros(1), np.zeros(episodes), np.zeros(episodes, np.int64), np.zeros(episodes, np.int64))
    start = np.array([0, 0, 1])  # the first step draws a first state
    world = World(tables, start, np.zeros(2), 2**62, np.random.default_rng(seeds[1]))
    _, ended = agent.drive(world, log, steps)
    return Trained(agent, log.returns[:ended].copy())


# --- The values learnt ---


def random_tables(seed: int) -> TransitionTables:
    """5 states, 3 actions, up to 3 outcomes each; sides alternate or not, and now and then an episode ends."""
    rng = np.random.default_rng(seed)

    def outcomes(s: int, a: int) -> list[tuple[float, int, float, float]]:
        probability, reward = rng.dirichlet(np.ones(3)).tolist(), rng.normal(size=3).tolist()
        discount = rng.choice([1.0, -1.0, 0.0], p=[0.6, 0.3, 0.1], size=3).tolist()
        return list(zip(probability, rng.integers(5, size=3).tolist(), reward, discount, strict=True))

    return tabulate(5, 3, outcomes, np.full(5, 0.2))


def exact_values(tables: TransitionTables, epsilon: float) -> Floats:
    """Q of the best policy among those that are random with probability epsilon, by value iteration."""
    q = np.zeros((tables.num_states, tables.num_actions))
    for _ in range(400):
        v = epsilon * q.mean(1) + (1 - epsilon) * q.max(1)
        for s, a in np.ndindex(*q.shape):
            q[s, a] = sum(p * (r + GAMMA * d * v[after]) for p, after, r, d in tables.outcomes(s, a))
    return q


@pytest.mark.parametrize(
    ("config", "epsilon"),
    [pytest.param(config, 0.0, id=name_of(config)) for config in Q_STAR]
    + [pytest.param(config, EPSILON, id=name_of(config)) for config in Q_OF_EPSILON_GREEDY],
)
def test_with_a_falling_step_size_an_agent_learns_the_exact_values(config: Any, epsilon: float) -> None:
    tables = random_tables(3)
    exact, of_the_other_kind = exact_values(tables, epsilon), exact_values(tables, EPSILON - epsilon)
    assert np.abs(of_the_other_kind - exact).max() > 1.0
    config = replace(config, gamma=GAMMA, epsilon_start=EPSILON, epsilon_end=EPSILON)
    config = replace(config, step_size=1.0, step_size_power=0.8)
    learnt = train_on(config, tables, 0, steps=1_000_000)
    np.testing.assert_allclose(learnt.q, exact, atol=0.08)


@pytest.mark.parametrize(
    ("config", "expected"), [(SarsaConfig(), -27.0), (QLearningConfig(), -49.9), (ExpectedSarsaConfig(), -20.9)]
)
def test_the_cliff_costs_each_agent_what_it_should(config: Any, expected: float) -> None:
    """Mean returns of episodes 401 to 500 of S&B example 6.6, step size 0.5; the expected ones were sampled, too."""
    env = make_env(EnvConfig("CliffWalking-v1"), training=True)
    assert env.spec.model is not None
    assert env.spec.max_episode_steps is None
    config = replace(config, gamma=1.0, step_size=0.5, epsilon_start=0.1, epsilon_end=0.1)
    means = []
    for seed in range(300):
        returns = train_on(config, env.spec.model, seed, steps=10**9, episodes=500).returns
        assert len(returns) == 500
        means.append(returns[400:].mean())
    error = np.std(means, ddof=1) / np.sqrt(len(means))
    assert abs(np.mean(means) - expected) < 3 * np.sqrt(2) * error + 0.05, (np.mean(means), error)  # 0.05: its rounding


# --- Both drivers, and resume ---

DRIVEN: list[tuple[str, Any]] = [
    ("q_learning", QLearningConfig()),
    ("double_q_learning", DoubleQLearningConfig()),
    ("sarsa", SarsaConfig(step_size_power=0.6)),
    ("expected_sarsa", ExpectedSarsaConfig()),
    ("n_step_sarsa", NStepSarsaConfig(n_step=5)),
    ("tree_backup", TreeBackupConfig(n_step=5)),
    ("q_sigma", QSigmaConfig(n_step=5)),
    ("sarsa_lambda", SarsaLambdaConfig()),
    ("q_lambda", QLambdaConfig()),
]


def run_of(agent: str, config: Any, env_id: str, steps: int, driver: Any) -> RunConfig:
    settings = {"step_size": 0.5, "step_size_end": 0.1, "epsilon_start": 1.0, "epsilon_decay_steps": 2_000}
    env = EnvConfig(env_id)
    return RunConfig(agent, replace(config, **settings), env, steps, seed=3, checkpoint_period=0, driver=driver)


@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "CliffWalking-v1"])
@pytest.mark.parametrize(("agent", "config"), DRIVEN)
def test_both_drivers_arrive_at_the_same_agent(agent: str, config: Any, env_id: str, tmp_path: Path) -> None:
    for driver in ("compiled", "python"):
        train(run_of(agent, config, env_id, 2_000, driver), tmp_path / driver)
    assert digest(tmp_path / "compiled") == digest(tmp_path / "python")


@pytest.mark.parametrize(("agent", "config"), DRIVEN)
def test_a_run_goes_on_in_the_middle_of_an_episode_and_by_the_other_driver(
    agent: str, config: Any, tmp_path: Path
) -> None:
    straight = run_of(agent, config, "Taxi-v4", 1_500, "compiled")
    train(straight, tmp_path / "straight")
    in_two(straight, 1_111, tmp_path / "two")
    assert digest(tmp_path / "two") == digest(tmp_path / "straight")
    train(replace(straight, steps=1_111), tmp_path / "changed")
    resume(tmp_path / "changed", steps=1_500, driver="python")
    assert digest(tmp_path / "changed") == digest(tmp_path / "straight")
