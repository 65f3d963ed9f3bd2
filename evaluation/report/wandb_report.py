"""A comparison as a W&B Report: verdicts, tables and charts of the runs, made by code (extra `wandb-report`).

A Report lies on W&B's server, so it is made once that can be reached and has the runs. What was made is remembered in
the comparison's folder: the same results make no second Report, and one that somebody has edited is not written over.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tengen.checkpoint import write_json
from tengen.config import TrackConfig
from tengen.errors import UserError
from tengen.evaluation.comparison.finished import SCORE, TRAINING_SCORE
from tengen.evaluation.report.tables import escaped, note_list, task_table
from tengen.evaluation.report.words import setting_text
from tengen.tracking.rows import STEP_KEY, TIME_KEY
from tengen.tracking.wandb_tracker import saved_id

if TYPE_CHECKING:
    from wandb_workspaces.reports import v2 as wr

MARK = "report.json"
"""In the folder of the comparison's own W&B run: the Report that was made last."""

_LONGEST_TITLE = 128  # of W&B
_FULL, _HALF, _HEIGHT = 24, 12, 10  # of a panel, in W&B's grid


def is_installed() -> bool:
    """Return whether the extra is there."""
    return importlib.util.find_spec("wandb_workspaces") is not None


def make_report(found: Mapping[str, Any], out: Path, summary: Path, track: TrackConfig) -> str:
    """Make a Report of a comparison on W&B's server, unless these results have one; return its address.

    Args:
        found: What `results.json` holds.
        out: The comparison's folder.
        summary: The folder of the comparison's own W&B run.
        track: Project and entity, where the runs are.

    Raises:
        UserError: The server has no such project yet.
        Exception: Whatever wandb raises where the server can't be reached, or refuses.
    """
    import wandb
    from wandb_workspaces.reports import v2 as wr

    digest = results_digest(found)
    made = _read_mark(summary / MARK)
    if made.get("sha256") == digest:
        return str(made["url"])
    entity = track.entity or str(wandb.Api().default_entity)
    report = wr.Report(
        project=track.project,
        entity=entity,
        title=_title(found, out),
        description=f"Made by tengen compare of {len(found['agents'])} agents.",
        blocks=report_blocks(found, saved_id(summary), entity, track.project),
        width="fluid",
    )
    try:
        report.save()
    except ValueError as error:  # wandb-workspaces asks for the project before it makes it
        if "not found" not in str(error):
            raise
        raise UserError(f"W&B has no project {entity}/{track.project} yet: upload the runs first") from error
    write_json(summary / MARK, {"sha256": digest, "url": report.url})
    return str(report.url)


def results_digest(found: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a comparison's results, whatever command they were last looked at with."""
    told = {name: value for name, value in found.items() if name != "command"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _read_mark(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and "url" in found else {}


def _title(found: Mapping[str, Any], out: Path) -> str:
    text = f"{out.name}: {', '.join(found['agents'])}"
    return text if len(text) <= _LONGEST_TITLE else text[: _LONGEST_TITLE - 3] + "..."


def report_blocks(found: Mapping[str, Any], summary_id: str | None, entity: str, project: str) -> list[Any]:
    """Return a Report's blocks: words first, then for each task its table and charts.

    Args:
        found: What `results.json` holds.
        summary_id: W&B's id of the comparison's own run, None where it was not logged.
        entity: The user or team.
        project: The project that holds the runs.
    """
    from wandb_workspaces.reports import v2 as wr

    blocks: list[Any] = [wr.H1("What the evidence says"), wr.MarkdownBlock(note_list(found["verdicts"]) or "Nothing.")]
    if found["notes"]:
        blocks += [wr.H2("Notes"), wr.MarkdownBlock(note_list(found["notes"]))]
    for task in found["tasks"]:
        blocks += [wr.H1(task["name"]), wr.MarkdownBlock("\n".join(task_table(task)))]
        runs = _runs(task, entity, project)
        if runs:
            blocks.append(wr.PanelGrid(runsets=runs, panels=[*_curves()]))
        if task["settings_differences"]:
            blocks += [wr.H2("Settings that differ"), wr.MarkdownBlock(_settings(task))]
    if summary_id is not None:
        blocks += [wr.H1("The comparison's own run"), _summary_grid(found, summary_id, entity, project)]
    blocks += [wr.H1("How it was made"), wr.CodeBlock(shlex.join(found["command"]), language=None)]
    return blocks


def _runs(task: Mapping[str, Any], entity: str, project: str) -> list[wr.Runset]:
    """Return a set of runs for each agent, found by their ids, whatever they are called and tagged."""
    from wandb_workspaces.reports import v2 as wr

    sets = []
    for agent in task["agents"]:
        ids = [own for run in agent["runs"] if (own := saved_id(Path(run["folder"]))) is not None]
        if ids:
            name = f"{agent['name']} ({len(ids)} runs)"
            sets.append(wr.Runset(entity, project, name, filters=_one_of(ids), groupby=["run.tags"]))
    return sets


def _one_of(ids: Sequence[str]) -> str:
    return f"ID in [{', '.join(repr(own) for own in ids)}]"


def _curves() -> list[wr.LinePlot]:
    """Return the charts of a task's runs: a line for each agent, the mean of its runs, and from least to greatest."""
    from wandb_workspaces.reports import v2 as wr

    def chart(title: str, x: str, y: str, layout: wr.Layout) -> wr.LinePlot:
        band: dict[str, Any] = {"groupby_aggfunc": "mean", "groupby_rangefunc": "minmax", "smoothing_type": "none"}
        return wr.LinePlot(title=title, x=x, y=[y], title_x=x, title_y=y, layout=layout, **band)

    return [
        chart("Separate evaluations, over steps", STEP_KEY, SCORE, wr.Layout(0, 0, _HALF, _HEIGHT)),
        chart("Separate evaluations, over seconds of training", TIME_KEY, SCORE, wr.Layout(_HALF, 0, _HALF, _HEIGHT)),
        chart(
            "Training's own episodes, exploring: in no score",
            STEP_KEY,
            TRAINING_SCORE,
            wr.Layout(0, _HEIGHT, _FULL, _HEIGHT),
        ),
    ]


def _summary_grid(found: Mapping[str, Any], summary_id: str, entity: str, project: str) -> wr.PanelGrid:
    """Return the panels of what `wandb_summary.py` logs: picture, table and films."""
    from wandb_workspaces.reports import v2 as wr

    films = [f"videos/{agent['name']} on {task['name']}" for task in found["tasks"] for agent in task["agents"]]
    return wr.PanelGrid(
        runsets=[wr.Runset(entity, project, "comparison", filters=_one_of([summary_id]))],
        panels=[
            wr.MediaBrowser(media_keys=["comparison/curves"], layout=wr.Layout(0, 0, _HALF, _HEIGHT)),
            wr.WeavePanelSummaryTable(table_name="comparison/scores", layout=wr.Layout(_HALF, 0, _HALF, _HEIGHT)),
            wr.MediaBrowser(media_keys=films, layout=wr.Layout(0, _HEIGHT, _FULL, _HEIGHT)),
        ],
    )


def _settings(task: Mapping[str, Any]) -> str:
    """Return a table of the settings in which agents differ."""
    agents = [agent["name"] for agent in task["agents"]]
    lines = [["setting", *agents], ["---"] * (1 + len(agents))]
    for name, values in task["settings_differences"].items():
        lines.append([name, *(setting_text(values[agent]) if agent in values else "" for agent in agents)])
    cells = [[cell if k == 1 else escaped(cell) for cell in line] for k, line in enumerate(lines)]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)
