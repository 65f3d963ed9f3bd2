"""What this machine computes on."""

from __future__ import annotations

import os

from tengen.errors import UserError

_MOST_THREADS = 4  # small batches gain nothing from more


def resolve_device(device: str, *, uses_torch: bool = True) -> str:
    """Return the device to compute on: auto takes CUDA where torch sees it.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N".
        uses_torch: Whether there is anything to compute on another device; without it, auto is the processor.

    Raises:
        UserError: There is no such device.
    """
    kind, _, index = device.partition(":")
    if device != "auto" and (kind not in ("cpu", "cuda") or (index and (kind == "cpu" or not index.isdecimal()))):
        raise UserError(f"--device must be auto, cpu, cuda or cuda:N, got {device!r}")
    if device == "cpu" or (device == "auto" and not uses_torch):
        return "cpu"
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if count else "cpu"
    if int(index or 0) >= count:
        raise UserError(f"--device {device}: torch sees {count} CUDA devices; use --device auto or cpu")
    return device


def resolve_threads(threads: int) -> int:
    """Return the number of threads: 0 takes all the processor's cores, up to 4."""
    if threads != 0:
        return threads
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MOST_THREADS, cores)
