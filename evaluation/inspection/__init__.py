"""Pictures of what a run has learnt: start at `pictures.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports

if TYPE_CHECKING:
    from tengen.evaluation.inspection.pictures import Subject, draw

__all__ = ["Subject", "draw"]

__getattr__ = lazy_exports(
    __name__,
    {
        "Subject": "tengen.evaluation.inspection.pictures",
        "draw": "tengen.evaluation.inspection.pictures",
    },
)
