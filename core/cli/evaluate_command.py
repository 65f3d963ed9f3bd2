"""`tengen evaluate`: whole episodes of known seeds, played with what a run has learnt."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tengen.cli.evaluate_foreign import EXAMPLE as FOREIGN_EXAMPLE
from tengen.cli.evaluate_foreign import evaluate_foreign
from tengen.cli.options import Command, Option, parse
from tengen.cli.policy_options import CHECKPOINT, EPSILON, REPETITION, RUN, check_episodes, epsilon_of
from tengen.errors import UserError
from tengen.typed import finite

if TYPE_CHECKING:
    from tengen.run.folder import Run
    from tengen.run.policy import LoadedPolicy

_COMMAND = Command(
    "tengen evaluate",
    "Play the episodes of seeds S to S+N-1 with what a run has learnt, and report their returns.",
    (
        "tengen evaluate runs/mine",
        "tengen evaluate runs/mine --episodes 30 --seed 1000 --json",
        "tengen evaluate runs/mine --checkpoint best --min-return 475",
        FOREIGN_EXAMPLE,
        "tengen evaluate runs/mine --opponent random",
    ),
)
_OPTIONS = (
    RUN,
    Option("episodes", int, "Episodes to play.", 100),
    Option("seed", int, "Seed of the first episode; the next has the next seed.", 0),
    CHECKPOINT,
    Option("num-envs", int, "Environments side by side.", 1),
    EPSILON,
    REPETITION,
    Option(
        "opponent",
        str | None,
        "In games of two sides, who plays the other one; moving first alternates. A run's own policy unless given.",
        None,
        "random|RUN|gtp:COMMAND",
    ),
    Option("sb3", str | None, "RUN is a model that stable-baselines3 saved by this algorithm.", None, "ALGORITHM"),
    Option("env", str | None, "With --sb3: the environment.", None),
    Option("protocol", str | None, "With --sb3: the environment's protocol.", None),
    Option("trust-code", bool, "With --sb3: load the model, which runs whatever code its maker put in.", False),
    Option("min-return", float | None, "Exit with code 1 when the mean return is below.", None),
    Option("json", bool, "Print one JSON object.", False),
)

_LINE_PERIOD = 10.0  # seconds between lines of progress


def run(arguments: Sequence[str]) -> int:
    """Run the command."""
    parsed = parse(_COMMAND, _OPTIONS, arguments)
    if parsed is None:
        return 0
    given = parsed.values
    check_episodes(given)
    if given["min-return"] is not None and math.isnan(given["min-return"]):
        raise UserError("--min-return must be a number, got nan")
    result = _evaluate(given) if given["sb3"] is None else evaluate_foreign(given, _progress(given["episodes"]))
    if given["json"]:
        print(json.dumps(finite(result)))
    else:
        for name, value in result.items():
            print(f"{name:<22}{value:.6g}" if isinstance(value, float) else f"{name:<22}{value}")
    wanted, mean = given["min-return"], result["return_mean"]
    if wanted is not None and not mean >= wanted:
        print(f"tengen: the mean return {mean:g} is below {wanted:g}, which --min-return wants", file=sys.stderr)
        return 1
    return 0


def _evaluate(given: Mapping[str, Any]) -> dict[str, Any]:
    if given["run"].suffix == ".zip":
        raise UserError(
            f"{given['run']} is no run: a model of stable-baselines3 needs --sb3, as in `{FOREIGN_EXAMPLE}`"
        )
    for name in ("env", "protocol"):
        if given[name] is not None:
            raise UserError(f"--{name} goes with --sb3: a run has its own, leave it out")
    from tengen.envs.scores import report_terms
    from tengen.evaluate import evaluate
    from tengen.evaluation.exact import exact_terms
    from tengen.run import load_policy, open_run

    run = open_run(given["run"])
    num_envs = min(given["num-envs"], given["episodes"])
    loaded = load_policy(run, given["checkpoint"], num_envs=num_envs, repetition=given["repetition"])
    if given["opponent"] is not None:
        return _evaluate_against(given, run, loaded)
    epsilon = epsilon_of(given, loaded.env)
    try:
        evaluation = evaluate(
            loaded.policy,
            loaded.env,
            given["episodes"],
            given["seed"],
            epsilon=epsilon,
            on_episode=_progress(given["episodes"]),
        )
    finally:
        loaded.env.close()
    assert evaluation is not None, "nothing asked it to stop"
    summary = evaluation.summary()
    gamma = getattr(run.config.agent_config, "gamma", None)
    return {
        "agent": run.config.agent,
        "env": run.config.env.id,
        "step": loaded.step,
        "episodes": given["episodes"],
        "seed": given["seed"],
        **summary,
        **exact_terms(loaded.policy, loaded.env, gamma, epsilon),
        **report_terms(loaded.env, run.config.env.id, summary["return_mean"], epsilon),
    }


def _evaluate_against(given: Mapping[str, Any], run: Run, loaded: LoadedPolicy) -> dict[str, Any]:
    from tengen.evaluation.opponents import evaluate_against, load_rival, make_opponent, outcome_terms

    try:
        if given["epsilon"]:
            raise UserError(f"--epsilon can't be had with --opponent, got {given['epsilon']:g}: leave one of them out")
        opponent = make_opponent(given["opponent"], loaded.env, lambda folder: load_rival(Path(folder), run.config.env))
        try:
            evaluation = evaluate_against(
                loaded.policy,
                opponent,
                loaded.env,
                given["episodes"],
                given["seed"],
                on_episode=_progress(given["episodes"]),
            )
        finally:
            opponent.close()
    finally:
        loaded.env.close()
    for error in opponent.errors:
        print(f"tengen: an error of the opponent's, which loses it the game: {error}", file=sys.stderr)
    return {
        "agent": run.config.agent,
        "env": run.config.env.id,
        "step": loaded.step,
        "opponent": given["opponent"],
        "episodes": given["episodes"],
        "seed": given["seed"],
        **evaluation.summary(),
        **outcome_terms(evaluation.returns),
        "opponent_errors": len(opponent.errors),
    }


def _progress(episodes: int) -> Callable[[int, float], None]:
    """Return what shows progress on standard error: in place on a terminal, else a line now and then."""
    terminal = sys.stderr.isatty()
    last_time = time.monotonic()
    total = 0.0

    def show(done: int, value: float) -> None:
        nonlocal last_time, total
        total += value
        text = f"{done} of {episodes} episodes, mean return {total / done:.1f}"
        if terminal:
            print(f"\r{text}\x1b[K", end="\n" if done == episodes else "", file=sys.stderr, flush=True)
        elif time.monotonic() - last_time > _LINE_PERIOD:
            last_time = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    return show
