"""How well a network predicts the moves of games: on all of them, as they were played, without averaging symmetries."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tengen.errors import UserError
from tengen.perception.go_policy import GoPolicy, GoPolicyConfig, parse_date
from tengen.perception.precision import computes_in_bfloat16
from tengen.perception.supervised import evaluate


def evaluate_on_games(
    network: nn.Module,
    config: GoPolicyConfig,
    *,
    before: str | None = None,
    num: int | None = None,
    device: str = "cpu",
    precision: str = "float32",
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Return the metrics of a network on games, as plain values.

    Args:
        network: On the CPU.
        config: Where the games are, and from which date on (`split`).
        before: The date that later games are left out from.
        num: How many positions, always the same; None for all.
        device: Where to compute.
        precision: "float32", "bfloat16", or "auto".
        tell: Is told in a line what takes time.

    Raises:
        UserError: There are no such games, or less than one position is asked for.
    """
    if num is not None and num < 1:
        raise UserError(f"--examples must be at least 1, got {num}")
    games, _ = config.games(tell)
    test = games.between(parse_date(config.split), None if before is None else parse_date(before))
    if not len(test):
        until = f" and before {before}" if before else ""
        raise UserError(f"no game of {', '.join(config.data)} is from {config.split} on{until}: choose another --after")
    task = GoPolicy(test, test, config)
    place = torch.device(device)
    network = network.to(place)
    began = time.monotonic()
    means = evaluate(network, task, num, 256, place, in_bfloat16=computes_in_bfloat16(precision, place))
    positions = test.num_positions if num is None else min(num, test.num_positions)
    return {
        "games": len(test),
        "positions": positions,
        **means,
        "seconds": time.monotonic() - began,
    }
