"""`tengen perceive`: fit networks to examples, and say how well they do on examples kept aside."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tengen.cli.options import Command, Option, asks_for_help, parse, peek
from tengen.config import TrackConfig
from tengen.device import resolve_device, resolve_threads
from tengen.errors import UserError, did_you_mean
from tengen.perception.tasks import TASKS, resolve_task
from tengen.typed import build, default_values, field_docs, field_types, finite

if TYPE_CHECKING:
    from tengen.run.fit import FitResult

_VERBS = {
    "fit": "fit a network to a task's examples, or go on with a run",
    "evaluate": "say how well a run or a network file does on examples kept aside",
    "export": "write a run's network as a file that others can use",
    "data": "read a task's data, and say what became of it",
    "list": "list tasks",
}
_CHANGEABLE = ("resume", "steps", "device", "track")  # when a run goes on
_EXAMPLES = (
    "tengen perceive fit go-policy --data games/ --run-dir runs/policy --width 64 --steps 20000",
    "tengen perceive fit --resume runs/policy --steps 40000",
    "tengen perceive evaluate runs/policy --data games/ --after 2017-04",
    "tengen perceive export runs/policy --out policy.safetensors",
    "tengen perceive data go-policy --data games/",
    "tengen perceive list",
)


def run(arguments: Sequence[str]) -> int:
    """Run the command."""
    command_line = ["tengen", "perceive", *arguments]
    if not arguments or arguments[0] in ("-h", "--help"):
        _print_overview()
        return 0 if arguments else 2
    verb, *rest = arguments
    if verb not in _VERBS:
        raise UserError(
            f"`tengen perceive` can't {verb!r}.{did_you_mean(verb, list(_VERBS))} It can: {', '.join(_VERBS)}"
        )
    if verb == "list":
        return _list(rest)
    if verb == "fit":
        return _fit(rest, command_line)
    if verb == "evaluate":
        return _evaluate(rest)
    return _export(rest) if verb == "export" else _data(rest)


def _print_overview() -> None:
    lines = [f"  {verb:<10} {what}" for verb, what in _VERBS.items()]
    examples = [f"  {example}" for example in _EXAMPLES]
    print("\n".join(["usage: tengen perceive VERB [OPTIONS]", "", "verbs:", *lines, "", "examples:", *examples]))


def _list(arguments: Sequence[str]) -> int:
    command = Command("tengen perceive list", "List the tasks that networks can be fitted to.", _EXAMPLES[-1:])
    if parse(command, (), arguments) is None:
        return 0
    for name in TASKS:
        print(f"{name:<12} {_summary(name)}")
    return 0


def _summary(task: str) -> str:
    return str(resolve_task(task).__doc__ or "").split("\n\n")[0]


def _task_name(arguments: Sequence[str], verb: str) -> str | None:
    """Return the task that is named first; None when only help is asked for."""
    if arguments and not arguments[0].startswith("-"):
        resolve_task(arguments[0])
        return arguments[0]
    if asks_for_help(arguments):
        return None
    raise UserError(f"say which task, first of all: `tengen perceive {verb} go-policy ...`. Tasks: {', '.join(TASKS)}")


def _options_of(kind: type[Any], defaults: dict[str, Any], leave_out: Sequence[str] = ()) -> list[Option]:
    docs = field_docs(kind)
    return [
        Option(name.replace("_", "-"), field, docs.get(name, ""), defaults[name])
        for name, field in field_types(kind).items()
        if name not in leave_out
    ]


def _track_options() -> list[Option]:
    docs, defaults = field_docs(TrackConfig), default_values(TrackConfig)
    return [
        Option("track" if name == "to" else f"track.{name}", kind, docs[name], defaults[name])
        for name, kind in field_types(TrackConfig).items()
        if name != "video"
    ]


def _fit_options(task: str) -> list[Option]:
    from tengen.perception.supervised import Fitting
    from tengen.run.fit import FitConfig

    special = [
        Option("run-dir", Path | None, "The run's own folder; runs/TASK/TIME-seedN-PID unless given.", None, "DIR"),
        Option(
            "resume", Path | None, "Go on with this run; only --steps, --device and --track* may differ.", None, "RUN"
        ),
    ]
    kind = resolve_task(task)
    left_out = ("task", "task_config", "fitting", "track")
    run_defaults = {**default_values(FitConfig), "device": "auto"}
    return [
        *_options_of(kind, default_values(kind)),
        *special,
        *_options_of(FitConfig, run_defaults, left_out),
        *_options_of(Fitting, default_values(Fitting)),
        *_track_options(),
    ]


def _fit(arguments: Sequence[str], command_line: Sequence[str]) -> int:
    from tengen.perception.supervised import Fitting
    from tengen.run.fit import FitConfig, fit

    if peek(arguments, "resume") is not None and not asks_for_help(arguments):
        return _resume(arguments, command_line)
    task = _task_name(arguments, "fit") or next(iter(TASKS))
    about = f"Fit a network to a task. {_summary(task)} Tasks: {', '.join(TASKS)}."
    rest = arguments[1:] if arguments[:1] == [task] else arguments
    parsed = parse(Command(f"tengen perceive fit {task}", about, _EXAMPLES[:2]), _fit_options(task), rest)
    if parsed is None:
        return 0
    values = {name.replace("-", "_"): value for name, value in parsed.values.items()}
    kind = resolve_task(task)
    own = {name: values[name] for name in field_types(FitConfig) if name in values and name != "track"}
    config = FitConfig(
        task,
        build(kind, {name: values[name] for name in field_types(kind)}),
        build(Fitting, {name: values[name] for name in field_types(Fitting)}),
        track=_track(values),
        **own,
    )
    config = dataclasses.replace(config, device=resolve_device(config.device), threads=resolve_threads(config.threads))
    return _report(fit(config, values["run_dir"] or _default_folder(task, config.seed), command=command_line))


def _track(values: dict[str, Any]) -> TrackConfig:
    chosen = {name.partition(".")[2]: value for name, value in values.items() if name.startswith("track.")}
    return build(TrackConfig, {**chosen, "to": values["track"]})


def _resume(arguments: Sequence[str], command_line: Sequence[str]) -> int:
    from tengen.run.fit import open_fit, resume_fit

    text = peek(arguments, "resume")
    if not text or text.startswith("--"):
        raise UserError("--resume needs a value: the run's folder")
    folder = Path(text)
    task = open_fit(folder).task
    if not arguments[0].startswith("-"):
        raise UserError(f"a run goes on with its own task, {task}: leave {arguments[0]!r} out")
    parsed = parse(Command("tengen perceive fit", "", _EXAMPLES[1:2]), _fit_options(task), arguments)
    assert parsed is not None, "help was asked for"
    for name in sorted(parsed.given):
        if name.partition(".")[0] not in _CHANGEABLE:
            raise UserError(
                f"--{name} can't change when a run goes on, only --steps, --device and --track* can: leave it out, or"
                " start a new run"
            )
    given, values = parsed.given, {name.replace("-", "_"): value for name, value in parsed.values.items()}
    return _report(
        resume_fit(
            folder,
            steps=values["steps"] if "steps" in given else None,
            device=resolve_device(values["device"]) if "device" in given else None,
            track=_track(values) if any(name.startswith("track") for name in given) else None,
            command=command_line,
        )
    )


def _default_folder(task: str, seed: int) -> Path:
    return Path("runs") / task / f"{datetime.now():%Y%m%d-%H%M%S}-seed{seed}-{os.getpid()}"


def _report(result: FitResult) -> int:
    """Say how a session ended, and return the exit code."""
    if result.signal is not None:
        print(
            f"stopped by {signal.Signals(result.signal).name} at step {result.step}, which is saved; "
            f"go on with `tengen perceive fit --resume {result.folder}`",
            file=sys.stderr,
        )
        return 128 + result.signal
    print(f"{result.folder}: {result.step} steps done")
    if result.summary["last_eval"]:
        print(", ".join(f"{name} {value:.4f}" for name, value in result.summary["last_eval"].items()))
    return 0


def _evaluate(arguments: Sequence[str]) -> int:
    options = (
        Option(
            "network",
            Path,
            "A run of `tengen perceive fit`, a network file, or a shipped one's name.",
            metavar="RUN|FILE|NAME",
            positional=True,
        ),
        Option("data", tuple[str, ...], "Folders, archives and files of examples; a run's own unless given.", ()),
        Option("after", str | None, "Test on games from this month (or day) on; a run's own unless given.", None),
        Option("before", str | None, "Leave out games from this month (or day) on.", None),
        Option("examples", int | None, "So many of the examples, always the same; all unless given.", None),
        Option(
            "checkpoint", int | None, "Of a run, the step of the checkpoint; the latest unless given.", None, "STEP"
        ),
        Option("precision", Literal["auto", "float32", "bfloat16"], "Arithmetic of the network.", "float32"),
        Option("device", str, "Where to compute: cpu, cuda or cuda:N; auto takes cuda where there is one.", "auto"),
        Option("threads", int, "Threads of torch on the CPU; 0 takes up to 4.", 0),
        Option("json", bool, "Print JSON.", False),
    )
    about = "Say how often a network's first move, and one of its first five, is the one that was played."
    parsed = parse(Command("tengen perceive evaluate", about, _EXAMPLES[2:3]), options, arguments)
    if parsed is None:
        return 0
    given = parsed.values

    import torch

    from tengen.perception.go_evaluation import evaluate_on_games
    from tengen.perception.go_policy import GoPolicyConfig, Heads

    torch.set_num_threads(resolve_threads(given["threads"]))
    network, card, defaults = _network(given["network"], given["checkpoint"])
    data = given["data"] or (defaults.data if defaults is not None else ())
    after = given["after"] or (defaults.split if defaults is not None else None)
    if not data or after is None:
        raise UserError("a network file does not say what to test it on: give --data and --after")
    says_owners = card.architecture["parameters"].get("ownership", False)
    heads: Heads = "policy+value+ownership" if says_owners else "auto"
    config = GoPolicyConfig(data=tuple(data), size=card.size, planes=card.planes, split=after, heads=heads)
    result = evaluate_on_games(
        network,
        config,
        before=given["before"],
        num=given["examples"],
        device=resolve_device(given["device"]),
        precision=given["precision"],
        tell=lambda text: print(text, file=sys.stderr),
    )
    if given["json"]:
        print(json.dumps(finite(result), indent=2))
    else:
        for name, value in result.items():
            print(f"{name:<14} {value:,.4f}" if isinstance(value, float) else f"{name:<14} {value:,}")
    return 0


def _network(path: Path, step: int | None) -> tuple[Any, Any, Any]:
    """Return the network of a run or of a file, its card, and the settings of the run's task, where it has one."""
    from tengen.perception.network_file import load_network, named_network
    from tengen.run.fitted import load_fitted
    from tengen.run.folder import is_fit

    if path.is_dir():
        return load_fitted(path, step) if is_fit(path) else (*_self_taught(path, step), None)
    file = named_network(str(path))
    if step is not None:
        raise UserError(f"--checkpoint is for runs, and {path} is a file")
    loaded = load_network(file)
    return loaded.network, loaded.card, None


def _self_taught(folder: Path, step: int | None) -> tuple[Any, Any]:
    """Return the network that an alphazero run on a board has made, and its card."""
    from tengen.agents.alphazero import AlphaZero
    from tengen.envs.go.simulator import Go
    from tengen.perception.network_file import Card, architecture_of
    from tengen.perception.policy_value import board_network
    from tengen.run import load_policy, open_run

    run = open_run(folder)
    loaded = load_policy(run, "latest" if step is None else str(step))
    simulator = loaded.env.spec.simulator
    agent = loaded.agent
    network = board_network(agent.learner.network) if isinstance(agent, AlphaZero) else None
    if not isinstance(agent, AlphaZero) or network is None or not isinstance(simulator, Go):
        raise UserError(f"{folder} has no network of a Go board: choose a run of alphazero on tengen/Go-v0")
    rules, settings = simulator.rules, run.config.to_dict()
    if settings["agent_config"]["network"] is not None:  # a path of this machine: its name says enough
        settings["agent_config"]["network"] = Path(settings["agent_config"]["network"]).name
    about = {"agent": "alphazero", "step": loaded.step, "games": agent.num_games, "settings": settings}
    return network, Card(architecture_of(network), simulator.planes, rules.size, rules.total_komi, about)


def _export(arguments: Sequence[str]) -> int:
    options = (
        Option("run", Path, "A run of `tengen perceive fit`, or of alphazero on Go.", metavar="RUN", positional=True),
        Option("out", Path, "The file, .safetensors.", metavar="FILE"),
        Option("checkpoint", int | None, "The step of the checkpoint; the latest unless given.", None, "STEP"),
        Option("heads", Literal["all", "policy"], "Leave out what the network says besides the move: policy.", "all"),
        Option("about", str | None, "A JSON table to keep in the card: accuracy, strength, licence of the data.", None),
    )
    about = "Write a run's network with its card as a safetensors file, normalisations folded into the convolutions."
    parsed = parse(Command("tengen perceive export", about, _EXAMPLES[3:4]), options, arguments)
    if parsed is None:
        return 0
    given = parsed.values
    if not given["run"].is_dir():
        raise UserError(f"there is no run {given['run']}")
    if given["out"].suffix != ".safetensors":
        raise UserError(f"--out must be a .safetensors file, got {given['out']}")
    try:
        more = json.loads(given["about"] or "{}")
    except ValueError as error:
        raise UserError(f"--about must be a table in JSON: {error}") from error
    if not isinstance(more, dict):
        raise UserError(f"--about must be a table in JSON, got {given['about']!r}")

    from tengen.perception.network_file import policy_only, save_network

    network, card, _ = _network(given["run"], given["checkpoint"])
    if given["heads"] == "policy":
        network, architecture = policy_only(network, card.architecture)
        card = dataclasses.replace(card, architecture=architecture)
    task = card.about["settings"].get("task_config", {})
    task.pop("data", None)  # paths of this machine
    if task.get("start") is not None:
        task["start"] = Path(task["start"]).name
    card.about["settings"].pop("track", None)
    card.about.update(more)
    save_network(given["out"], network, card)
    print(given["out"])
    return 0


def _data(arguments: Sequence[str]) -> int:
    task = _task_name(arguments, "data") or next(iter(TASKS))
    options = (
        Option("data", tuple[str, ...], "Folders (searched through), archives and .sgf files."),
        Option("size", int, "Board size.", 19),
        Option("bad", Path | None, "Write a line for each file that was left out, and why.", None, "FILE"),
    )
    about = "Read a task's data, and count what was left out by reason."
    rest = arguments[1:] if arguments[:1] == [task] else arguments
    parsed = parse(Command(f"tengen perceive data {task}", about, _EXAMPLES[4:5]), options, rest)
    if parsed is None:
        return 0
    given = parsed.values

    from tengen.envs.go.games import collect
    from tengen.envs.go.sgf import read_records

    checked = resolve_task(task)(data=given["data"], size=given["size"])
    paths = [Path(path) for path in checked.data]
    games, census = collect(list(read_records(paths, checked.size)), checked.size)
    for line in census.lines():
        print(line)
    if given["bad"] is not None:
        _write(given["bad"], "".join(f"{bad.name}\t{bad.reason}\t{bad.detail}\n" for bad in census.bad))
    return 0 if len(games) else 1


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogateescape")  # names of files may be any bytes
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror or error}") from error
