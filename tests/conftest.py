"""What holds for every test: nothing reaches the network or a display, and hypothesis draws the same examples in CI."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

# No deadline: a test never depends on how busy the machine is.
settings.register_profile("tengen", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "tengen")
