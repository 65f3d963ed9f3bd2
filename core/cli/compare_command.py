"""`tengen compare`: run what is missing of a comparison, and say what the evidence says."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tengen.cli.assignments import rejoined
from tengen.cli.options import Command, Option, Parsed, parse
from tengen.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from tengen.config import TrackConfig
    from tengen.evaluation.comparison import Comparison
    from tengen.evaluation.jobs.runner import Job, Outcome

_COMMAND = Command(
    "tengen compare",
    "Train agents with several seeds, as many runs at once as there are cores, and compare them: a page, numbers, and"
    " plain words. Runs that are there are reused, and unfinished ones resumed, so the same command goes on.",
    (
        "tengen compare --env CartPole-v1 --agents dqn sb3:dqn random --seeds 5 --steps 50000",
        "tengen compare --env CartPole-v1 Acrobot-v1 --agents dqn double_dqn sb3:dqn --steps 100000 --track wandb",
        "tengen compare --env ALE/Pong-v5 --agents dqn sb3:dqn --steps 2000000 --set sb3:dqn.learning_starts=20000",
        "tengen compare --runs runs/CartPole-v1 --out mine",
    ),
)
_OPTIONS = (
    Option("env", tuple[str, ...], "Environments.", (), "ENV ..."),
    Option("agents", tuple[str, ...], "Agents, or preset files (.toml) as `tengen sweep` writes.", (), "AGENT ..."),
    Option("seeds", int, "Runs of each agent on each environment, of the seeds S to S+N-1.", 5),
    Option("first-seed", int, "S, the first of these seeds.", 0),
    Option("steps", int | None, "Steps of each run; needed unless --runs is given.", None),
    Option("out", Path | None, "Where everything goes; comparisons/ENV-STEPS unless given.", None, "DIR"),
    Option(
        "runs",
        tuple[Path, ...],
        "Compare these finished runs (or folders full of them), and train none.",
        (),
        "RUN ...",
    ),
    Option("eval-period", int | None, "Steps between evaluations, the points of a curve; 20 to 50 unless given.", None),
    Option("eval-episodes", int, "Episodes of each evaluation.", 10),
    Option(
        "protocol", str | None, "The environments' protocol, as `tengen train` takes it; their own unless given.", None
    ),
    Option("num-envs", int | None, "Environments side by side in each run; each agent's own unless given.", None),
    Option("device", str | None, "Where agents compute; each agent's own unless given.", None),
    Option(
        "set", tuple[str, ...], "A setting of one agent, as in dqn.learning_rate=1e-3.", (), "AGENT.FIELD=VALUE ..."
    ),
    Option("presets", bool, "Take the agents' presets; --no-presets compares their defaults.", True),
    Option("jobs", int, "Runs at once; 0: as many as there are cores.", 0),
    Option("film", bool, "Film each agent's median run for the page.", True),
    Option("track", Literal["none", "wandb"], "Log every run, and a summary, to W&B as one group.", "none"),
    Option("track.mode", Literal["online", "offline"], "W&B's mode; without key or network it goes offline.", "online"),
    Option("track.project", str, "W&B project.", "tengen"),
    Option("track.entity", str | None, "W&B entity (user or team); your own unless given.", None),
    Option("track.group", str | None, "W&B group; the name of --out unless given.", None),
    Option("track.report", bool, "A W&B Report of it as well, where W&B can be reached (extra `wandb-report`).", True),
    Option("json", bool, "Print one JSON object.", False),
)

# Settings that belong to the comparison: for one agent alone they would make the others no comparison.
_OF_ALL = (
    *("seed", "steps", "eval_period", "eval_episodes", "env", "protocol"),
    *("run_dir", "threads", "num_runs", "resume", "preset"),
)

_FEWEST_POINTS, _MOST_POINTS = 20, 50  # of a curve

_MOST_SEEDS = 10_000


def run(arguments: Sequence[str]) -> int:
    """Run the command."""
    parsed = parse(_COMMAND, _OPTIONS, arguments)
    if parsed is None:
        return 0
    _check(parsed)
    command = ["tengen", "compare", *arguments]
    if parsed.values["runs"]:
        return _report(parsed.values, _runs_below(parsed.values["runs"]), _out_of_runs(parsed.values), command, None)
    return _train(parsed.values, command)


def _check(parsed: Parsed) -> None:
    given = parsed.values
    if given["runs"]:
        wrong = sorted(parsed.given & {"env", "agents", "seeds", "steps", "set", "eval-period", "protocol", "num-envs"})
        if wrong:
            raise UserError(f"--runs compares runs that are done, and trains none: leave --{wrong[0]} out")
        return
    for name in ("env", "agents"):
        if not given[name]:
            raise UserError(f"--{name} is missing: as in `{_COMMAND.examples[0]}`; or give finished runs as --runs")
    if given["steps"] is None:
        raise UserError(f"--steps is missing: all agents train for the same, as in `{_COMMAND.examples[0]}`")
    if given["seeds"] > _MOST_SEEDS:
        raise UserError(f"--seeds must be at most {_MOST_SEEDS}, got {given['seeds']}")
    for name, least in (("seeds", 1), ("first-seed", 0), ("steps", 1), ("eval-episodes", 1), ("jobs", 0)):
        if given[name] < least:
            raise UserError(f"--{name} must be at least {least}, got {given[name]}")
    if given["eval-period"] is not None and not 1 <= given["eval-period"] <= given["steps"]:
        raise UserError(f"--eval-period must be between 1 and --steps {given['steps']}, got {given['eval-period']}")
    for name in ("env", "agents"):
        doubles = [value for value in given[name] if given[name].count(value) > 1]
        if doubles:
            raise UserError(f"--{name} has {doubles[0]} twice: leave one of the two out")


# --- Training ---


def _train(given: Mapping[str, Any], command: Sequence[str]) -> int:
    from tengen.checkpoint import RunLock
    from tengen.evaluation.jobs.display import RunsDisplay
    from tengen.evaluation.jobs.runner import num_cores, refuse_other_settings, run_all

    out: Path = given["out"] or _default_out(given)
    jobs = _jobs(given, out)
    refuse_other_settings(jobs)
    references = _look_at_environments(jobs)
    out.mkdir(parents=True, exist_ok=True)
    lock = RunLock(out / "lock", "comparison", "--out")
    with lock, RunsDisplay({job.name: job.config.steps for job in jobs}) as display:
        display.message(f"{len(jobs)} runs in {out}")
        outcome = run_all(jobs, display, num_parallel=given["jobs"] or num_cores())
    if outcome.signal is not None:
        print(
            f"stopped by {signal.Signals(outcome.signal).name}, all runs are saved; the same command goes on",
            file=sys.stderr,
        )
        return 128 + outcome.signal
    labels = {job.folder: job.agent for job in jobs}
    code = _report(given, [*labels], out, command, outcome, references, labels)
    return 1 if outcome.failures else code


def _default_out(given: Mapping[str, Any]) -> Path:
    return Path("comparisons") / f"{'+'.join(_file_name(env) for env in given['env'])}-{given['steps']}"


def _file_name(name: str) -> str:
    return Path(name).stem if name.endswith(".toml") else name.replace("/", "-").replace(":", "-")


def _jobs(given: Mapping[str, Any], out: Path) -> list[Job]:
    """Return every run of the comparison: seed by seed, so that all agents have their first runs first."""
    from tengen.cli.train_command import resolve
    from tengen.evaluation.jobs.runner import Job

    period = given["eval-period"] or sensible_period(given["steps"])
    settings, labels = _settings_of_agents(given), _labels(given["agents"])
    jobs = []
    for seed in range(given["first-seed"], given["first-seed"] + given["seeds"]):
        for env in given["env"]:
            for agent in given["agents"]:
                name, preset = _agent_and_preset(agent, given)
                place = Path(_file_name(env), _file_name(labels[agent]), f"seed_{seed}")
                folder = out / "runs" / place
                start = [name, "--env", env, "--seed", str(seed), "--steps", str(given["steps"])]
                start += ["--eval-period", str(period), "--eval-episodes", str(given["eval-episodes"])]
                start += ["--threads", "1", "--run-dir", str(folder), *preset]
                for option in ("protocol", "num-envs", "device"):
                    start += [] if given[option] is None else [f"--{option}", str(given[option])]
                start += settings.get(agent, [])
                label = labels[agent]
                track = _track_options(given, out, label, env, seed)
                resolved = resolve([*start, *track])
                assert resolved is not None, "no help was asked for"
                if resolved[0].log_period > period:  # or a short run would not say how fast it went
                    start += ["--log-period", str(period)]
                    resolved = resolve([*start, *track]) or resolved
                jobs.append(
                    Job(
                        name=f"{agent} on {env}, seed {seed}",
                        agent=label,
                        folder=folder,
                        config=resolved[0],
                        start=(*start, *track),
                        resume=("--resume", str(folder), *track),
                        log=out / "logs" / place.with_suffix(".log"),
                    )
                )
    return jobs


def _labels(agents: Sequence[str]) -> dict[str, str]:
    """Return what agents are called: preset files by their names, and by their folders too where names are the same."""
    short = {agent: Path(agent).stem if agent.endswith(".toml") else agent for agent in agents}
    shared = {label for label in short.values() if list(short.values()).count(label) > 1}
    labels = {
        agent: f"{Path(agent).resolve().parent.name}-{label}" if agent.endswith(".toml") and label in shared else label
        for agent, label in short.items()
    }
    if len({_file_name(label) for label in labels.values()}) < len(labels):
        raise UserError(f"--agents has several files that would be called the same, {', '.join(shared)}: rename one")
    return labels


def sensible_period(steps: int) -> int:
    """Return the steps between evaluations: 20 to 50 of them, the last at the last step where that can be."""
    points: int
    for points in [25, *range(_FEWEST_POINTS, _MOST_POINTS + 1)]:
        if steps % points == 0:
            return steps // points
    return max(1, steps // 25)


def _agent_and_preset(agent: str, given: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return an agent's registered name, and the options of its preset."""
    if not agent.endswith(".toml"):
        return agent, [] if given["presets"] else ["--preset", "none"]
    from tengen.presets import read_preset_file

    return read_preset_file(Path(agent)).agent, ["--preset", agent]


def _settings_of_agents(given: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the options of `tengen train` that `--set` says, by agent."""
    from tengen.registry import resolve_agent
    from tengen.typed import field_types

    found: dict[str, list[str]] = {}
    for text in rejoined(given["set"]):
        place, equals, value = text.partition("=")
        agent, dot, name = place.partition(".")
        if place.endswith(".toml") or not (equals and dot):
            raise UserError(f"--set takes AGENT.FIELD=VALUE, as in dqn.learning_rate=1e-3, got {text!r}")
        if agent not in given["agents"]:
            hint = did_you_mean(agent, list(given["agents"]))
            raise UserError(f"--set {text}: {agent!r} is none of --agents {', '.join(given['agents'])}.{hint}")
        name = name.replace("-", "_")
        if name in _OF_ALL or name.startswith("track"):
            raise UserError(f"--set {text}: {name} is the comparison's own, the same for all agents")
        own = name in field_types(resolve_agent(agent)[0])
        found.setdefault(agent, []).append(f"--{'agent.' if own else ''}{name.replace('_', '-')}={value}")
    return found


def _look_at_environments(jobs: Sequence[Job]) -> dict[str, dict[str, float]]:
    """Refuse what can't be trained before anything is, and return the best possible score where it is known."""
    from tengen.envs import make_env
    from tengen.evaluation.exact import optimal_return
    from tengen.run.assembly import require_agent_takes

    specs: dict[str, Any] = {}
    references = {}
    first: dict[str, Job] = {}
    for job in jobs:
        settings = job.config.env
        _refuse_another_task(first.setdefault(settings.id, job), job)
        key = json.dumps(dataclasses.asdict(settings), default=str)
        if key not in specs:
            with contextlib.closing(make_env(settings, training=False)) as env:
                specs[key] = env.spec
                optimal = None if settings.id in references else optimal_return(env)
            if optimal is not None:
                references[settings.id] = {"optimal": optimal}
        require_agent_takes(job.config, specs[key])
    return references


def _refuse_another_task(one: Job, other: Job) -> None:
    """Refuse to compare agents that a preset or --set has play by other settings of the same environment."""
    for name in ("kwargs", "action_mask"):
        theirs = getattr(one.config.env, name), getattr(other.config.env, name)
        if theirs[0] != theirs[1]:
            raise UserError(
                f"{one.agent} and {other.agent} would play {one.config.env.id} with different env.{name}, {theirs[0]}"
                f" and {theirs[1]}: give all the same by --set AGENT.env.{name}=..., or compare with --no-presets"
            )


# --- W&B ---


def _group(given: Mapping[str, Any], out: Path) -> str:
    return str(given["track.group"] or out.name)


def _track(given: Mapping[str, Any], out: Path) -> TrackConfig:
    from tengen.config import TrackConfig

    return TrackConfig(
        to="wandb",
        mode=given["track.mode"],
        project=given["track.project"],
        entity=given["track.entity"],
        group=_group(given, out),
    )


def _track_options(given: Mapping[str, Any], out: Path, agent: str, env: str, seed: int) -> list[str]:
    """Return the options of `tengen train` that have a run logged as part of the comparison's group."""
    if given["track"] == "none":
        return []
    from tengen.evaluation.report.wandb_summary import run_track

    track = run_track(_track(given, out), agent, env, seed)
    options = ["--track", "wandb", "--track.mode", track.mode, "--track.project", track.project]
    options += ["--track.group", str(track.group), "--track.job-type", str(track.job_type)]
    options += ["--track.name", str(track.name), "--track.tags", *track.tags]
    return options + ([] if track.entity is None else ["--track.entity", track.entity])


# --- The report ---


def _runs_below(paths: Sequence[Path]) -> list[Path]:
    """Return the runs that paths are or hold, sorted within each.

    Raises:
        UserError: A path does not exist, or holds no run.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"--runs: {path} does not exist")
        below = sorted(config.parent for config in path.rglob("config.json"))
        if not below:
            raise UserError(f"--runs: {path} holds no run: none has a config.json")
        found += [folder for folder in below if folder not in found]
    return found


def _out_of_runs(given: Mapping[str, Any]) -> Path:
    return Path(given["out"] or Path("comparisons") / _file_name(given["runs"][0].resolve().name))


def _report(
    given: Mapping[str, Any],
    folders: Sequence[Path],
    out: Path,
    command: Sequence[str],
    outcome: Outcome | None,
    references: Mapping[str, Mapping[str, float]] | None = None,
    labels: Mapping[Path, str] | None = None,
) -> int:
    from tengen.evaluation.comparison import read_comparison
    from tengen.evaluation.report import write_report
    from tengen.evaluation.report.terminal import brief, summary

    comparison = read_comparison(folders, references=references or {}, labels=labels or {})
    films = _films(given, comparison)
    found = write_report(comparison, out, command=command, films=films)
    if given["track"] == "wandb":
        from tengen.evaluation.report.wandb_summary import log_comparison

        log_comparison(found, out, _track(given, out), films, _say, report=given["track.report"])
    failed = [] if outcome is None else [{"run": f.job.name, "reason": f.reason} for f in outcome.failures]
    if given["json"]:
        print(json.dumps({"out": str(out), "failed": failed, **brief(found)}))
    else:
        print(summary(found))
        for failure in failed:
            print(f"failed: {failure['run']}: {failure['reason']}")
        print(f"{out / 'report.html'}")
    return 0


def _films(given: Mapping[str, Any], comparison: Comparison) -> list[Any]:
    if not given["film"]:
        return []
    from tengen.evaluation.report.median_films import film_median_runs

    return list(film_median_runs(comparison, _say))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
