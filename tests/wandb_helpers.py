"""What the tests of W&B share: an environment of their own, and rows that can be compared."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tengen.tracking import read_metrics, without_times
from tengen.tracking.rows import spell

DEAD_URL = "http://127.0.0.1:9"  # the discard port: nothing listens


def isolated(home: Path) -> dict[str, str]:
    """Return an environment in which wandb finds nothing of this user's, and no server."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("WANDB_") and "PROXY" not in name.upper()
    }
    home.mkdir()
    own = {"HOME": home, "NETRC": home / "netrc", "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home}
    wandb = {"WANDB_CONFIG_DIR": home, "WANDB_CACHE_DIR": home, "WANDB_DATA_DIR": home, "WANDB_BASE_URL": DEAD_URL}
    return kept | {name: str(value) for name, value in (own | wandb).items()} | {"WANDB_INIT_TIMEOUT": "2"}


def truth(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of `metrics.jsonl`, to compare."""
    return [comparable(row) for row in read_metrics(folder / "metrics.jsonl")]


def mirrored(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that W&B holds, without its own columns, to compare."""
    return [comparable({name: value for name, value in row.items() if name[0] != "_"}) for row in history]


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without times, NaN spelled so that it equals itself; the server gets it bare, a segment as here."""
    return {name: spell(value) if isinstance(value, float) else value for name, value in without_times(row).items()}
