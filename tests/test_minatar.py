"""The MinAtar games, and the torso that sees them."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
import minatar_games
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from matplotlib import colormaps
from minatar import Environment as Package  # type: ignore[import-untyped]  # it has no types
from torch import nn

from tengen.contracts import Environment
from tengen.envs import EnvConfig, make_env
from tengen.envs.minatar import GAMES, MinAtar
from tengen.errors import UserError
from tengen.perception.small_pictures import Planes, small_cnn
from tengen.registry import resolve_env
from tengen.testing import check_environment

CHANNELS = {"Asterix": 4, "Breakout": 4, "Freeway": 7, "Seaquest": 10, "SpaceInvaders": 6}
MINIMAL = {"Asterix": 5, "Breakout": 3, "Freeway": 3, "Seaquest": 6, "SpaceInvaders": 4}


def make(env_id: str = "MinAtar/Breakout-v1", num_envs: int = 1, **kwargs: Any) -> Environment:
    return make_env(EnvConfig(env_id, num_envs, kwargs=kwargs), training=True)


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("version", [0, 1])
def test_a_game_keeps_the_contract(game: str, version: int) -> None:
    short = {"max_episode_steps": 100} if game == "Freeway" else {}  # whose episodes are 2,500 steps
    check_environment(lambda num_envs: make(f"MinAtar/{game}-v{version}", num_envs, **short), num_steps=150)


@pytest.mark.parametrize("game", GAMES)
def test_a_game_has_the_packages_channels_and_actions(game: str) -> None:
    full, minimal = make(f"MinAtar/{game}-v0").spec, make(f"MinAtar/{game}-v1").spec
    assert full.observation_space == gym.spaces.Box(0, 1, (CHANNELS[game], 10, 10), np.uint8)
    assert minimal.observation_space == full.observation_space
    assert full.num_actions == 6
    assert minimal.num_actions == MINIMAL[game]
    assert full.max_episode_steps == 10_000


@pytest.mark.parametrize("game", GAMES)
def test_gymnasiums_own_checker_passes(game: str) -> None:
    make(f"MinAtar/{game}-v1")  # registers them
    check_env(gym.make(f"MinAtar/{game}-v1").unwrapped)


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("ramping", [True, False])
def test_a_seed_plays_the_episode_of_the_packages_own_environment(game: str, ramping: bool) -> None:
    theirs = Package(GAMES[game], sticky_action_prob=0.3, difficulty_ramping=ramping)
    ours = MinAtar(GAMES[game], sticky_action_prob=0.3, difficulty_ramping=ramping)
    rng = np.random.default_rng(0)
    for seed in (7, 2**32 - 1):
        theirs.seed(seed)
        theirs.reset()
        theirs.last_action = 0  # which the package forgets
        observation, _ = ours.reset(seed=seed)
        for _ in range(400):
            assert np.array_equal(observation.transpose(1, 2, 0), theirs.state())
            action = int(rng.integers(6))
            observation, reward, terminated, truncated, _ = ours.step(action)
            assert (reward, terminated) == theirs.act(action)
            assert not truncated
            if terminated:
                break


@pytest.mark.parametrize("game", GAMES)
def test_the_minimal_actions_are_the_packages(game: str) -> None:
    full, minimal = MinAtar(GAMES[game], sticky_action_prob=0), MinAtar(GAMES[game], True, sticky_action_prob=0)
    full.reset(seed=3)
    minimal.reset(seed=3)
    actions = Package(GAMES[game]).minimal_action_set()
    for chosen in np.random.default_rng(1).integers(len(actions), size=60).tolist():
        here, there = minimal.step(chosen), full.step(actions[chosen])
        assert np.array_equal(here[0], there[0])
        assert here[1:] == there[1:]


def test_a_seeded_episode_does_not_depend_on_the_one_before() -> None:
    env = MinAtar("breakout", sticky_action_prob=1.0)  # repeats its last action for ever: none

    def paddle(observation: Any) -> int:
        return int(observation[0, 9].argmax())

    start, _ = env.reset(seed=0)
    env._last_action = 1  # as if left had been the last action of an episode
    again, _ = env.reset(seed=0)
    assert paddle(start) == paddle(again) == paddle(env.step(3)[0])


def test_without_a_seed_episodes_go_on_differently_and_reproducibly() -> None:
    def second_episodes(seed: int) -> list[bytes]:
        env = MinAtar("freeway")
        env.reset(seed=seed)
        return [env.reset()[0].tobytes() + env.step(0)[0].tobytes() for _ in range(3)]

    assert second_episodes(5) == second_episodes(5)
    assert len(set(second_episodes(5))) == 3


def test_an_episode_is_cut_off_at_the_limit_and_not_ended() -> None:
    env = make("MinAtar/Seaquest-v1", max_episode_steps=5)
    env.reset(0)
    for _ in range(5):
        step = env.step(np.array([0]))  # stays at the surface
    assert step.last.item()
    assert step.discount.item() == 1.0


def test_sticky_actions_and_ramping_can_be_set() -> None:
    assert make(sticky_action_prob=0.0, difficulty_ramping=False).spec.num_actions == 3
    with pytest.raises(UserError, match=r"sticky_action_prob must be from 0 to 1, got 2"):
        make(sticky_action_prob=2)
    with pytest.raises(UserError, match="no_such_setting"):
        make(no_such_setting=1)


def test_an_unknown_game_gets_a_hint() -> None:
    with pytest.raises(UserError, match=r"no environment is called 'MinAtar/Brekout-v1'.*MinAtar/Breakout-v1"):
        make("MinAtar/Brekout-v1")


def test_a_protocol_is_refused() -> None:
    with pytest.raises(UserError, match="has no protocol"):
        make_env(EnvConfig("MinAtar/Breakout-v1", protocol="nature2015"), training=True)


def test_a_missing_package_is_named_with_the_extra_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from tengen.envs import minatar

    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    minatar._module.cache_clear()
    monkeypatch.setattr(minatar, "distribution", missing)
    with pytest.raises(UserError, match=r"MinAtar/Breakout-v1 needs a package .*`pip install tengen\[minatar\]`"):
        make()


def test_a_module_of_the_packages_name_does_not_hide_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from tengen.envs import minatar

    minatar._module.cache_clear()
    monkeypatch.setitem(sys.modules, "minatar", ModuleType("minatar"))
    assert make().spec.num_actions == 3


def test_the_packages_own_registration_does_not_get_in_the_way() -> None:
    gym.registry.pop("MinAtar/Breakout-v1", None)
    gym.register("MinAtar/Breakout-v1", "minatar.gym:BaseEnv", kwargs={"game": "breakout"})
    assert make("MinAtar/Breakout-v1").spec.observation_space.dtype == np.uint8


def test_importing_a_game_imports_no_plotting() -> None:
    code = (
        "import sys; from tengen.envs import EnvConfig, make_env;"
        "make_env(EnvConfig('MinAtar/Asterix-v1'), training=True);"
        "print(sorted({'matplotlib', 'seaborn', 'pandas', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_picture_shows_each_channel_in_its_colour() -> None:
    env = MinAtar("breakout")
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (320, 320, 3)
    assert picture.dtype == np.uint8
    points = np.linspace(0, 1, 6)[1:-1]
    palette = (colormaps["cubehelix"](points)[:, :3] * 255).round()  # paddle, ball, trail, bricks
    observation = env._observation()
    for channel in (0, 3):
        row, column = np.argwhere(observation[channel])[0]
        assert np.abs(picture[row * 32 + 5, column * 32 + 5] - palette[channel]).max() <= 3  # matplotlib has 256 steps
    assert (picture[5 * 32, :32] == 0).all()


def test_a_film_needs_no_setting() -> None:
    env: Any = make()
    env.reset(0)
    assert env.render().shape == (320, 320, 3)
    assert env.render_fps == 20
    assert resolve_env("MinAtar/Breakout-v1").__module__ == "tengen.envs.minatar"


def test_the_torso_for_small_pictures_has_the_papers_features() -> None:
    layers, num_features = small_cnn((4, 10, 10))
    planes = torch.randint(0, 2, (3, 4, 10, 10), dtype=torch.uint8)
    assert num_features == 1024
    assert nn.Sequential(Planes(), *layers)(planes).shape == (3, 1024)
    assert sum(weights.numel() for layer in layers for weights in layer.parameters()) == 16 * (4 * 9 + 1)


def test_planes_stay_what_they_are() -> None:
    assert Planes()(torch.tensor([[[[0, 1]]]], dtype=torch.uint8)).tolist() == [[[[0.0, 1.0]]]]


def test_pictures_too_small_for_a_convolution_are_refused() -> None:
    with pytest.raises(UserError, match="10x2 are too small"):
        small_cnn((4, 10, 2))


# --- The benchmark ---


@pytest.mark.slow
def test_the_benchmark_trains_evaluates_and_goes_on_with_what_is_unfinished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--games", "Breakout", "--seeds", "0", "--episodes", "4", "--random-episodes", "20"]
    common += ["--runs", str(tmp_path), "--out", str(tmp_path / "out")]
    minatar_games.main(["random", *common, "--steps", "300"])
    minatar_games.main(["random", *common, "--steps", "600"])
    assert "random Breakout 0: " in capsys.readouterr().out
    with (tmp_path / "out.csv").open(encoding="utf-8") as file:
        baseline, run = csv.DictReader(file)
    assert (baseline["agent"], baseline["episodes"], baseline["steps"]) == ("random", "20", "0")
    assert (run["steps"], run["episodes"], run["game"]) == ("600", "4", "Breakout")
    assert run["command"].startswith("tengen train random --env MinAtar/Breakout-v1 --steps 600 --seed 0")
    evaluated = (tmp_path / "random" / "Breakout" / "0" / "evaluation.json").stat().st_mtime_ns
    minatar_games.main(["random", *common, "--steps", "600"])
    assert (tmp_path / "random" / "Breakout" / "0" / "evaluation.json").stat().st_mtime_ns == evaluated
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def run_of(mean: float, ci95: float, seed: int = 0, agent: str = "pqn") -> minatar_games.Row:
    return minatar_games.Row(agent, "Breakout", seed, 1000, 100, mean, ci95, 0.0, 9.0, 50.0, 1.0, "")


def test_runs_measured_elsewhere_stay_in_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    elsewhere, again = run_of(2.0, 0.5, agent="dqn"), run_of(1.0, float("nan"))
    minatar_games.write_csv(path, map(asdict, [elsewhere, again]))
    [row] = minatar_games.others_in(path, {("pqn", "Breakout", 0)})
    assert minatar_games.Row(**row) == elsewhere
    assert len(minatar_games.others_in(path, ())) == 2
    assert minatar_games.others_in(tmp_path / "nothing.csv", ()) == []


def test_a_star_means_that_each_seeds_interval_is_above_random_play() -> None:
    baseline = run_of(0.5, 0.1, agent="random")
    above, below = [run_of(2.0, 0.5), run_of(1.0, 0.3, 1)], [run_of(2.0, 0.5), run_of(1.0, 0.5, 1)]
    assert "1.50 +- 6.35 (2)*" in minatar_games.table(above, [baseline])  # 12.706 * 0.7071 / sqrt(2)
    assert "1.50 +- 6.35 (2) " in minatar_games.table(below, [baseline])
    assert "0.50 +- 0.10" in minatar_games.table(below, [baseline])


def test_curves_go_as_far_as_every_seed_has_come() -> None:
    def point(seed: int, step: int) -> dict[str, int | float]:
        return {"seed": seed, "step": step, "return_mean": seed + step / 100}

    steps, returns = minatar_games.over_seeds([point(0, 10), point(0, 20), point(1, 10)])
    assert steps.tolist() == [10]
    assert returns.tolist() == [[0.1], [1.1]]
