"""`tengen evaluate`: whole episodes of known seeds, played with what a run has learnt."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tengen.cli.options import Command, Option, parse
from tengen.errors import UserError

_COMMAND = Command(
    "tengen evaluate",
    "Play the episodes of seeds S to S+N-1 with what a run has learnt, and report their returns.",
    (
        "tengen evaluate runs/mine",
        "tengen evaluate runs/mine --episodes 100 --seed 1000 --json",
        "tengen evaluate runs/mine --checkpoint best --min-return 475",
    ),
)
_OPTIONS = (
    Option("run", Path, "The run's folder.", positional=True),
    Option("episodes", int, "Episodes to play.", 100),
    Option("seed", int, "Seed of the first episode; the next has the next seed.", 0),
    Option("checkpoint", str, "latest, best, or the step of a checkpoint.", "latest", "latest|best|STEP"),
    Option("num-envs", int, "Environments side by side; the result does not depend on it for a greedy policy.", 1),
    Option("epsilon", float | None, "Probability of a random action; the protocol's own unless given, or 0.", None),
    Option("min-return", float | None, "Exit with code 1 when the mean return is below.", None),
    Option("json", bool, "Print one JSON object.", False),
)


def run(arguments: Sequence[str]) -> int:
    """Run the command."""
    parsed = parse(_COMMAND, _OPTIONS, arguments)
    if parsed is None:
        return 0
    given = parsed.values
    for name in ("episodes", "num-envs"):
        if given[name] < 1:
            raise UserError(f"--{name} must be at least 1, got {given[name]}")
    if given["seed"] < 0:
        raise UserError(f"--seed must not be negative, got {given['seed']}")
    if given["epsilon"] is not None and not 0 <= given["epsilon"] <= 1:
        raise UserError(f"--epsilon must be between 0 and 1, got {given['epsilon']}")
    result = _evaluate(given)
    if given["json"]:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<22}{value:.6g}" if isinstance(value, float) else f"{name:<22}{value}")
    if given["min-return"] is not None and not result["return_mean"] >= given["min-return"]:
        print(
            f"tengen: the mean return {result['return_mean']:g} is below the wanted {given['min-return']:g}",
            file=sys.stderr,
        )
        return 1
    return 0


def _evaluate(given: Any) -> dict[str, Any]:
    from tengen.run import load_policy, open_run  # imports torch

    run = open_run(given["run"])
    loaded = load_policy(run, given["checkpoint"], num_envs=min(given["num-envs"], given["episodes"]))
    try:
        return _play(run, loaded, given)
    finally:
        loaded.env.close()


def _play(run: Any, loaded: Any, given: Any) -> dict[str, Any]:
    from tengen.evaluate import evaluate

    env_id, episodes = run.config.env.id, given["episodes"]
    epsilon = given["epsilon"] if given["epsilon"] is not None else getattr(loaded.env, "evaluation_epsilon", 0.0)
    evaluation = evaluate(loaded.policy, loaded.env, episodes, given["seed"], epsilon=epsilon)
    assert evaluation is not None, "nothing asked it to stop"
    return {
        "agent": run.config.agent,
        "env": env_id,
        "step": loaded.step,
        "episodes": episodes,
        "seed": given["seed"],
        **evaluation.summary(),
    }
