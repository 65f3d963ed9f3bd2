from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.evaluate import evaluate
from tengen.types import Array, Ints, TimeStep
from tengen.video import drawing_kwargs, film, open_film

FRAMES_PER_SECOND = 20.0


class Counted:
    """Tic-tac-toe whose picture is a white column, at the number of moves. Odd sides, which H.264 can't have."""

    render_fps = FRAMES_PER_SECOND

    def __init__(self) -> None:
        self._env = make_env(EnvConfig("tengen/TicTacToe-v0"), training=False)
        self.spec = self._env.spec
        self.num_steps = 0

    def reset(self, seed: int | Ints) -> TimeStep:
        self.num_steps = 0
        return self._env.reset(seed)

    def step(self, actions: Ints) -> TimeStep:
        self.num_steps += 1
        return self._env.step(actions)

    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        step = self._env.reset_done(seeds)
        if step.first.all():
            self.num_steps = 0
        return step

    def render(self) -> Array:
        picture = np.zeros((33, 35, 3), np.uint8)
        picture[:, self.num_steps * 3 : self.num_steps * 3 + 3] = 255
        return picture

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


class FirstLegal:
    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        assert step.legal is not None
        actions: Ints = step.legal.argmax(1)
        return actions


def columns(path: Path) -> list[int]:
    """Return where the white column is in each picture of a GIF, in steps."""
    found = []
    with Image.open(path) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            found.append(int(np.asarray(image.convert("L"))[0].argmax()) // 3)
    return found


def test_a_gif_shows_each_step_from_the_first_to_the_last(tmp_path: Path) -> None:
    result = film(FirstLegal(), Counted(), tmp_path / "film.gif", episodes=2)
    assert result is not None
    length = int(result.lengths[0])
    assert length == 7  # X takes 0 2 4 6, a diagonal, while O takes 1 3 5
    assert columns(tmp_path / "film.gif") == 2 * list(range(length + 1))


def test_a_gif_runs_at_the_environments_pace_and_for_ever(tmp_path: Path) -> None:
    film(FirstLegal(), Counted(), tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as image:
        assert image.info["duration"] == 1000 / FRAMES_PER_SECOND
        assert image.info["loop"] == 0


def test_the_return_is_the_one_that_an_evaluation_reports(tmp_path: Path) -> None:
    filmed = film(FirstLegal(), Counted(), tmp_path / "film.gif", seed=5, epsilon=0.5)
    evaluated = evaluate(FirstLegal(), Counted(), 1, 5, epsilon=0.5)
    assert filmed is not None
    assert evaluated is not None
    np.testing.assert_array_equal(filmed.returns, evaluated.returns)
    np.testing.assert_array_equal(filmed.lengths, evaluated.lengths)


def test_an_mp4_shows_each_step(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="the extra `video` isn't installed")
    film(FirstLegal(), Counted(), tmp_path / "film.mp4")
    with av.open(str(tmp_path / "film.mp4")) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == FRAMES_PER_SECOND
    assert [int(picture[0].argmax()) // 3 for picture in pictures] == list(range(8))
    assert pictures[0].shape == (34, 36)


def test_a_film_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist: make it first"):
        open_film(tmp_path / "nowhere" / "film.gif")


def test_an_mp4_without_its_extra_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "av" else find(name))
    with pytest.raises(UserError, match=r"pip install tengen\[video\]"):
        open_film(tmp_path / "film.mp4")


@pytest.mark.parametrize("name", ["film.avi", "film", "gif"])
def test_another_format_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must end in \.gif or \.mp4"):
        open_film(tmp_path / name)


@pytest.mark.parametrize("name", ["film.gif", "film.mp4"])
def test_a_file_that_can_not_be_written_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=rf"{name}' can't be written.*choose another file"):
        film(FirstLegal(), Counted(), tmp_path / name)


def test_an_environment_that_can_not_draw_itself_is_refused(tmp_path: Path) -> None:
    env: Any = SimpleNamespace(spec=Counted().spec)
    with pytest.raises(UserError, match=r"tengen/TicTacToe-v0 can't draw itself"):
        film(FirstLegal(), env, tmp_path / "film.gif")


@pytest.mark.parametrize("name", ["film.gif", "film.mp4"])
def test_nothing_is_written_when_there_is_no_picture(name: str, tmp_path: Path) -> None:
    env = make_env(EnvConfig("FrozenLake-v1"), training=False)  # not told that it will be drawn
    with pytest.raises(UserError, match="render_mode='rgb_array'"):
        film(FirstLegal(), env, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_only_gymnasium_is_told_beforehand_that_it_will_be_drawn() -> None:
    assert drawing_kwargs("CartPole-v1") == {"render_mode": "rgb_array"}
    assert drawing_kwargs("ALE/Pong-v5") == {}
    assert drawing_kwargs("tengen/TicTacToe-v0") == {}


def test_play_writes_a_film_of_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tengen.cli import main

    run = tmp_path / "run"
    train = "train random --env ALE/Pong-v5 --device cpu --steps 8 --env.kwargs {evaluation_max_frames=40} --run-dir"
    assert main([*train.split(), str(run)]) == 0
    assert main(["evaluate", str(run), "--episodes", "1", "--seed", "3"]) == 0
    evaluated = capsys.readouterr().out
    assert main(["play", str(run), "--seed", "3"]) == 0
    path, _, returns = capsys.readouterr().out.partition(": returns ")
    assert path == str(run / "play-8-seed3.gif")
    assert f"{'return_mean':<22}{returns.strip()}\n" in evaluated
    with Image.open(path) as image:
        assert image.size == (160, 210)
