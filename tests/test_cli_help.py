"""The help of every command, and of every command below one."""

from __future__ import annotations

import pytest

from tengen import registry
from tengen.cli import _COMMANDS, main
from tengen.cli.perceive_command import _VERBS
from tengen.perception.tasks import TASKS

BELOW = {
    "train": registry.names("agents"),
    "plan": registry.names("planners"),
    "play": ["go"],
    "perceive": [*_VERBS, *(f"{verb} {task}" for verb in ("fit", "data") for task in TASKS)],
}
EVERY = ["", *_COMMANDS, *(f"{command} {name}" for command, names in BELOW.items() for name in names)]


@pytest.mark.parametrize("command", EVERY)
def test_a_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: tengen {command.partition(' ')[0]}")
    assert "examples:\n  tengen " in out
    assert not err
