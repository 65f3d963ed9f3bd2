"""Comparisons on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports

if TYPE_CHECKING:
    from tengen.evaluation.report.writer import write_report

__all__ = ["write_report"]

__getattr__ = lazy_exports(__name__, {"write_report": "tengen.evaluation.report.writer"})
