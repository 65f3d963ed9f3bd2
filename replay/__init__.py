"""Replay: what happened, kept once and sampled many times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tengen.replay.uniform import UniformReplay

__all__ = ["UniformReplay"]


def __getattr__(name: str) -> Any:  # lazily: numba takes a while to import
    if name == "UniformReplay":
        from tengen.replay.uniform import UniformReplay

        return UniformReplay
    raise AttributeError(f"module 'tengen.replay' has no attribute {name!r}")
