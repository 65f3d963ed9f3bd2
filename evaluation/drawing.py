"""What all pictures share: sizes, colours, and how a file is written. Without pyplot: no window, no global state."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure

from tengen.evaluation.picture_file import UNDATED, check_name, write
from tengen.types import Array, Floats

VALUES: Colormap = mpl.colormaps["viridis"]
PROBABILITIES: Colormap = mpl.colormaps["Purples"]
LEGEND: dict[str, Any] = {
    "frameon": False,
    "fontsize": "small",
    "title_fontsize": "small",
    "handlelength": 1.4,
    "columnspacing": 1.2,
}
"""Settings of every legend."""

_DOTS = 110  # per inch
_FEW = ((0.97, 0.91, 0.80), (0.44, 0.63, 0.82), (0.80, 0.47, 0.43))  # colours of up to three actions


@contextmanager
def plain() -> Iterator[None]:
    """Draw by matplotlib's own defaults, whatever the user's matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({"svg.hashsalt": "tengen", "font.size": 9.0, "axes.titlesize": 9.0, "savefig.dpi": _DOTS})
        yield


def new_figure(width: float, height: float, title: str) -> Figure:
    """Return an empty figure of a size in inches that arranges its axes by itself."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=10)
    return figure


def limits(values: Floats) -> Normalize:
    """Return the range of some values, of which NaN don't count."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    margin = 0.5 if low == high else 0.0
    return Normalize(low - margin, high + margin)


def action_colours(num_actions: int) -> Colormap:
    """Return a colour for each action."""
    if num_actions <= len(_FEW):
        return ListedColormap(_FEW[:num_actions])
    return ListedColormap(mpl.colormaps["Spectral"](np.linspace(0.05, 0.95, num_actions)))


def ink(background: Array) -> Array:
    """Return black or white, whichever can be read on each colour [..., 3 or 4]: [..., 3]."""
    brightness = background[..., :3] @ np.array([0.299, 0.587, 0.114])
    return np.where((brightness > 0.5)[..., None], 0.0, 1.0) * np.ones(3)


def numerals(values: Floats) -> list[str]:
    """Return numbers as short texts with equally many decimals."""
    known = values[np.isfinite(values)]
    largest = float(np.abs(known).max()) if known.size else 0.0
    whole = bool((np.abs(known - known.round()) < 1e-6).all())
    places = 0 if whole or largest >= 99.5 else 1 if largest >= 9.95 else 2 if largest >= 0.0995 else 3
    return [f"{value:.{places}f}".replace("-0." + "0" * places, "0." + "0" * places) for value in values + 0.0]


def save(figure: Figure, path: Path) -> None:
    """Write a figure to a file at one instant; the same figure gives the same bytes.

    Raises:
        UserError: The file can't be written, or its name ends in something else than `picture_file.UNDATED` names.
    """
    check_name(path)
    kind = path.suffix.lower()
    figure.draw_without_rendering()  # the layout knows all labels' widths only the second time
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind.removeprefix("."), metadata=UNDATED[kind])
    write(path, buffer.getvalue())
