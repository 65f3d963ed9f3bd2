"""What holds on a CUDA device as on the processor. CI has none: run these by hand where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from run_helpers import cartpole, digest, in_two, rows

from tengen.run import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_on_cuda_a_run_in_two_halves_equals_one_that_never_stopped(tmp_path: Path) -> None:
    config = cartpole(800, device="cuda")
    train(config, tmp_path / "one")
    in_two(config, 400, tmp_path / "two")
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
