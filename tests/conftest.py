"""What holds for every test: one thread, no network, no display, the same weights, in CI the same examples, too."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import settings

# Before torch is imported: on a busy machine its threads spend their time waiting for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

# No deadline: a test never depends on how busy the machine is.
settings.register_profile("tengen", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "tengen")


@pytest.fixture(autouse=True)
def same_numbers_in_any_order() -> None:
    """Let networks that nothing seeds begin the same, and sums have one order, whichever tests ran before."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(0)
        torch.set_num_threads(1)  # a run in this process may have left more
