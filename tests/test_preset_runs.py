"""Every preset trains, saves and is evaluated through the command line; how well it learns is for the benchmarks."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tengen.cli import main
from tengen.presets import presets
from tengen.tracking import read_metrics

PRESETS = sorted(presets())
FAMILIES = {"ALE/*": ["ALE/Breakout-v5", "--num-envs", "2"], "MinAtar/*": ["MinAtar/Breakout-v1"]}
SMALL_REPLAY = ["--agent.learn-start", "100", "--agent.replay-capacity", "2000"]
SB3_REPLAY = ["--agent.learning-starts", "100", "--agent.buffer-size", "2000"]
SMALL = {  # likewise, where an agent's settings have other names
    "pqn": [],
    "sb3:a2c": [],
    "sb3:dqn": SB3_REPLAY,
    "sb3:ppo": ["--agent.n-steps", "50", "--agent.batch-size", "50"],
    "sb3:qrdqn": SB3_REPLAY,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains_and_is_evaluated(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preset = presets()[name]
    if preset.env == "LunarLander-v3":
        pytest.importorskip("Box2D", reason="LunarLander-v3 needs Box2D: pip install tengen[box2d]")
    steps = 200 if preset.env == "ALE/*" else 1_500
    arguments = ["--env", *FAMILIES.get(preset.env, [preset.env.replace("*", "")])]
    if preset.env in FAMILIES:
        arguments += SMALL.get(preset.agent, SMALL_REPLAY)
    run = tmp_path / "run"
    arguments += ["--steps", str(steps), "--log-period", "50", "--device", "cpu", "--threads", "1"]
    assert main(["train", preset.agent, *arguments, "--run-dir", str(run)]) == 0
    assert json.loads((run / "config.json").read_text("utf-8"))["preset"] == name
    capsys.readouterr()

    assert main(["evaluate", str(run), "--episodes", "2", "--seed", "0", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert steps <= result["step"] < steps + 64, "the last step of several environments side by side may go past"
    assert result["episodes"] == 2
    assert math.isfinite(result["return_mean"])
    rows = list(read_metrics(run / "metrics.jsonl"))
    losses = [value for row in rows for name, value in row.items() if name.startswith("losses/")]
    assert losses or preset.agent != "dqn"  # tables report none
    assert all(map(math.isfinite, losses))
