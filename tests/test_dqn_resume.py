"""N steps, a checkpoint and N steps are 2N steps, whatever DQN is made of; and how fast a thread is changes nothing."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dqn_parts_helpers import build_dqn
from run_helpers import digest, in_two, rows

from tengen.agents.dqn.agent import DQN
from tengen.agents.dqn.pace import Overlapped
from tengen.checkpoint import digest_state
from tengen.config import RunConfig, default_settings, lay_over, make_run_config
from tengen.contracts import Environment
from tengen.envs import EnvConfig, make_env
from tengen.loop import interact
from tengen.run import train
from tengen.types import Array, Decision, Ints, Metrics, State, TimeStep, Transition

SMALL = {
    "hidden": [16],
    "learn_start": 90,
    "batch_size": 8,
    "replay_capacity": 250,  # the ring wraps
    "target_period": 30,
    "importance_steps": 500,
}


def variant(name: str, env: EnvConfig, steps: int, **fields: Any) -> RunConfig:
    """A variant with its own settings, but for its sizes; the log's period and the updates fall on different steps."""
    changes = {
        "agent_config": {**SMALL, **fields},
        "env": {"id": env.id, "num_envs": env.num_envs},
        "checkpoint_period": 0,
        "log_period": 50,
    }
    return dataclasses.replace(make_run_config(name, lay_over(name, default_settings(name), changes)), steps=steps)


CARTPOLE, CARTPOLES = EnvConfig("CartPole-v1"), EnvConfig("CartPole-v1", 3)
TICTACTOE = EnvConfig("tengen/TicTacToe-v0", 2)

RUNS: dict[str, tuple[str, EnvConfig, dict[str, Any]]] = {
    "double_dqn": ("double_dqn", CARTPOLE, {}),
    "c51": ("c51", CARTPOLE, {}),
    "qr_dqn": ("qr_dqn", CARTPOLE, {"num_quantiles": 20}),
    "rainbow": ("rainbow", CARTPOLE, {}),
    "rainbow, three environments": ("rainbow", CARTPOLES, {}),
    "rainbow, self-play": ("rainbow", TICTACTOE, {"v_min": -1.0, "v_max": 1.0}),
    "rainbow, overlap": ("rainbow", CARTPOLES, {"overlap": True}),
    "pop-art": ("dqn", CARTPOLE, {"pop_art": True, "pop_art_rate": 0.01, "dueling": True}),
    "pop-art, overlap": ("dqn", CARTPOLE, {"pop_art": True, "overlap": True, "target": "polyak"}),
    "c51, pop-art, bfloat16": ("c51", CARTPOLE, {"pop_art": True, "precision": "bfloat16"}),
    "prioritized, three environments": ("dqn", CARTPOLES, {"replay": "prioritized", "n_step": 3}),
    "prioritized, three environments, torch": ("dqn", CARTPOLES, {"replay": "prioritized", "backend": "torch"}),
    "rmsprop, no target": ("dqn", CARTPOLE, {"optimizer": "rmsprop", "target": "none", "dueling": True}),
    "noisy, no replay": ("dqn", CARTPOLES, {"replay": "none", "noisy": True}),
    "overlap, no replay": ("dqn", CARTPOLES, {"replay": "none", "overlap": True}),
}


@pytest.mark.parametrize("name", RUNS)
def test_every_variant_goes_on_exactly(name: str, tmp_path: Path) -> None:
    agent, env, fields = RUNS[name]
    config = variant(agent, env, 400, **fields)
    train(config, tmp_path / "one")
    in_two(config, 202, tmp_path / "two")  # inside an n-step window, between two updates and two rows of the log
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert rows(tmp_path / "one") == rows(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize("overlap", [False, True])
def test_rainbow_goes_on_exactly_in_the_middle_of_four_games_of_breakout(overlap: bool, tmp_path: Path) -> None:
    env = EnvConfig("ALE/Breakout-v5", 4)
    config = variant("rainbow", env, 600, learn_period=20, batch_size=4, overlap=overlap)
    train(config, tmp_path / "one")
    in_two(config, 304, tmp_path / "two")
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert rows(tmp_path / "one") == rows(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of torch's own compiler
@pytest.mark.parametrize("name", ["rainbow", "qr_dqn"])
def test_what_is_compiled_goes_on_exactly(name: str, tmp_path: Path) -> None:
    config = variant(name, CARTPOLE, 300, compile=True, overlap=name == "rainbow")
    train(config, tmp_path / "one")
    in_two(config, 202, tmp_path / "two")
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert rows(tmp_path / "one") == rows(tmp_path / "two")


# ---- Overlap. -------------------------------------------------------------------------------------------------------

EVERYTHING: dict[str, Any] = {
    "double": True,
    "dueling": True,
    "noisy": True,
    "n_step": 3,
    "replay": "prioritized",
    "distribution": "categorical",
    "num_atoms": 11,
    "pop_art": True,
}


class Late:
    """An environment and a learner, each of which may sleep now and then."""

    def __init__(self, env: Environment, agent: DQN, env_sleep: float, learner_sleep: float) -> None:
        self.spec = env.spec
        self._env, self._step, self._update = env, env.step, agent.learner.update
        self._rng = np.random.default_rng(7), np.random.default_rng(8)  # a thread's own
        self._sleep = env_sleep, learner_sleep
        agent.learner.update = self.update  # type: ignore[method-assign]

    def _wait(self, which: int) -> None:
        if self._sleep[which]:
            time.sleep(self._rng[which].random() * self._sleep[which])

    def step(self, actions: Ints) -> TimeStep:
        self._wait(0)
        return self._step(actions)

    def update(self, batch: Transition, num_steps: int, weights: Array | None = None) -> Any:
        self._wait(1)
        learnt = self._update(batch, num_steps, weights)
        self._wait(1)
        return learnt

    def reset(self, seed: int | Ints) -> TimeStep:
        return self._env.reset(seed)

    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        return self._env.reset_done(seeds)

    def state_dict(self) -> State:
        return self._env.state_dict()

    def load_state_dict(self, state: State) -> None:
        self._env.load_state_dict(state)

    def close(self) -> None:
        self._env.close()


def played(env_sleep: float, learner_sleep: float, **fields: Any) -> tuple[list[int], str]:
    """Return what was done in 50 steps of three environments, and the digest of what was learnt."""
    env = make_env(CARTPOLES, training=True)
    agent = build_dqn(env.spec, overlap=True, learn_period=3, batch_size=4, epsilon_end=0.0, **fields)
    late = Late(env, agent, env_sleep, learner_sleep)
    actions = [int(a) for tick in interact(agent, late, 150, seed=0) for a in tick.decision.actions]
    return actions, digest_state(agent.state_dict())


@pytest.mark.parametrize("fields", [{}, EVERYTHING], ids=["plain", "everything"])
def test_which_thread_is_faster_changes_nothing(fields: dict[str, Any]) -> None:
    expected = played(0, 0, **fields)
    assert played(0.01, 0, **fields) == expected
    assert played(0, 0.005, **fields) == expected
    assert played(0.005, 0.005, **fields) == expected


@pytest.mark.parametrize("fields", [{}, EVERYTHING], ids=["plain", "everything"])
def test_a_policy_that_is_kept_can_be_asked_while_the_learner_learns(fields: dict[str, Any]) -> None:
    def learnt(asks: bool) -> str:
        env = make_env(CARTPOLES, training=True)
        agent = build_dqn(env.spec, overlap=True, learn_period=3, batch_size=4, backend="torch", **fields)
        policy, rng = agent.policy(), np.random.default_rng(0)
        for tick in interact(agent, Late(env, agent, 0, 0.002), 150, seed=0):
            if asks:
                policy.act(tick.next_step, rng)
                policy.action_values(tick.next_step)  # type: ignore[attr-defined]
        return digest_state(agent.state_dict())

    assert learnt(asks=True) == learnt(asks=False)


def test_what_overlaps_acts_by_what_was_known_a_tick_before() -> None:
    """It is one tick behind the same agent without overlap, and otherwise does the same."""
    env = make_env(CARTPOLE, training=True)
    agents = [build_dqn(env.spec, overlap=overlap, backend="torch") for overlap in (False, True)]
    step = env.reset(0)
    weights: list[list[Array]] = [[], []]
    for _ in range(30):
        actions = np.zeros(1, np.int64)
        next_step = env.step(actions)
        for agent, seen in zip(agents, weights, strict=True):
            agent.update(step, Decision(actions), next_step)
            agent.pace.finish()
            acting = agent.learner.acting  # type: ignore[attr-defined]
            seen.append(next(iter(acting.parameters())).detach().numpy().copy())
        step = env.reset_done()
    at_once, overlapped = weights
    assert not np.array_equal(at_once[10], at_once[11])
    for now, late in zip(at_once[:-1], overlapped[1:], strict=True):
        np.testing.assert_array_equal(now, late)


def test_the_environment_steps_while_the_learner_learns() -> None:
    """Each waits for the other in the middle of its work: only if both are at work can they meet."""
    env = make_env(CARTPOLE, training=True)
    agent = build_dqn(env.spec, overlap=True, batch_size=4)
    meeting, learn, met = threading.Barrier(2, timeout=60), agent.learner.update, []
    assert isinstance(agent.pace, Overlapped)

    def update(batch: Transition, num_steps: int, weights: Array | None = None) -> Any:
        meeting.wait()
        return learn(batch, num_steps, weights)

    agent.learner.update = update  # type: ignore[method-assign]
    step = env.reset(0)
    for _ in range(20):
        decision = agent.act(step)
        if agent.pace._work is not None:  # learning began in the update before
            meeting.wait()
            met.append(agent.num_steps)
        next_step = env.step(decision.actions)
        agent.update(step, decision, next_step)
        step = env.reset_done()
    meeting.wait()
    agent.pace.finish()
    assert len(met) >= 18
    assert agent.learner.num_updates == len(met) + 1


def test_a_state_of_another_kind_of_device_is_taken_but_for_its_noise() -> None:
    state = build_dqn(noisy=True, dueling=True).learner.state_dict()
    state["noise"] = [np.zeros(16, np.uint8)] * 2  # as long as CUDA's
    learner = build_dqn(noisy=True, dueling=True).learner
    learner.load_state_dict(state)
    loaded = learner.state_dict()
    assert digest_state(loaded["network"]) == digest_state(state["network"])
    assert [len(noise) for noise in loaded["noise"]] == [len(torch.Generator().get_state())] * 2


def test_an_error_of_the_learner_is_raised_in_the_loop() -> None:
    env = make_env(CARTPOLE, training=True)
    agent = build_dqn(env.spec, overlap=True)

    def update(batch: Transition, num_steps: int, weights: Array | None = None) -> Metrics:
        raise FloatingPointError("diverged")

    agent.learner.update = update  # type: ignore[method-assign, assignment]
    with pytest.raises(FloatingPointError, match="diverged"):
        list(interact(agent, env, 50, seed=0))


def test_the_learner_has_as_many_threads_as_the_loop() -> None:
    """Torch counts threads for each thread, and sums by several are not those by one, bit for bit."""
    pace, found = Overlapped(), []

    def work() -> Metrics:
        found.append(torch.get_num_threads())
        return {}

    pace.start(work)
    pace.finish()
    assert found == [torch.get_num_threads()]
