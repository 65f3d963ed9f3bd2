"""The contract suites hold for everything that is registered. A new name is covered by being there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from tengen.contracts import Agent, Environment
from tengen.envs import EnvConfig, make_env
from tengen.registry import names, resolve_agent
from tengen.replay import FrameStore, UniformReplay
from tengen.testing import check_agent, check_environment, check_replay, check_simulator

# What an environment needs to be told about itself, by id. Whatever is registered and not here has the defaults.
ENV_FACTS: dict[str, dict[str, Any]] = {
    "tengen/ConnectFour-v0": {"deterministic": True},
    "tengen/Go-v0": {"deterministic": True},
    "tengen/TicTacToe-v0": {"deterministic": True},
}

# Settings with which an agent learns within a few hundred steps, by name. Others have their defaults.
QUICK: dict[str, dict[str, Any]] = {
    "alphazero": {"simulations": 2, "hidden": (16,), "learn_start": 50, "learn_period": 20, "batch_size": 8},
    "mcts": {"simulations": 4, "leaves": 4},
    "sb3:a2c": {"total_steps": 800},
    "sb3:dqn": {"total_steps": 800, "learning_starts": 100, "batch_size": 8, "buffer_size": 300},
    "sb3:ppo": {"total_steps": 800, "n_steps": 100, "batch_size": 50, "n_epochs": 2},
    "sb3:qrdqn": {"total_steps": 800, "learning_starts": 100, "batch_size": 8, "buffer_size": 300, "n_quantiles": 5},
    "dqn": {"learn_start": 100, "learn_period": 4, "target_period": 10, "hidden": (16,), "replay_capacity": 300},
}


# What a table needs to be told about real observations, by environment.
BINS: dict[str, dict[str, Any]] = {
    "CartPole-v1": {
        "discretiser": "uniform",
        "bins": (6,),
        "low": (-2.4, -3.0, -0.21, -3.0),
        "high": (2.4, 3.0, 0.21, 3.0),
    },
    "tengen/TicTacToe-v0": {"discretiser": "uniform", "bins": (3,)},
}


def maker(env_id: str, *, training: bool = True, **settings: Any) -> Callable[[int], Environment]:
    return lambda num_envs: make_env(EnvConfig(id=env_id, num_envs=num_envs, **settings), training=training)


def facts(env_id: str) -> dict[str, Any]:
    model = maker(env_id)(1).spec.model
    chance = model is None or max(model.initial) < 1 or len(model.noise) or len(model.next_state) >= len(model.start)
    return ENV_FACTS.get(env_id, {} if chance else {"deterministic": True})


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("env_id", names("envs"))
def test_a_registered_environment_keeps_the_contract(env_id: str, training: bool) -> None:
    short = {} if maker(env_id)(1).spec.model is None else {"kwargs": {"max_episode_steps": 40}}
    check_environment(maker(env_id, training=training, **short), **facts(env_id))


@pytest.mark.parametrize("env_id", ["CartPole-v1", "FrozenLake-v1"])
def test_a_gymnasium_environment_keeps_the_contract(env_id: str) -> None:
    check_environment(maker(env_id))


def test_a_truncated_environment_keeps_the_contract() -> None:
    check_environment(maker("CartPole-v1", kwargs={"max_episode_steps": 7}), num_steps=100)


def test_an_environment_with_an_action_mask_keeps_the_contract() -> None:
    check_environment(maker("Taxi-v4", action_mask=True, kwargs={"max_episode_steps": 50}))


@pytest.mark.parametrize(
    ("protocol", "training"),
    [
        ("nature2015", True),
        pytest.param("nature2015", False, marks=pytest.mark.slow),
        pytest.param("machado2018", True, marks=pytest.mark.slow),
        pytest.param("machado2018", False, marks=pytest.mark.slow),
    ],
)
def test_an_atari_protocol_keeps_the_contract(protocol: str, training: bool) -> None:
    check_environment(maker("ALE/Breakout-v5", training=training, protocol=protocol), num_envs=2, num_steps=220)


@pytest.mark.parametrize("env_id", names("envs"))
def test_the_simulator_of_a_registered_environment_keeps_the_contract(env_id: str) -> None:
    spec = maker(env_id)(1).spec
    if spec.simulator is not None:
        check_simulator(spec.simulator, num_steps=200)  # random games of Go are long


@pytest.mark.parametrize("env_id", ["CartPole-v1", "FrozenLake-v1", "tengen/TicTacToe-v0"])
@pytest.mark.parametrize("name", names("agents"))
def test_a_registered_agent_keeps_the_contract(name: str, env_id: str) -> None:
    config_class, changes = resolve_agent(name)
    bins = {name: value for name, value in BINS.get(env_id, {}).items() if hasattr(config_class, name)}
    config = config_class(**{**changes, **QUICK.get(name, {}), **bins})
    spec = maker(env_id)(2).spec
    refusal = config.refusal(spec)
    if refusal is not None:
        assert isinstance(refusal, str)
        assert refusal.strip()
        return

    check_agent(lambda spec, rng: cast(Agent, config.build(spec, rng, "cpu")), lambda: maker(env_id)(2))


@pytest.mark.parametrize(
    "switches",
    [
        {"replay": False},
        {"n_step": 3, "target": "polyak"},
        {"target": "none", "optimizer": "rmsprop", "learning_rate_end": 0.0, "learning_rate_decay_steps": 300},
    ],
)
def test_dqn_keeps_the_contract_with_its_parts_switched(switches: dict[str, Any]) -> None:
    config = resolve_agent("dqn")[0](**{**QUICK["dqn"], **switches})
    check_agent(
        lambda spec, rng: cast(Agent, config.build(spec, rng, "cpu")), lambda: maker("CartPole-v1")(2), num_steps=200
    )


@pytest.mark.parametrize("n_step", [1, 3])
def test_the_uniform_replay_keeps_the_contract(n_step: int) -> None:
    check_replay(
        lambda spec, rng: UniformReplay(FrameStore.for_env(spec, capacity=100, n_step=n_step, gamma=0.9), rng),
        gamma=0.9,
        n_step=n_step,
    )
