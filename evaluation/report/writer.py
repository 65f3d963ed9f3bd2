"""Writes what a comparison found: a page, the numbers, a picture, and tables for elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tengen.checkpoint.files import replace
from tengen.errors import UserError
from tengen.evaluation.comparison.comparison import Comparison
from tengen.evaluation.comparison.findings import results
from tengen.evaluation.report.films import Film, median_films
from tengen.evaluation.report.page.document import page
from tengen.evaluation.report.picture import curves_figure
from tengen.evaluation.report.tables import csv_files, markdown
from tengen.evaluation.statistics import RESAMPLES
from tengen.typed import finite


def write_report(
    comparison: Comparison,
    out: Path,
    *,
    command: Sequence[str] = (),
    films: Sequence[Film] | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Write everything into a folder, each file at one instant, and return what `results.json` holds.

    | file | holds |
    |---|---|
    | `results.json` | all numbers, schema `tengen.comparison/1` |
    | `report.html` | the page: one file, that asks no network for anything |
    | `curves.png` | learning curves |
    | `table.md` | the verdicts and the final scores for a README |
    | `runs.csv`, `scores.csv`, `pairs.csv`, `curves.csv` | one row for each run, agent, pair, and point of a curve |

    Args:
        comparison: What `read_comparison` returned.
        out: The folder; made if it is missing.
        command: The command line that makes the comparison again.
        films: Of what to show; those of the median runs, as they lie in their folders, unless given.
        resamples: Of each bootstrap.

    Raises:
        UserError: The folder can't be written.
    """
    from tengen.evaluation.drawing import plain, save

    found = {**results(comparison, resamples=resamples), "command": list(command)}
    films = median_films(comparison, found) if films is None else films
    files = {
        "results.json": _readable(found),
        "report.html": page(found, films),
        "table.md": markdown(found),
        **csv_files(found),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            replace(out / name, text.encode("utf-8", "replace"))
    except OSError as error:
        raise UserError(
            f"the report can't be written to {out}: {error.strerror or error}; choose another --out"
        ) from error
    with plain():
        save(curves_figure(found), out / "curves.png")
    return found


def _readable(found: Mapping[str, Any]) -> str:
    """Return JSON with a line for each field, and a list of numbers on one line."""
    text = json.dumps(finite(found), indent=1, allow_nan=False)  # an infinite setting is no number of JSON's
    return re.sub(r"\[[^\[\]{}\"]*\]", lambda numbers: " ".join(numbers[0].split()), text) + "\n"
