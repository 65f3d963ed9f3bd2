"""Films of a policy: a GIF by pillow, or an MP4 by PyAV (the extra `video`).

`film` plays through `evaluate`, so that the return is the one that an evaluation of the same seed reports.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tengen.contracts import Environment, Policy
from tengen.errors import UserError
from tengen.evaluate import Evaluation, evaluate
from tengen.registry import resolve_env
from tengen.types import Ints, TimeStep

Picture = NDArray[np.uint8]
"""[H, W, 3], red, green and blue."""

FRAME_RATE = 30.0
"""Pictures a second, where an environment does not say."""


class Film(Protocol):
    """Takes pictures one by one; all have the size of the first."""

    def add(self, picture: Picture) -> None:
        """Append a picture."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


def film(
    policy: Policy,
    env: Environment,
    path: Path,
    *,
    episodes: int = 1,
    seed: int = 0,
    epsilon: float = 0.0,
    should_stop: Callable[[], bool] | None = None,
) -> Evaluation | None:
    """Play episodes, write what can be seen of them to a file, and return how they went.

    Args:
        policy: Chooses the actions.
        env: One environment, made with `training=False` and `drawing_kwargs`.
        path: Ends in `.gif` or `.mp4`.
        episodes: How many, of the seeds from `seed` on, one after the other.
        seed: Seed of the first episode.
        epsilon: Probability of a random action instead.
        should_stop: Asked at each step; once it says so the film ends.

    Returns:
        How it went, or None when it was stopped.

    Raises:
        UserError: The environment can't draw itself, the file can't be written, or an extra is missing.
    """
    render = getattr(env, "render", None)
    if render is None:
        raise UserError(f"{env.spec.id} can't draw itself, so there is nothing to film")
    assert env.spec.num_envs == 1, "only one environment can be filmed"
    reel = open_film(path, float(getattr(env, "render_fps", FRAME_RATE)))
    try:
        return evaluate(
            _Camera(policy, render, reel),
            env,
            episodes,
            seed,
            epsilon=epsilon,
            on_episode=lambda done, value: reel.add(render()),  # how it ended
            should_stop=should_stop,
        )
    finally:
        reel.close()


def drawing_kwargs(env_id: str) -> dict[str, Any]:
    """Return the keyword arguments with which an environment can draw itself: Gymnasium wants to be told beforehand."""
    from tengen.envs import gymnasium_env

    return {"render_mode": "rgb_array"} if resolve_env(env_id) is gymnasium_env.make else {}


def open_film(path: Path, frame_rate: float = FRAME_RATE) -> Film:
    """Return a film that is written to a file.

    Args:
        path: Ends in `.gif` or `.mp4`.
        frame_rate: Pictures a second.

    Raises:
        UserError: The name ends otherwise, the folder is missing, or MP4 is asked for without the extra `video`.
    """
    kinds: dict[str, Callable[[Path, float], Film]] = {".gif": _Gif, ".mp4": _Mp4}
    if path.suffix.lower() not in kinds:
        raise UserError(f"a film's file must end in .gif or .mp4, got {str(path)!r}")
    if not path.parent.is_dir():
        raise UserError(f"the folder of {str(path)!r} does not exist: make it first, or choose another file")
    if path.suffix.lower() == ".mp4" and importlib.util.find_spec("av") is None:
        raise UserError("an MP4 needs PyAV: `pip install tengen[video]`, or name a .gif file")
    return kinds[path.suffix.lower()](path, frame_rate)


class _Camera:
    """A policy that has a picture taken before each of its actions."""

    def __init__(self, policy: Policy, render: Any, reel: Film) -> None:
        self._policy, self._render, self._reel = policy, render, reel

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        self._reel.add(self._render())
        return self._policy.act(step, rng)


class _Gif:
    """A GIF with a palette for each picture. pillow needs them all at once."""

    def __init__(self, path: Path, frame_rate: float) -> None:
        self._path = path
        self._milliseconds = max(20, round(1000 / frame_rate))  # viewers slow down anything quicker
        self._pictures: list[Any] = []

    def add(self, picture: Picture) -> None:
        from PIL import Image

        self._pictures.append(Image.fromarray(picture).quantize(256, dither=Image.Dither.NONE))

    def close(self) -> None:
        if not self._pictures:
            return
        first, *rest = self._pictures
        try:
            first.save(self._path, save_all=True, append_images=rest, duration=self._milliseconds, loop=0)
        except OSError as error:
            raise _unwritable(self._path, error) from error


class _Mp4:
    """An MP4 in H.264, opened with its first picture."""

    def __init__(self, path: Path, frame_rate: float) -> None:
        self._path = path
        self._rate = Fraction(frame_rate).limit_denominator(1000)
        self._container: Any = None
        self._stream: Any = None

    def add(self, picture: Picture) -> None:
        import av

        height, width = (side + side % 2 for side in picture.shape[:2])  # the format wants even sides
        if self._container is None:
            self._open(height, width)
        padding = [(0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0)]
        frame = av.VideoFrame.from_ndarray(np.pad(picture, padding, mode="edge"), format="rgb24")
        self._write(self._stream.encode(frame))

    def close(self) -> None:
        if self._container is not None:
            self._write(self._stream.encode())
            self._container.close()

    def _open(self, height: int, width: int) -> None:
        import av

        try:
            self._container = av.open(str(self._path), "w")
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self._stream = self._container.add_stream("libx264", rate=self._rate)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"

    def _write(self, packets: Any) -> None:
        try:
            self._container.mux(packets)
        except OSError as error:
            raise _unwritable(self._path, error) from error


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"{str(path)!r} can't be written: {error.strerror or error}; choose another file")
