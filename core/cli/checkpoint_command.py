"""`tengen checkpoint`: where a run is, and the digest of its state. Does not import torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tengen.cli.options import Command, Option, parse
from tengen.cli.policy_options import RUN
from tengen.errors import UserError
from tengen.typed import finite

_COMMAND = Command(
    "tengen checkpoint",
    "Show a run's latest checkpoint: its step, and a digest that two exactly equal states share.",
    ("tengen checkpoint runs/mine", "tengen checkpoint runs/mine --json"),
)
_OPTIONS = (RUN, Option("json", bool, "Print one JSON object.", False))


def run(arguments: Sequence[str]) -> int:
    """Run the command."""
    parsed = parse(_COMMAND, _OPTIONS, arguments)
    if parsed is None:
        return 0

    from tengen.run import open_run

    folder: Path = parsed.values["run"]
    store = open_run(folder).store
    latest = store.latest()
    if latest is None:
        raise UserError(f"{folder} has no checkpoint yet: `tengen train --resume {folder}` trains it")
    best = store.best_mark()
    result = {
        "step": latest.step,
        "state_sha256": latest.digest(),
        "steps": store.steps(),
        "best_step": None if best is None else best.step,
        "best_return_mean": None if best is None else best.score,
    }
    if parsed.values["json"]:
        print(json.dumps(finite(result)))
    else:
        for name, value in {**result, "steps": ", ".join(map(str, store.steps()))}.items():
            print(f"{name:<18}{value}")
    return 0
