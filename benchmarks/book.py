"""Remakes figures, tables and examples of Sutton & Barto (2018), and holds the numbers against those expected.

Writes OUT/book.csv, ours beside the expected, and a picture for each figure into OUT/book/; prints the table, and exits
with 1 where a gated row is off. A sampled row agrees where the two numbers are within three combined standard errors
and half a unit of the last printed digit.

    python benchmarks/book.py
    python benchmarks/book.py --quick
    python benchmarks/book.py --only gambler cliff --out /tmp/book
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import _book_approximation
import _book_bootstrap
import _book_dyna
import _book_exact
import _book_monte_carlo
import _book_temporal
from _book_rows import Row, off, summary, table, write_csv
from _book_runs import Effort, Item, Result
from _command import non_negative_int

from tengen.cli.guard import guarded

RESULTS = Path(__file__).parent / "results"
ITEMS: tuple[Item, ...] = (
    *_book_exact.ITEMS,
    *_book_monte_carlo.ITEMS,
    *_book_temporal.ITEMS,
    *_book_bootstrap.ITEMS,
    *_book_dyna.ITEMS,
    *_book_approximation.ITEMS,
)
_DPI = 80


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    names = [item.name for item in ITEMS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: minutes")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument(
        "--out",
        type=Path,
        help=f"folder; {RESULTS} unless given; with --quick or --only nothing is written unless given",
    )
    parser.add_argument("--seed", type=non_negative_int, default=0, help="of everything sampled")
    settings = parser.parse_args(argv)
    out = settings.out if settings.out is not None or settings.quick or settings.only else RESULTS
    chosen = [item for item in ITEMS if not settings.only or item.name in settings.only]
    rows = [row for item in chosen for row in run(item, Effort(settings.quick, settings.seed), out)]
    print(f"\n{table(rows)}\n\n{summary(rows)}")
    if out is not None:
        write_csv(out / "book.csv", rows)
        print(f"written: {out / 'book.csv'}, pictures in {out / 'book'}")
    return 1 if off(rows) else 0


def run(item: Item, effort: Effort, out: Path | None) -> list[Row]:
    """Do one item; return its rows."""
    print(f"{item.title} ...", end="", flush=True)
    began = time.perf_counter()
    result = item.make(effort)
    if out is not None and result.draw is not None:
        write_picture(out / "book" / f"{item.name}.png", result)
    rows = [replace(row, item=item.title, seed=effort.seed) for row in result.rows]
    failed = "".join(f", {row.quantity} is off" for row in off(rows))
    print(f" {time.perf_counter() - began:.1f} s{failed}", flush=True)
    return rows


def write_picture(path: Path, result: Result) -> None:
    """Draw a result into a file, with a palette so that it stays small."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    assert result.draw is not None
    figure = Figure(figsize=result.size, layout="constrained")
    FigureCanvasAgg(figure)
    result.draw(figure)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=_DPI)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(image) as drawn:
        drawn.convert("RGB").quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(guarded(main))
