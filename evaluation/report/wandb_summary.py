"""A comparison in W&B: its runs are one group, and beside them it is a run itself, with curves, table, page and films.

Start at `log_comparison`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tengen.checkpoint import write_json
from tengen.config import TrackConfig
from tengen.errors import UserError
from tengen.evaluation.report import wandb_report
from tengen.evaluation.report.films import Film
from tengen.run import open_run
from tengen.tracking.jsonl import METRICS_FILE
from tengen.tracking.wandb_tracker import ID_FILE, WandbTracker, why_unreachable

FOLDER = "summary"
"""In the comparison's folder: W&B's files of this run."""

_MARK = "logged.json"  # the digest of what was logged last
_LONGEST_TAG = 64  # of W&B
_OFFLINE = "W&B is offline"


def log_comparison(
    found: Mapping[str, Any],
    out: Path,
    track: TrackConfig,
    films: Sequence[Film],
    message: Callable[[str], None],
    *,
    report: bool = True,
) -> None:
    """Log what is not logged yet: runs, summary, and a Report. Whatever becomes of it, the comparison is in its folder.

    Args:
        found: What `results.json` holds.
        out: The comparison's folder.
        track: Project, entity, group and mode.
        films: Of the median runs.
        message: Shows the user a line.
        report: Whether to make a W&B Report as well.
    """
    places = {
        Path(run["folder"]): run_track(track, agent["name"], task["env"], run["seed"])
        for task in found["tasks"]
        for agent in task["agents"]
        for run in agent["runs"]
    }
    reasons: list[str] = []  # that single runs are offline for: said once

    def other(text: str) -> None:
        if text.startswith(_OFFLINE):
            reasons.append(text.removeprefix(_OFFLINE).partition("; upload later")[0])
        else:
            message(text)

    mirror_missing(places, other)
    log_summary(found, out, replace(track, job_type="comparison", tags=("summary",)), films, other)
    waiting = [folder for folder in (*places, out / FOLDER) if _waits_for_upload(folder)]
    if waiting:
        roots = [out, *(folder for folder in waiting if out not in folder.parents)]
        segments = f"$(find {shlex.join(map(str, roots))} -type d -name 'offline-run-*' | sort)"
        message(f"{_OFFLINE}{next(iter(reasons), '')}; upload later with: wandb sync {segments}")
    if report:
        report_or_say_why_not(found, out, track, message, uploaded=not waiting)


def run_track(track: TrackConfig, agent: str, env: str, seed: int) -> TrackConfig:
    """Return how a run of a comparison is logged: its name, tags and job type."""
    place = env.replace("/", "-").replace(":", "-")
    tags = tuple(tag[:_LONGEST_TAG] for tag in (agent, env))
    return replace(track, job_type="train", name=f"{agent}-{place}-seed{seed}", tags=tags)


def _waits_for_upload(folder: Path) -> bool:
    """Return whether a run has segments that were written offline and not synced, which W&B's tool leaves a mark of."""
    segments = [path for path in (folder / "wandb").glob("offline-run-*") if path.is_dir()]
    return any(not any(segment.glob("*.synced")) for segment in segments)


def report_or_say_why_not(
    found: Mapping[str, Any], out: Path, track: TrackConfig, message: Callable[[str], None], *, uploaded: bool
) -> None:
    """Make the W&B Report, or say in a line when it can be made."""
    if not wandb_report.is_installed():
        message("no W&B Report: pip install 'tengen[wandb-report]', then the same command makes it")
        return
    if not uploaded:
        message("no W&B Report yet: once the runs are uploaded, the same command makes it")
        return
    reason = why_unreachable(track)
    if reason is None:
        try:
            message(f"W&B Report: {wandb_report.make_report(found, out, out / FOLDER, track)}")
            return
        except UserError as error:
            reason = str(error)
        except Exception as error:  # wandb may raise anything
            reason = _first_line(error)
    message(f"no W&B Report ({reason}): the same command makes it once W&B can be reached")


def mirror_missing(tracks: Mapping[Path, TrackConfig], message: Callable[[str], None]) -> None:
    """Log the runs that were trained without W&B from their metrics."""
    for folder, track in tracks.items():
        if (folder / ID_FILE).exists() or not (folder / METRICS_FILE).exists():
            continue
        run = open_run(folder)
        try:
            WandbTracker(track, folder, run.config.to_dict(), resume_step=run.config.steps, message=message).close()
        except Exception as error:  # wandb may raise anything, and the run is in its folder
            message(f"warning: {folder} was not logged to W&B ({_first_line(error)})")


def log_summary(
    found: Mapping[str, Any], out: Path, track: TrackConfig, films: Sequence[Film], message: Callable[[str], None]
) -> None:
    """Log a comparison's results, unless the same results were logged before.

    Args:
        found: What `results.json` holds.
        out: The comparison's folder.
        track: Project, group and the like.
        films: Of the median runs.
        message: Shows the user a line.
    """
    folder = out / FOLDER
    digest = wandb_report.results_digest(found)
    mark = folder / _MARK
    if mark.exists() and digest in mark.read_text(encoding="utf-8"):
        return
    folder.mkdir(exist_ok=True)
    (folder / ID_FILE).unlink(missing_ok=True)  # other results are another run, beside the one before
    config = {
        "agents": found["agents"],
        "tasks": [task["name"] for task in found["tasks"]],
        "command": found["command"],
    }
    try:
        tracker = WandbTracker(track, folder, config, run_name=f"{out.name} summary", message=message)
        try:
            for step, row in curve_rows(found):
                tracker.write(step, row)
            tracker.log_extra(_media(found, out, films))
        finally:
            tracker.close()
    except Exception as error:  # wandb may raise anything, and everything is in the folder
        message(f"warning: the summary was not logged to W&B ({_first_line(error)}); {out} has all of it")
    else:
        write_json(mark, {"sha256": digest})


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def curve_rows(found: Mapping[str, Any]) -> list[tuple[int, dict[str, float]]]:
    """Return the mean learning curves, by step: each agent's on each task under a name of its own."""
    rows: dict[int, dict[str, float]] = {}
    several = len(found["tasks"]) > 1
    for task in found["tasks"]:
        prefix = f"{task['name']}/" if several else ""
        for agent in task["agents"]:
            for step, mean in zip(agent["curve"]["steps"], agent["curve"]["mean"], strict=True):
                if mean is not None:
                    rows.setdefault(int(step), {})[f"curves/{prefix}{agent['name']}"] = float(mean)
    return sorted(rows.items())


def _media(found: Mapping[str, Any], out: Path, films: Sequence[Film]) -> dict[str, Any]:
    import wandb

    table = wandb.Table(columns=["task", "agent", "runs", "mean", "low", "high", "iqm", "seconds"])
    for task in found["tasks"]:
        for agent in task["agents"]:
            scores = agent["scores"]
            cells = [
                task["name"],
                agent["name"],
                len(agent["runs"]),
                *scores["mean"],
                scores["iqm"][0],
                agent["seconds"],
            ]
            table.add_data(*cells)
    verdicts = wandb.Table(columns=["verdict"], data=[[sentence] for sentence in found["verdicts"]])
    media: dict[str, Any] = {"comparison/scores": table, "comparison/verdicts": verdicts}
    if (out / "curves.png").exists():
        media["comparison/curves"] = wandb.Image(str(out / "curves.png"))
    if (out / "report.html").exists():
        media["comparison/report"] = wandb.Html((out / "report.html").read_text(encoding="utf-8"))
    for film in films:
        if film.path.suffix.lower() == ".gif":
            media[f"videos/{film.agent} on {film.task}"] = wandb.Video(str(film.path), format="gif")
    return media
