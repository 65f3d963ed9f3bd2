"""The curves of `dqn_ablation.py`: panels one above the other, narrow enough for a phone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from _ablation_tasks import ARMS

from tengen.types import Floats, Ints

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 110
_WIDTH, _HEIGHT = 6.4, 4.6  # inches, of a panel


class Curve(NamedTuple):
    """A curve and the band about it, at X steps."""

    steps: Ints  # [X]
    middle: Floats  # [X]
    low: Floats  # [X]
    high: Floats  # [X]


class Panel(NamedTuple):
    """What is drawn of a task.

    Attributes:
        title: Above it.
        label: Of the vertical axis.
        curves: By arm.
        limits: Of the vertical axis; None: a logarithmic one that has room for all.
        line: A height to mark, and its name.
    """

    title: str
    label: str
    curves: Mapping[str, Curve]
    limits: tuple[float, float] | None = None
    line: tuple[float, str] | None = None


def draw(path: Path, panels: Sequence[Panel]) -> None:
    """Draw panels into a file, with a palette so that it stays small."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(_WIDTH, _HEIGHT * len(panels)), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        draw_panel(axes, panel)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=_DPI)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(image) as drawn:
        drawn.convert("RGB").quantize(256).save(path, optimize=True)


def draw_panel(axes: Axes, panel: Panel) -> None:
    """Draw the curves of a panel; the first arm, DQN itself, lies on top."""
    for number, (name, curve) in enumerate(panel.curves.items()):
        arm = ARMS[name]
        every = max(len(curve.steps) // 6, 1)
        axes.plot(
            curve.steps,
            curve.middle,
            color=arm.color,
            marker=arm.marker,
            markevery=(number % every, every),  # so that markers of curves on one another stand side by side
            ms=7,
            lw=2.2,
            label=arm.label,
            zorder=3 - 0.1 * number,
        )
        axes.fill_between(curve.steps, curve.low, curve.high, color=arm.color, alpha=0.13, lw=0)
    if panel.limits is None:
        axes.set_yscale("log")
    else:
        low, high = panel.limits
        axes.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))
    if panel.line is not None:
        axes.axhline(panel.line[0], color="0.35", ls="--", lw=1.5, label=panel.line[1])
    axes.set_title(panel.title, fontsize=13)
    axes.set_xlabel("environment steps", fontsize=12)
    axes.set_ylabel(panel.label, fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=11, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False)
