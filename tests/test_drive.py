"""The compiled driver gives what the loop over Python objects gives, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_helpers import digest, rows

from tengen.agents.tabular.config import QLearningConfig, SarsaConfig
from tengen.config import RunConfig
from tengen.drive import record_episodes, why_not_compiled
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.loop import interact
from tengen.run import resume, train
from tengen.run.folder import open_run
from tengen.types import TimeStep


def config(env: str = "FrozenLake-v1", steps: int = 3000, **settings: Any) -> RunConfig:
    agent = settings.pop("agent_config", QLearningConfig(epsilon_start=0.3, step_size_power=0.5, step_size=1.0))
    kwargs = settings.pop("kwargs", {})
    given = {"checkpoint_period": 700, "eval_period": 1000, "eval_episodes": 2, "log_period": 300, **settings}
    return RunConfig("q_learning", agent, EnvConfig(env, kwargs=kwargs), steps, **given)


def both(tmp_path: Path, settings: RunConfig) -> None:
    for driver in ("compiled", "python"):
        train(replace(settings, driver=driver), tmp_path / driver)
    assert digest(tmp_path / "compiled") == digest(tmp_path / "python")
    assert rows(tmp_path / "compiled") == rows(tmp_path / "python")


@pytest.mark.parametrize("env", ["FrozenLake-v1", "Taxi-v4", "CliffWalking-v1", "tengen/Blackjack-v0"])
@pytest.mark.parametrize("log_episodes", ["each", "mean"])
def test_both_drivers_give_the_same_state_and_the_same_rows(tmp_path: Path, env: str, log_episodes: str) -> None:
    both(tmp_path, config(env, log_episodes=log_episodes))


def test_legal_actions_noise_and_aliased_states_are_the_same_in_both(tmp_path: Path) -> None:
    for number, env in enumerate(("tengen/Gambler-v0", "tengen/MaximizationBias-v0", "tengen/ShortCorridor-v0")):
        both(tmp_path / str(number), config(env, steps=1000, agent_config=SarsaConfig()))


def test_tables_that_change_in_the_course_of_time_change_in_both(tmp_path: Path) -> None:
    settings = config("tengen/BlockingMaze-v0", steps=2500, eval_period=0, kwargs={"max_episode_steps": 300})
    both(tmp_path, settings)


def test_a_run_goes_on_by_the_other_driver(tmp_path: Path) -> None:
    train(config(steps=2000, driver="compiled"), tmp_path / "through")
    train(config(steps=1111, driver="python", log_episodes="mean"), tmp_path / "cut")
    resume(tmp_path / "cut", steps=1500, driver="compiled")
    resume(tmp_path / "cut", steps=2000, driver="python")
    assert digest(tmp_path / "cut") == digest(tmp_path / "through")


def test_the_compiled_environment_steps_as_gymnasium_does() -> None:
    env = make_env(EnvConfig("FrozenLake-v1"), training=True)
    agent = QLearningConfig().build(env.spec, np.random.default_rng(0), "cpu")
    seen: list[TimeStep] = [tick.next_step for tick in interact(agent, env, 400, seed=3)]

    import gymnasium as gym

    plain = gym.make("FrozenLake-v1")
    env = make_env(EnvConfig("FrozenLake-v1"), training=True)
    agent = QLearningConfig().build(env.spec, np.random.default_rng(0), "cpu")
    first = env.reset(3)
    seed = int(np.random.default_rng(np.random.SeedSequence(3).spawn(1)[0]).integers(2**31))
    observation, _ = plain.reset(seed=seed)  # once: later episodes go on with its generator
    assert first.observation[0] == observation
    step = first
    for expected in seen:
        decision = agent.act(step)
        observation, reward, terminated, truncated, _ = plain.step(int(decision.actions[0]))
        next_step = env.step(decision.actions)
        assert (observation, reward) == (next_step.observation[0], next_step.reward[0])
        assert (terminated or truncated) == bool(next_step.last[0]) == bool(expected.last[0])
        agent.update(step, decision, next_step)
        if terminated or truncated:
            plain.reset()
        step = env.reset_done()


def test_the_driver_is_chosen_by_itself_and_recorded(tmp_path: Path) -> None:
    train(config(steps=300), tmp_path / "tables")
    assert (open_run(tmp_path / "tables").config.driver, open_run(tmp_path / "tables").config.log_episodes) == (
        "compiled",
        "mean",
    )
    cartpole = QLearningConfig(discretiser="uniform", bins=(4,), low=(-2.4, -3, -0.2, -3), high=(2.4, 3, 0.2, 3))
    train(config("CartPole-v1", steps=300, agent_config=cartpole), tmp_path / "no")
    assert (open_run(tmp_path / "no").config.driver, open_run(tmp_path / "no").config.log_episodes) == (
        "python",
        "each",
    )


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"env": EnvConfig("FrozenLake-v1", 2)}, "the compiled loop steps one environment"),
        ({"env": EnvConfig("Blackjack-v1")}, "Blackjack-v1 is not stepped from transition tables"),
        ({"env": EnvConfig("Taxi-v4", action_mask=True)}, "Taxi-v4 is not stepped from transition tables"),
    ],
)
def test_a_compiled_loop_that_can_not_be_is_refused_with_the_reason(
    tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UserError, match=f"--driver compiled can't be had.*{reason}"):
        train(replace(config(), driver="compiled", **settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_recorded_episodes_are_those_of_the_loop() -> None:
    env = make_env(EnvConfig("FrozenLake-v1"), training=True)
    agent = QLearningConfig().build(env.spec, np.random.default_rng(0), "cpu")
    expected, total = [], 0.0
    for tick in interact(agent, env, 2000, seed=3):
        total += tick.next_step.reward[0]
        if tick.next_step.last[0]:
            expected.append(total)
            total = 0.0
    env = make_env(EnvConfig("FrozenLake-v1"), training=True)
    agent = QLearningConfig().build(env.spec, np.random.default_rng(0), "cpu")
    returns, lengths = record_episodes(agent, env, 3, 100)  # type: ignore[arg-type]  # both are what it takes
    assert returns.tolist() == expected[:100]
    assert lengths.min() > 0


def test_an_evaluation_without_a_step_limit_comes_to_an_end() -> None:
    env = make_env(EnvConfig("CliffWalking-v1"), training=False)
    step = env.reset(0)
    for _ in range(10_000):
        assert not step.last[0]
        step = env.step(np.array([0]))  # up, for ever
    assert step.last[0]
    assert step.discount[0] == 1
    assert make_env(EnvConfig("CliffWalking-v1"), training=True).spec.max_episode_steps is None


def test_an_agent_without_compiled_learning_says_so() -> None:
    from tengen.agents.random import RandomConfig

    env = make_env(EnvConfig("FrozenLake-v1"), training=True)
    agent = RandomConfig().build(env.spec, np.random.default_rng(0), "cpu")
    assert why_not_compiled(agent, env) == "the agent's learning is not compiled"
