"""`tengen sweep`: look for good settings of an agent on an environment."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tengen.cli.assignments import rejoined
from tengen.cli.options import Command, Option, Parsed, parse
from tengen.envs.protocols import with_content
from tengen.errors import UserError

if TYPE_CHECKING:
    from tengen.evaluation.jobs.runner import Job
    from tengen.evaluation.sweep.search_space import Field

_COMMAND = Command(
    "tengen sweep",
    "Look for good settings by many runs, whose settings Optuna chooses by how those before did (extra `sweep`). The"
    " result is a preset. The same command goes on after an interruption, and may run several times side by side.",
    (
        "tengen sweep dqn --env CartPole-v1 --steps 20000 --field 'agent.learning_rate=loguniform(1e-4,1e-2)'",
        "tengen sweep dqn --env CartPole-v1 --steps 20000 --field agent.n_step=int:1:10 agent.batch_size=choice:32:64",
        "tengen train dqn --env CartPole-v1 --preset sweeps/dqn-CartPole-v1-20000/best.toml",
    ),
)
_OPTIONS = (
    Option("agent", str, "The agent.", metavar="AGENT", positional=True),
    Option("env", str, "The environment.", metavar="ENV"),
    Option("steps", int, "Steps of each trial."),
    Option(
        "field",
        tuple[str, ...],
        "What to choose, an option of `tengen train`; kinds are uniform, loguniform, int, logint, choice.",
        (),
        "NAME=KIND(VALUES) ...",
    ),
    Option("trials", int, "Trials in all, those done before included.", 20),
    Option("out", Path | None, "Where everything goes; sweeps/AGENT-ENV-STEPS unless given.", None, "DIR"),
    Option("seed", int, "Seed S of Optuna's choices; trial k trains with the seed S + k.", 0),
    Option("eval-period", int | None, "Steps between evaluations; a twentieth of --steps unless given.", None),
    Option("eval-episodes", int, "Episodes of each evaluation.", 10),
    Option(
        "protocol", str | None, "The environment's protocol, as `tengen train` takes it; its own unless given.", None
    ),
    Option(
        "preset",
        str | None,
        "What is not chosen: a preset's name or file, or none; the agent's own unless given.",
        None,
    ),
    Option("set", tuple[str, ...], "A setting that is not chosen, as in driver=python.", (), "NAME=VALUE ..."),
    Option(
        "pruner", Literal["median", "none"], "median stops trials that are worse than most at the same step.", "median"
    ),
    Option("jobs", int, "Trials at once; 0: as many as there are cores.", 0),
    Option("json", bool, "Print one JSON object.", False),
)

_OF_THE_SWEEP = (
    "seed",
    "steps",
    "eval-period",
    "eval-episodes",
    "env",
    "run-dir",
    "preset",
    "protocol",
    "threads",
    "resume",
)
_POINTS = 20  # of a trial's curve
_SHOWN = 5  # trials in the table

_MOST_TRIALS = 100_000


def run(arguments: Sequence[str]) -> int:
    """Run the command."""
    parsed = parse(_COMMAND, _OPTIONS, arguments)
    if parsed is None:
        return 0
    given = parsed.values
    fields = _fields(parsed)
    out: Path = given["out"] or Path("sweeps") / f"{given['agent']}-{given['env']}-{given['steps']}".replace(
        ":", "-"
    ).replace("/", "-")
    _try_ends(given, fields, out)

    from tengen.evaluation.jobs.display import RunsDisplay
    from tengen.evaluation.jobs.runner import num_cores
    from tengen.evaluation.sweep import Sweep

    def make_job(number: int, values: Mapping[str, str], folder: Path) -> Job:
        return _job(given, number, values, folder, out)

    of_what = {name: given[name] for name in ("agent", "env", "steps", "seed", "eval-episodes", "preset")}
    of_what |= {
        "eval-period": _period(given),
        "set": rejoined(given["set"]),
        "protocol": with_content(given["protocol"]),
    }
    sweep = Sweep(out, fields, make_job, of_what, pruner=given["pruner"], seed=given["seed"])
    with RunsDisplay({f"trial {k}": given["steps"] for k in range(given["trials"])}) as display:
        display.message(f"{given['trials']} trials in {out}")
        stopped = sweep.run(given["trials"], display, num_parallel=given["jobs"] or num_cores())
    if stopped is not None:
        print(f"stopped by {signal.Signals(stopped).name}, trials are saved; the same command goes on", file=sys.stderr)
        return 128 + stopped
    best = sweep.write_best(given["agent"], given["env"])
    rows = sweep.trials()
    if elsewhere := sweep.elsewhere():
        print(
            f"{elsewhere} trials are still running in other processes, the last of which writes it all again",
            file=sys.stderr,
        )
    if given["json"]:
        print(json.dumps({"preset": str(best), "trials": rows}))
    else:
        print("\n".join(_table(rows[:_SHOWN])))
        print(f"{best}: `tengen train {given['agent']} --env {given['env']} --preset {best}` trains with it;")
        print(f"`tengen compare --env {given['env']} --agents {given['agent']} {best} ...` says what it is worth")
    return 0


def _fields(parsed: Parsed) -> list[Field]:
    from tengen.evaluation.sweep.search_space import parse_field

    given = parsed.values
    for name in ("steps", "trials", "eval-episodes"):
        if given[name] < 1:
            raise UserError(f"--{name} must be at least 1, got {given[name]}")
    if given["trials"] > _MOST_TRIALS:
        raise UserError(f"--trials must be at most {_MOST_TRIALS}, got {given['trials']}")
    for name in ("seed", "jobs"):
        if given[name] < 0:
            raise UserError(f"--{name} must not be negative, got {given[name]}")
    if given["eval-period"] is not None and not 1 <= given["eval-period"] <= given["steps"]:
        raise UserError(f"--eval-period must be between 1 and --steps {given['steps']}, got {given['eval-period']}")
    for text in rejoined(given["set"]):
        if "=" not in text:
            raise UserError(f"--set takes NAME=VALUE, as in driver=python, got {text!r}")
    fields = [parse_field(text) for text in rejoined(given["field"])]
    if not fields:
        raise UserError(f"--field is missing: nothing is chosen, as in `{_COMMAND.examples[0]}`")
    for option, names in (("field", [field.name for field in fields]), ("set", _names(rejoined(given["set"])))):
        for name in names:
            if name.replace("_", "-") in _OF_THE_SWEEP:
                raise UserError(f"--{option} {name}: this is the sweep's own, the same for all trials")
    doubles = [field.name for field in fields if [other.name for other in fields].count(field.name) > 1]
    if doubles:
        raise UserError(f"--field {doubles[0]} is given twice: leave one of the two out")
    return fields


def _names(assignments: Sequence[str]) -> list[str]:
    return [text.partition("=")[0] for text in assignments]


def _period(given: Mapping[str, Any]) -> int:
    return int(given["eval-period"] or max(1, given["steps"] // _POINTS))


def _try_ends(given: Mapping[str, Any], fields: Sequence[Field], out: Path) -> None:
    """Refuse what no trial could be trained with, before any is.

    Raises:
        UserError: A field does not exist, takes no such value, or the agent can't take the environment.
    """
    import contextlib

    from tengen.envs import make_env
    from tengen.run.assembly import require_agent_takes

    middle = {field.name: field.values[0] for field in fields}
    for field in fields:
        for value in field.values:
            config = _job(given, 0, {**middle, field.name: value}, out / "none", out).config
    with contextlib.closing(make_env(config.env, training=False)) as env:
        require_agent_takes(config, env.spec)


def _job(given: Mapping[str, Any], number: int, values: Mapping[str, str], folder: Path, out: Path) -> Job:
    from tengen.cli.train_command import resolve
    from tengen.evaluation.jobs.runner import Job

    start = [given["agent"], "--env", given["env"], "--steps", str(given["steps"])]
    start += ["--seed", str(given["seed"] + number), "--threads", "1", "--run-dir", str(folder)]
    start += ["--eval-period", str(_period(given)), "--eval-episodes", str(given["eval-episodes"])]
    for option in ("protocol", "preset"):
        start += [] if given[option] is None else [f"--{option}", given[option]]
    for text in rejoined(given["set"]):
        name, _, value = text.partition("=")
        start.append(f"--{name.replace('_', '-')}={value}")
    start += [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
    resolved = resolve(start)
    assert resolved is not None, "no help was asked for"
    return Job(
        name=f"trial {number}",
        agent=given["agent"],
        folder=folder,
        config=resolved[0],
        start=tuple(start),
        resume=("--resume", str(folder)),
        log=out / "logs" / f"{folder.name}.log",
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_cell(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(names))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
