"""stable-baselines3's agents in Tengen's loop: they learn exactly as by themselves, and go on exactly."""

from __future__ import annotations

import gc
import json
import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from tengen.agents.sb3 import SB3A2CConfig, SB3Agent, SB3DQNConfig, SB3PPOConfig, SB3QRDQNConfig
from tengen.agents.sb3.build import policy_name
from tengen.agents.sb3.policy import SB3Policy
from tengen.cli import main
from tengen.contracts import AgentConfig
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.loop import interact
from tengen.testing import check_agent
from tengen.types import Array, EnvSpec

CARTPOLE = EnvConfig("CartPole-v1", num_envs=2)
SMALL: dict[str, Any] = {
    "dqn": {"learning_starts": 20, "target_update_interval": 30, "buffer_size": 90, "batch_size": 8, "train_freq": 3},
    "ppo": {"n_steps": 16, "batch_size": 16, "n_epochs": 2},
    "a2c": {},
}
CONFIGS: dict[str, AgentConfig] = {
    "dqn": SB3DQNConfig(total_steps=180, exploration_fraction=0.5, **SMALL["dqn"]),
    "qrdqn": SB3QRDQNConfig(total_steps=1_000, n_quantiles=5, learning_rate_schedule="linear", **SMALL["dqn"]),
    "ppo": SB3PPOConfig(total_steps=1_000, clip_range_schedule="linear", **SMALL["ppo"]),
    "a2c": SB3A2CConfig(total_steps=1_000, evaluation="stochastic", rms_prop_tf_like=True),
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", CONFIGS)
def test_an_agent_keeps_every_rule_and_goes_on_exactly(name: str) -> None:
    check_agent(
        lambda spec, rng: CONFIGS[name].build(spec, rng, "cpu"),
        lambda: make_env(CARTPOLE, training=True),
        num_steps=110,
    )


# --- The same as by itself ---


class OnItsOwn(VecEnv):
    """A Tengen environment as an ordinary VecEnv, which stable-baselines3 steps by itself."""

    def __init__(self, config: EnvConfig, seed: int) -> None:
        self.env = make_env(config, training=True)
        self._seed = seed
        super().__init__(config.num_envs, self.env.spec.observation_space, self.env.spec.action_space)

    def reset(self) -> Any:
        return self.env.reset(self._seed).observation

    def step_async(self, actions: Array) -> None:
        self._step = self.env.step(np.asarray(actions, np.int64))

    def step_wait(self) -> Any:
        step = self._step
        dones = step.last | (step.discount == 0)
        infos: list[dict[str, Any]] = [{} for _ in dones]
        for row in np.flatnonzero(dones):
            infos[row]["terminal_observation"] = step.observation[row]
            infos[row]["TimeLimit.truncated"] = bool(step.last[row] and step.discount[row] != 0)
        return self.env.reset_done().observation, step.reward.astype(np.float32), dones, infos

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


def trained(config: AgentConfig, env_config: EnvConfig, num_steps: int, seed: int = 0) -> SB3Agent:
    env = make_env(env_config, training=True)
    agent: Any = config.build(env.spec, np.random.default_rng(seed), "cpu")
    for _ in interact(agent, env, num_steps, seed=5):
        pass
    env.close()
    assert isinstance(agent, SB3Agent)
    return agent


@pytest.mark.parametrize(
    ("cls", "config", "num_steps"),
    [
        (DQN, SB3DQNConfig(total_steps=360, **SMALL["dqn"]), 360),
        (PPO, SB3PPOConfig(total_steps=320, **SMALL["ppo"]), 320),
        (A2C, SB3A2CConfig(total_steps=300), 300),
    ],
)
def test_an_agent_learns_bit_for_bit_what_stable_baselines3_learns_by_itself(
    cls: Any, config: Any, num_steps: int
) -> None:
    ours = trained(config, CARTPOLE, num_steps).state_dict()["policy"]
    env = OnItsOwn(CARTPOLE, seed=5)
    seed = int(np.random.default_rng(0).integers(2**31))
    theirs = cls("MlpPolicy", env, seed=seed, device="cpu", **SMALL[config.algorithm])
    theirs.set_logger(Logger(None, []))
    theirs.learn(num_steps)
    env.close()
    for name, tensor in theirs.policy.state_dict().items():
        assert np.array_equal(ours[name], tensor.numpy()), name


def test_pictures_reach_the_cnn_as_the_environment_gave_them() -> None:
    atari = EnvConfig("ALE/Breakout-v5", num_envs=2)
    config = SB3DQNConfig(total_steps=1_000, buffer_size=200, learning_starts=1_000)
    env = make_env(atari, training=True)
    agent: Any = config.build(env.spec, np.random.default_rng(0), "cpu")
    assert type(agent._model.policy).__name__ == "CnnPolicy"
    seen = [(tick.step.observation, tick.next_step) for tick in interact(agent, env, 160, seed=3)]
    env.close()
    buffer = agent._model.replay_buffer
    for row, (observation, step) in enumerate(seen[:-1]):  # the last is shown when the next action is asked for
        assert np.array_equal(buffer.observations[row], observation)
        assert np.array_equal(buffer.next_observations[row], step.observation)
        assert np.array_equal(buffer.rewards[row], step.reward)
        assert np.array_equal(buffer.dones[row], step.discount == 0)
    assert buffer.dones.any(), "no life was lost"


def test_a_time_limit_is_not_taken_for_an_end() -> None:
    agent: Any = trained(
        SB3DQNConfig(total_steps=500, learning_starts=500), EnvConfig("MountainCar-v0", num_envs=1), 410
    )
    buffer = agent._model.replay_buffer
    assert buffer.dones[:400].sum() == 2
    assert buffer.timeouts[:400].sum() == 2


# --- Its place in the process ---


def test_an_agent_leaves_the_global_generators_as_they_were() -> None:
    before = random.getstate(), np.random.get_state(legacy=False)["state"]["key"].copy(), torch.get_rng_state()  # noqa: NPY002  # those are what is looked at
    trained(CONFIGS["ppo"], CARTPOLE, 100)
    after = random.getstate(), np.random.get_state(legacy=False)["state"]["key"], torch.get_rng_state()  # noqa: NPY002  # as above
    assert before[0] == after[0]
    assert np.array_equal(before[1], after[1])
    assert torch.equal(before[2], after[2])


def test_two_agents_side_by_side_learn_what_each_learns_alone() -> None:
    alone = trained(CONFIGS["dqn"], CARTPOLE, 150).state_dict()["policy"]
    envs = [make_env(CARTPOLE, training=True) for _ in range(2)]
    agents: list[Any] = [CONFIGS["dqn"].build(env.spec, np.random.default_rng(0), "cpu") for env in envs]
    loops = [interact(agent, env, 150, seed=5) for agent, env in zip(agents, envs, strict=True)]
    for _ in zip(*loops, strict=True):
        pass
    for agent in agents:
        assert all(np.array_equal(array, agent.state_dict()["policy"][name]) for name, array in alone.items())


def test_the_thread_ends_with_its_agent() -> None:
    agent = trained(CONFIGS["a2c"], CARTPOLE, 20)
    assert any(thread.name == "stable-baselines3" for thread in threading.enumerate())
    threads = [thread for thread in threading.enumerate() if thread.name == "stable-baselines3"]
    del agent
    gc.collect()
    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)


def test_a_failure_inside_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the loss went away")

    monkeypatch.setattr(A2C, "train", fail)
    with pytest.raises(UserError, match="stable-baselines3's A2C failed: RuntimeError: the loss went away"):
        trained(CONFIGS["a2c"], CARTPOLE, 100)


def test_training_may_go_on_beyond_what_was_planned() -> None:
    agent = trained(SB3A2CConfig(total_steps=20), CARTPOLE, 60)
    assert agent.state_dict()["beginning"]["counters"]["num_timesteps"] == 60


# --- Settings ---


@pytest.mark.parametrize(
    ("env_id", "expected"),
    [("CartPole-v1", "MlpPolicy"), ("ALE/Pong-v5", "CnnPolicy"), ("MinAtar/Breakout-v1", "MlpPolicy")],
)
def test_the_kind_of_network_follows_the_observations(env_id: str, expected: str) -> None:
    env = make_env(EnvConfig(env_id), training=True)
    assert policy_name(env.spec) == expected
    env.close()


def spec_of(env: EnvConfig) -> EnvSpec:
    made = make_env(env, training=True)
    made.close()
    return made.spec


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        (EnvConfig("tengen/TicTacToe-v0"), "knows nothing of illegal actions"),
        (EnvConfig("Pendulum-v1"), "needs a discrete action space"),
    ],
)
def test_an_environment_that_it_cannot_take_is_refused(env: EnvConfig, reason: str) -> None:
    assert reason in str(SB3PPOConfig.refusal(spec_of(env)))


@pytest.mark.parametrize(
    "changes", [{"gamma": 1.5}, {"learning_rate": 0.0}, {"net_arch": (0,)}, {"n_steps": 0}, {"total_steps": 0}]
)
def test_a_setting_out_of_its_range_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"agent\.{next(iter(changes))} must be"):
        SB3A2CConfig(**changes)


def test_what_stable_baselines3_refuses_is_one_clear_error() -> None:
    config = SB3PPOConfig(total_steps=100, n_steps=1, batch_size=64)
    with pytest.raises(UserError, match="stable-baselines3 refuses these settings of sb3:ppo"):
        config.build(spec_of(EnvConfig("CartPole-v1")), np.random.default_rng(0), "cpu")


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sb3_contrib", None)
    with pytest.raises(UserError, match=r"tengen\[contrib\]"):
        CONFIGS["qrdqn"].build(spec_of(EnvConfig("CartPole-v1")), np.random.default_rng(0), "cpu")


def test_the_policy_is_the_models_own_prediction() -> None:
    agent: Any = trained(CONFIGS["ppo"], CARTPOLE, 200)
    step = make_env(EnvConfig("CartPole-v1", num_envs=7), training=False).reset(0)
    policy = SB3Policy(agent._model.policy)
    expected = [agent._model.predict(row, deterministic=True)[0] for row in step.observation]
    assert policy.act(step, np.random.default_rng(0)).tolist() == [int(action) for action in expected]


# --- The command line ---


def test_a_run_is_trained_resumed_and_evaluated_by_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--preset", "none", "--agent.n-steps", "16", "--agent.batch-size", "16", "--env", "CartPole-v1"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command = ["train", "sb3:ppo", *small, "--device", "cpu", "--checkpoint-period", "100", "--eval-period", "200"]
    assert main([*command, "--steps", "400", "--run-dir", str(whole)]) == 0
    config = json.loads((whole / "config.json").read_text())
    assert config["agent_config"]["total_steps"] == 400
    assert main([*command, "--agent.total-steps", "400", "--steps", "210", "--run-dir", str(parts)]) == 0
    assert main(["train", "--resume", str(parts), "--steps", "400"]) == 0
    capsys.readouterr()
    digests = []
    for run in (whole, parts):
        assert main(["checkpoint", str(run), "--json"]) == 0
        digests.append(json.loads(capsys.readouterr().out)["state_sha256"])
    assert digests[0] == digests[1]
    rows = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert any("eval/return_mean" in row for row in rows)
    assert main(["evaluate", str(whole), "--episodes", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agent"] == "sb3:ppo"


def test_a_replay_that_was_not_saved_is_said_when_resuming(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    command = ["--env", "CartPole-v1", "--preset", "none", "--agent.no-save-replay", "--device", "cpu"]
    assert main(["train", "sb3:dqn", *command, "--steps", "300", "--run-dir", run]) == 0
    assert main(["train", "--resume", run, "--steps", "400"]) == 0
    assert "does not go on exactly: its replay was not saved" in capsys.readouterr().err


# --- A model from elsewhere ---


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("foreign") / "model.zip"
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, seed=0, device="cpu")
    model.save(path)
    return path


def test_a_foreign_model_plays_as_it_would_by_itself(foreign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", str(foreign), "--sb3", "ppo", "--env", "CartPole-v1", "--episodes", "3", "--json"]
    assert main([*command, "--trust-code"]) == 0
    printed = capsys.readouterr()
    assert "runs the code that is in it" in printed.err
    import gymnasium as gym

    model, env, returns = PPO.load(foreign, device="cpu"), gym.make("CartPole-v1"), []
    for seed in range(3):
        observation, _ = env.reset(seed=seed)
        done, total = False, 0.0
        while not done:
            observation, reward, terminated, truncated, _ = env.step(model.predict(observation, deterministic=True)[0])
            done, total = terminated or truncated, total + float(reward)
        returns.append(total)
    assert json.loads(printed.out)["return_mean"] == np.mean(returns)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([], "add --trust-code"),
        (["--trust-code", "--sb3", "pppo"], "no algorithm of stable-baselines3 is called 'pppo'"),
        (["--trust-code", "--env", "Acrobot-v1"], "was trained on observations"),
        (["--trust-code", "--env", "none"], "--sb3 needs --env"),
        (["--trust-code", "--sb3", "dqn"], "can't be loaded as sb3:dqn"),
        (["--trust-code", "--sb3", "none"], "needs --sb3"),
    ],
)
def test_a_foreign_model_is_refused(
    changes: list[str], message: str, foreign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", str(foreign), "--sb3", "ppo", "--env", "CartPole-v1", "--episodes", "1"]
    assert main([*command, *changes]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
