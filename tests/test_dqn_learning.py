from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import dqn_learning
import pytest

pytestmark = pytest.mark.skipif(find_spec("minatar") is None, reason="needs the extra minatar")


def test_both_sides_are_trained_evaluated_alike_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "learning.csv"
    sizes = "--steps 160 --eval-period 80 --episodes 1 --seeds 0"
    dqn_learning.main([*sizes.split(), "--out", str(out)])
    points = dqn_learning.read(out)
    assert [(p.side, p.seed, p.step) for p in points] == [(s, 0, n) for s in ("sb3", "tengen") for n in (80, 160)]
    assert out.with_suffix(".png").stat().st_size > 1000
    before = out.read_text("utf-8")
    capsys.readouterr()
    dqn_learning.main([*sizes.split(), "--out", str(out)])
    assert out.read_text("utf-8") == before
    assert "seed 0:" not in capsys.readouterr().out  # nothing is trained twice


def test_the_settings_are_those_of_the_preset() -> None:
    from tengen.config import check_settings, default_settings, from_short_names, lay_over, make_run_config
    from tengen.presets import get_preset

    preset = check_settings("dqn", from_short_names(get_preset("dqn-minatar").settings, "preset"), "preset")
    config = make_run_config("dqn", lay_over("dqn", default_settings("dqn"), preset))
    assert config.agent_config == dqn_learning.settings(1_000_000)
    assert config.env.num_envs == dqn_learning.NUM_ENVS
