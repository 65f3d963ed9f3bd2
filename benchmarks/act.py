"""Times choosing actions: Tengen's `Policy`, stable-baselines3's `predict`, Tianshou's policy, and plain torch.

One observation of CartPole-v1 and eight, by a network of 120 and 84 units; one stack of four frames and eight, by the
Nature CNN. All sides take turns within one process, with one thread; shown are the medians over rounds of microseconds
a call, from an array to an array. That Tengen's compiled and torch policies choose the same is checked.

Exits with code 1 where Tengen takes 10 microseconds or more for one observation of CartPole-v1.

    python benchmarks/act.py
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from _cartpole_sides import HIDDEN, missing
from _command import output_file, positive_float, positive_int, write_table
from torch import nn

from tengen.agents.dqn.config import DQNConfig
from tengen.cli.guard import guarded
from tengen.perception.networks import mlp, nature_cnn
from tengen.types import Array, EnvSpec, TimeStep

CARTPOLE, ATARI = "CartPole-v1", "4x84x84"
WANTED_MICROSECONDS = 10.0
SPACES: dict[str, tuple[gym.spaces.Box, int]] = {
    CARTPOLE: (gym.spaces.Box(-np.inf, np.inf, (4,), np.float32), 2),
    ATARI: (gym.spaces.Box(0, 255, (4, 84, 84), np.uint8), 4),
}
"""Observations, and the number of actions."""
Call = Callable[[Array], Any]


def tengen(kind: str, **fields: Any) -> Call:
    """Return `policy.act` of a new DQN as a function of observations; making the TimeStep is not in its time."""
    space, num_actions = SPACES[kind]
    hidden = HIDDEN if kind == CARTPOLE else (512,)
    spec = EnvSpec(kind, space, gym.spaces.Discrete(num_actions), num_envs=1)
    config = DQNConfig(hidden=hidden, replay_capacity=100, **fields)
    policy = config.build(spec, np.random.default_rng(0), "cpu").policy()
    rng = np.random.default_rng(0)
    steps: dict[int, TimeStep] = {}

    def act(observation: Array) -> Array:
        step = steps.get(len(observation))
        if step is None or step.observation is not observation:
            step = steps[len(observation)] = _first_step(observation)
        return policy.act(step, rng)

    return act


def _first_step(observation: Array) -> TimeStep:
    num_rows = len(observation)
    flags = np.zeros(num_rows, np.bool_)
    return TimeStep(observation, np.zeros(num_rows), np.ones(num_rows), ~flags, flags)


def plain_torch(kind: str) -> Call:
    """Return a network as one writes it, its argmax taken in inference mode."""
    if kind == CARTPOLE:
        network, scale = nn.Sequential(*mlp(4, HIDDEN, 2)), 1.0
    else:
        layers, features = nature_cnn((4, 84, 84))
        network, scale = nn.Sequential(*layers, *mlp(features, (512,), 4)), 1 / 255

    @torch.inference_mode()
    def act(observation: Array) -> Array:
        x = torch.from_numpy(observation)
        actions: Array = network(x if scale == 1 else x.float() * scale).argmax(1).numpy()
        return actions

    return act


def stable_baselines3(kind: str) -> Call:
    """Return `predict` of a new DQN."""
    space, num_actions = SPACES[kind]

    class Idle(gym.Env[Any, Any]):
        observation_space, action_space = space, gym.spaces.Discrete(num_actions)

    policy = "MlpPolicy" if kind == CARTPOLE else "CnnPolicy"
    arguments = {"policy_kwargs": {"net_arch": list(HIDDEN)}} if kind == CARTPOLE else {}
    model = importlib.import_module("stable_baselines3").DQN(policy, Idle(), buffer_size=100, device="cpu", **arguments)
    return lambda observation: model.predict(observation, deterministic=True)[0]


def tianshou(kind: str) -> Call:
    """Return the call of a new policy."""
    num_actions = SPACES[kind][1]
    dqn = importlib.import_module("tianshou.algorithm.modelfree.dqn")
    make_batch = importlib.import_module("tianshou.data").Batch
    if kind == CARTPOLE:
        common = importlib.import_module("tianshou.utils.net.common")
        network = common.Net(state_shape=(4,), action_shape=num_actions, hidden_sizes=list(HIDDEN))
    else:
        atari = importlib.import_module("tianshou.env.atari.atari_network")
        network = atari.ScaledObsInputActionReprNet(atari.DQNet(4, 84, 84, num_actions))
    policy = dqn.DiscreteQLearningPolicy(model=network, action_space=gym.spaces.Discrete(num_actions))

    def act(observation: Array) -> Any:
        with torch.no_grad():
            return policy(make_batch(obs=observation, info=[{}] * len(observation))).act

    return act


SIDES: dict[str, Callable[[str], Call]] = {
    "tengen": tengen,
    "tengen, torch": partial(tengen, backend="torch"),
    "tengen, auto precision": partial(tengen, precision="auto"),
    "plain torch": plain_torch,
    "stable-baselines3": stable_baselines3,
    "tianshou": tianshou,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive_int, default=15, help="turns of each side")
    parser.add_argument("--seconds", type=positive_float, default=0.05, help="of a turn")
    parser.add_argument("--rows", type=positive_int, nargs="+", default=[1, 8], help="observations in a call")
    parser.add_argument("--out", type=output_file, default=Path(__file__).parent / "results" / "act.csv", help="CSV")
    settings = parser.parse_args(argv)
    torch.set_num_threads(1)
    for name in missing():
        print(f"{name} is not installed: left out")
    rows = [row for kind in SPACES for num_rows in settings.rows for row in race(kind, num_rows, settings)]
    write_table(settings.out, list(rows[0]), rows)
    mine = next(row["microseconds"] for row in rows if row["side"] == "tengen")
    if settings.rows[0] == 1 and mine >= WANTED_MICROSECONDS:
        raise SystemExit(f"one observation of {CARTPOLE}: {mine} us, less than {WANTED_MICROSECONDS:g} are wanted")


def race(kind: str, num_rows: int, settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Time all sides in turns on the same observations; return a row for each."""
    space, _ = SPACES[kind]
    rng = np.random.default_rng(0)
    shape = (num_rows, *(space.shape or ()))
    if kind == CARTPOLE:
        observation: Array = rng.normal(size=shape).astype(np.float32)
    else:
        observation = rng.integers(256, size=shape, dtype=np.uint8)
    names = [name for name in SIDES if name not in missing()]
    if kind == CARTPOLE:
        names.remove("tengen, auto precision")  # the compiled learner is faster than any
    calls = {name: SIDES[name](kind) for name in names}
    if kind == CARTPOLE:
        assert np.array_equal(calls["tengen"](observation), calls["tengen, torch"](observation))
    counts = {name: max(1, int(settings.seconds / seconds_of(call, observation, 5))) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(settings.rounds):
        for name, call in calls.items():
            times[name].append(1e6 * seconds_of(call, observation, counts[name]))
    rows = []
    for name, found in times.items():
        row: dict[str, Any] = {"observations": kind, "rows": num_rows, "side": name}
        row["microseconds"] = round(statistics.median(found), 2)
        row |= {"min": round(min(found), 2), "max": round(max(found), 2)}
        row["times_as_fast_as_sb3"] = round(
            statistics.median(b / a for a, b in zip(found, times["stable-baselines3"], strict=True)), 2
        )
        rows.append(row)
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return rows


def seconds_of(call: Call, observation: Array, count: int) -> float:
    """Return the mean seconds of a call."""
    call(observation)
    began = time.perf_counter()
    for _ in range(count):
        call(observation)
    return (time.perf_counter() - began) / count


if __name__ == "__main__":
    sys.exit(guarded(main))
