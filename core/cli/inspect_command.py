"""`tengen inspect`: a picture of what a run has learnt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tengen.cli.options import Command, Option, parse
from tengen.cli.policy_options import CHECKPOINT, REPETITION, RUN

if TYPE_CHECKING:
    from tengen.config import RunConfig

_COMMAND = Command(
    "tengen inspect",
    "Draw what a run has learnt: values and arrows on grids, policy and values of cards or of two real observations,"
    " any other table as a heat map.",
    ("tengen inspect runs/mine", "tengen inspect runs/mine --out values.svg --checkpoint 100000"),
)
_OPTIONS = (
    RUN,
    Option("out", Path | None, "A .png, .pdf or .svg file; inspect-STEP.png in the run unless given.", None, "FILE"),
    CHECKPOINT,
    REPETITION,
)


def run(arguments: Sequence[str]) -> int:
    """Run the command."""
    parsed = parse(_COMMAND, _OPTIONS, arguments)
    if parsed is None:
        return 0
    given = parsed.values

    from tengen.evaluation.picture_file import check_name
    from tengen.run import load_policy, open_run

    if given["out"] is not None:
        check_name(given["out"])
    run = open_run(given["run"])
    loaded = load_policy(run, given["checkpoint"], repetition=given["repetition"])
    loaded.env.close()

    from tengen.evaluation.drawing import plain, save
    from tengen.evaluation.inspection import Subject, draw

    config = run.config
    title = _title(config, loaded.step, given["repetition"])
    repetition = f"-repetition-{given['repetition']}" if config.num_runs > 1 else ""
    path: Path = given["out"] or run.folder / f"inspect-{loaded.step}{repetition}.png"
    with plain():
        save(draw(Subject(config.agent, loaded.policy, loaded.env.spec, config.env, loaded.step, title)), path)
    print(path)
    return 0


def _title(config: RunConfig, step: int, repetition: int) -> str:
    """Return what a picture's reader must know: what learnt where, for how long, at which discount factor."""
    planner = getattr(config.agent_config, "planner", None)
    gamma = getattr(config.agent_config, "gamma", None)
    parts = [config.env.id, config.agent, f"{step:,} steps" if planner is None else planner]
    if gamma is not None:
        parts.append(f"gamma {gamma:g}")
    if config.num_runs > 1:
        parts.append(f"repetition {repetition} of 0 to {config.num_runs - 1}")
    return " · ".join(parts)
