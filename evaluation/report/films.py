"""Films of median runs, small enough to lie in the page itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tengen.evaluation.comparison.comparison import Comparison

MOST_BYTES = 600_000
"""Of one film; a larger one is named and not embedded."""

MOST_IN_ALL = 4_000_000
"""Of all films on a page, as text."""

_TYPES = {".gif": "image/gif", ".mp4": "video/mp4"}


@dataclass(frozen=True)
class Film:
    """A film, and whom it shows."""

    task: str
    agent: str
    seed: int
    path: Path


def median_films(comparison: Comparison, found: Mapping[str, Any]) -> list[Film]:
    """Return for each agent on each task the newest film of its median run, where that has one."""
    return [
        Film(task["name"], agent["name"], run.seed, run.films[-1])
        for task in found["tasks"]
        for agent in task["agents"]
        for run in comparison.runs(task["name"], agent["name"])
        if run.seed == agent["median_seed"] and run.films
    ]


def data_uri(path: Path, left: int) -> str | None:
    """Return a film as a data URI; None where it is too large, of another kind, or gone.

    Args:
        path: The film.
        left: Bytes that the page still has room for.
    """
    kind = _TYPES.get(path.suffix.lower())
    try:
        if kind is None or path.stat().st_size > min(MOST_BYTES, left):
            return None
        return _uri(kind, path.read_bytes())
    except OSError:
        return None


def poster(path: Path) -> str | None:
    """Return the first picture of a GIF as a data URI, so that nothing moves before it is asked to."""
    from PIL import Image

    try:
        with Image.open(path) as film:
            picture = io.BytesIO()
            film.convert("RGB").save(picture, "PNG", optimize=True)
    except (OSError, ValueError):
        return None
    return _uri("image/png", picture.getvalue())


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
