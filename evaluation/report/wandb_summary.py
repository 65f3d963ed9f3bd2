"""A comparison as a run of its own in its W&B group: curves as history, and table, page, picture and films beside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tengen.checkpoint import write_json
from tengen.config import TrackConfig
from tengen.evaluation.report.films import Film
from tengen.run import open_run
from tengen.tracking.jsonl import METRICS_FILE
from tengen.tracking.wandb_tracker import ID_FILE, WandbTracker

FOLDER = "summary"
"""In the comparison's folder: W&B's files of this run."""

_MARK = "logged.json"  # the digest of what was logged last


def mirror_missing(
    folders: Sequence[Path], track: Callable[[Path], TrackConfig], message: Callable[[str], None]
) -> None:
    """Log the runs that were trained without W&B from their metrics."""
    for folder in folders:
        if (folder / ID_FILE).exists() or not (folder / METRICS_FILE).exists():
            continue
        run = open_run(folder)
        try:
            WandbTracker(
                track(folder), folder, run.config.to_dict(), resume_step=run.config.steps, message=message
            ).close()
        except Exception as error:  # wandb may raise anything, and the run is in its folder
            message(f"warning: {folder} was not logged to W&B ({error})")


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
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
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
        message(f"warning: the summary was not logged to W&B ({error}); {out} has all of it")
    else:
        write_json(mark, {"sha256": digest})


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
