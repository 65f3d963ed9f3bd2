"""Looking for good settings: start at `sweep.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports

if TYPE_CHECKING:
    from tengen.evaluation.sweep.sweep import Sweep

__all__ = ["Sweep"]

__getattr__ = lazy_exports(
    __name__,
    {
        "Sweep": "tengen.evaluation.sweep.sweep",
    },
)
