"""Finished runs side by side, and all numbers that they give: start at `comparison.py`, then `findings.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports

if TYPE_CHECKING:
    from tengen.evaluation.comparison.comparison import Comparison, read_comparison
    from tengen.evaluation.comparison.findings import results
    from tengen.evaluation.comparison.finished import read_run

__all__ = ["Comparison", "read_comparison", "read_run", "results"]

__getattr__ = lazy_exports(
    __name__,
    {
        "Comparison": "tengen.evaluation.comparison.comparison",
        "read_comparison": "tengen.evaluation.comparison.comparison",
        "read_run": "tengen.evaluation.comparison.finished",
        "results": "tengen.evaluation.comparison.findings",
    },
)
