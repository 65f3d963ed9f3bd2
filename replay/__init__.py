"""Replay: what happened, kept once and sampled many times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports

if TYPE_CHECKING:
    from tengen.replay.latest import LatestStep
    from tengen.replay.prioritized import PrioritizedReplay
    from tengen.replay.storage import FrameStore
    from tengen.replay.uniform import UniformReplay

__all__ = ["FrameStore", "LatestStep", "PrioritizedReplay", "UniformReplay"]

__getattr__ = lazy_exports(  # numba takes a while to import
    __name__,
    {
        "FrameStore": "tengen.replay.storage",
        "LatestStep": "tengen.replay.latest",
        "PrioritizedReplay": "tengen.replay.prioritized",
        "UniformReplay": "tengen.replay.uniform",
    },
)
