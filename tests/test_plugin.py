"""A separately installed package with an agent and an environment of its own trains from the CLI as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PYPROJECT = """
[build-system]
requires = ["setuptools>=80"]
build-backend = "setuptools.build_meta"

[project]
name = "tengen-counting"
version = "0.1"

[project.entry-points."tengen.agents"]
tally = "tengen_counting.tally:TallyConfig"
broken_tally = "tengen_counting.missing:TallyConfig"
mistaken_tally = "tengen_counting.tally:Tally"
plain_tally = "tengen_counting.tally:PlainConfig"

[project.entry-points."tengen.envs"]
"counting/Count-v0" = "tengen_counting.count:make"

[tool.setuptools]
packages = ["tengen_counting"]
"""

AGENT = '''
"""Takes the action whose rewards were best on average."""

from dataclasses import dataclass

import numpy as np

from tengen.types import Decision


@dataclass(frozen=True)
class TallyConfig:
    """Remembers the mean reward of each action."""

    epsilon: float = 0.2
    """Probability of a random action."""

    @classmethod
    def refusal(cls, spec):
        return None if getattr(spec.action_space, "n", None) else "it needs a discrete action space"

    def build(self, spec, rng, device):
        return Tally(self.epsilon, spec.num_actions, rng)


class PlainConfig:
    refusal, build = TallyConfig.refusal, TallyConfig.build  # no dataclass: nobody knows its fields


class Tally:
    def __init__(self, epsilon, num_actions, rng):
        self.epsilon, self.rng = epsilon, rng
        self.counts, self.sums = np.zeros(num_actions), np.zeros(num_actions)

    def best(self, num_envs):
        return np.full(num_envs, np.argmax(self.sums / np.maximum(self.counts, 1)))

    def act(self, step):
        num_envs = len(step.reward)
        explore = self.rng.random(num_envs) < self.epsilon
        return Decision(np.where(explore, self.rng.integers(len(self.sums), size=num_envs), self.best(num_envs)))

    def update(self, step, decision, next_step):
        np.add.at(self.counts, decision.actions, 1)
        np.add.at(self.sums, decision.actions, next_step.reward)
        return {"losses/none": 0.0}

    def policy(self):
        return TallyPolicy(self)

    def state_dict(self):
        return {"counts": self.counts, "sums": self.sums, "rng": self.rng.bit_generator.state}

    def load_state_dict(self, state):
        self.counts, self.sums = state["counts"].copy(), state["sums"].copy()
        self.rng.bit_generator.state = state["rng"]


class TallyPolicy:
    def __init__(self, agent):
        self.agent = agent

    def act(self, step, rng):
        return self.agent.best(len(step.reward))
'''

ENVIRONMENT = '''
"""Counts to ten by the actions taken: 0, 1 or 2 at a time, and now and then one more."""

import numpy as np
from gymnasium.spaces import Box, Discrete

from tengen.types import EnvSpec, TimeStep


def make(config, *, training):
    return Count(config.id, config.num_envs)


class Count:
    def __init__(self, id, num_envs):
        self.spec = EnvSpec(id, Box(0, 20, (1,), np.float32), Discrete(3), num_envs, max_episode_steps=20)
        self.rngs = [np.random.default_rng() for _ in range(num_envs)]
        self.count, self.age = np.zeros(num_envs, np.int64), np.zeros(num_envs, np.int64)
        self.reward = np.zeros(num_envs)

    def reset(self, seed):
        seeds = np.random.SeedSequence(seed).spawn(len(self.rngs)) if isinstance(seed, int) else seed
        self.rngs = [np.random.default_rng(s) for s in seeds]
        self.count[:] = self.age[:] = self.reward[:] = 0
        return self.look()

    def step(self, actions):
        self.reward = actions + np.array([float(rng.random() < 0.1) for rng in self.rngs])
        self.count += self.reward.astype(np.int64)
        self.age += 1
        return self.look()

    def reset_done(self, seeds=None):
        for row in np.flatnonzero(self.over()):
            if seeds is not None:
                self.rngs[row] = np.random.default_rng(seeds[row])
            self.count[row] = self.age[row] = self.reward[row] = 0
        return self.look()

    def over(self):
        return (self.count >= 10) | (self.age >= 20)

    def look(self):
        observation = self.count[:, None].astype(np.float32)
        discount = np.where(self.count >= 10, 0.0, 1.0)
        return TimeStep(observation, self.reward.copy(), discount, self.age == 0, self.over())

    def state_dict(self):
        arrays = {"count": self.count, "age": self.age, "reward": self.reward}
        return {**arrays, "rngs": [rng.bit_generator.state for rng in self.rngs]}

    def load_state_dict(self, state):
        self.count, self.age = state["count"].copy(), state["age"].copy()
        self.reward = state["reward"].copy()
        for rng, saved in zip(self.rngs, state["rngs"]):
            rng.bit_generator.state = saved

    def close(self):
        pass
'''

PLUGIN_TESTS = """
import numpy as np
from tengen.envs import EnvConfig, make_env
from tengen.registry import resolve_agent
from tengen.testing import check_agent, check_environment


def make(num_envs=2):
    return make_env(EnvConfig(id="counting/Count-v0", num_envs=num_envs), training=True)


check_environment(make)
check_agent(lambda spec, rng: resolve_agent("tally")[0]().build(spec, rng, "cpu"), make)
print("kept")
"""


def write_project(folder: Path) -> Path:
    """Write the sources of the package; return its folder."""
    package = folder / "tengen_counting"
    package.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (package / "__init__.py").write_text('"""An agent and an environment from outside."""\n')
    (package / "tally.py").write_text(AGENT)
    (package / "count.py").write_text(ENVIRONMENT)
    return folder


def install_by_hand(project: Path) -> Path:
    """Put beside the package what an installer would: its metadata with the entry points."""
    info = project / "tengen_counting-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tengen-counting\nVersion: 0.1\n")
    wanted = PYPROJECT[PYPROJECT.index('[project.entry-points."tengen.agents"]') : PYPROJECT.index("[tool.setuptools]")]
    entry_points = wanted.replace('project.entry-points."tengen.agents"', "tengen.agents")
    entry_points = entry_points.replace('project.entry-points."tengen.envs"', "tengen.envs").replace('"', "")
    (info / "entry_points.txt").write_text(entry_points)
    return project


def run_with(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the package installed in `site`, away from any checkout."""
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, cwd=site, capture_output=True, text=True, timeout=240, check=False)


def tengen(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_with(site, "-m", "tengen.cli", *arguments)


def trains_evaluates_and_resumes(site: Path, run_dir: Path) -> None:
    options = ("--env", "counting/Count-v0", "--run-dir", str(run_dir), "--agent.epsilon", "0.5")
    train = tengen(site, "train", "tally", *options, "--steps", "200", "--num-envs", "2")
    assert train.returncode == 0, train.stderr
    more = tengen(site, "train", "--resume", str(run_dir), "--steps", "300")
    assert more.returncode == 0, more.stderr
    evaluation = tengen(site, "evaluate", str(run_dir), "--episodes", "3", "--json")
    assert evaluation.returncode == 0, evaluation.stderr
    report = json.loads(evaluation.stdout)
    assert (report["agent"], report["env"], report["step"]) == ("tally", "counting/Count-v0", 300)
    assert report["return_mean"] >= 10  # every episode counts to ten, and the best action gets there in time
    assert report["length_mean"] <= 5


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return install_by_hand(write_project(tmp_path / "project"))


def test_an_agent_and_an_environment_from_outside_train_from_the_command_line(site: Path, tmp_path: Path) -> None:
    trains_evaluates_and_resumes(site, tmp_path / "run")


def test_names_from_outside_are_listed(site: Path) -> None:
    agents, envs = tengen(site, "list", "agents"), tengen(site, "list", "envs")
    assert "Remembers the mean reward of each action." in agents.stdout, agents.stderr
    assert "counting/Count-v0" in envs.stdout, envs.stderr


def test_a_plugin_that_cannot_be_loaded_hides_no_other_from_the_list(site: Path) -> None:
    agents = tengen(site, "list", "agents")
    assert agents.returncode == 0, agents.stderr
    assert "the plug-in 'tengen_counting.missing:TallyConfig' can't be loaded" in agents.stdout
    assert "Remembers the mean reward of each action." in agents.stdout


def test_a_plugin_that_cannot_be_loaded_is_named(site: Path, tmp_path: Path) -> None:
    result = tengen(site, "train", "broken_tally", "--env", "counting/Count-v0", "--run-dir", str(tmp_path / "run"))
    assert result.returncode == 2
    assert "tengen_counting.missing:TallyConfig" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("name", "attribute"), [("mistaken_tally", "Tally"), ("plain_tally", "PlainConfig")])
def test_a_plugin_that_is_no_config_is_named_and_listed(name: str, attribute: str, site: Path, tmp_path: Path) -> None:
    mistake = f"the plug-in 'tengen_counting.tally:{attribute}' is no config class"
    told = f"{mistake}: it must be a dataclass with refusal() and build()"
    result = tengen(site, "train", name, "--env", "counting/Count-v0", "--run-dir", str(tmp_path / "run"))
    assert (result.returncode, result.stderr) == (2, f"tengen: error: {told}\n")
    assert told in tengen(site, "list", "agents").stdout


def test_a_plugin_that_cannot_be_loaded_hides_no_other_refusal(site: Path, tmp_path: Path) -> None:
    result = tengen(site, "train", "dqn", "--env", "Pendulum-v1", "--device", "cpu", "--run-dir", str(tmp_path / "run"))
    assert result.returncode == 2
    assert "dqn can't be trained on Pendulum-v1: dqn needs a discrete action space" in result.stderr
    assert "tally" not in result.stderr.partition("Agents that could")[2]


def test_a_plugins_author_can_call_the_contract_suites(site: Path) -> None:
    result = run_with(site, "-W", "error", "-c", PLUGIN_TESTS)
    assert result.stdout == "kept\n", result.stderr


def test_nothing_from_outside_is_known_where_it_is_not_installed(tmp_path: Path) -> None:
    result = tengen(tmp_path, "train", "tally", "--env", "CartPole-v1", "--run-dir", str(tmp_path / "run"))
    assert result.returncode == 2
    assert "no agent is called 'tally'" in result.stderr


@pytest.mark.slow
def test_a_package_installed_by_pip_trains_from_the_command_line(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project")
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(project)], check=True, timeout=240)
    trains_evaluates_and_resumes(site, tmp_path / "run")
