from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys

import pytest

from tengen.tracking.progress import LINE_PERIOD, Progress


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_elsewhere_than_on_a_terminal_it_is_a_line_at_once_and_then_one_each_period() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(1000, stream=stream, clock=clock)
    for step in range(10, 301, 10):
        clock.now += 1.0
        progress.write(step, {"charts/episodic_return": float(step)})
    lines = stream.getvalue().splitlines()
    assert [line.split(" ·")[0] for line in lines] == [
        f"step {step}/1,000 ({step // 10}%)" for step in (10, 10 + 10 * int(LINE_PERIOD), 10 + 20 * int(LINE_PERIOD))
    ]
    progress.close()


def test_a_line_shows_the_last_values_seen_and_the_remaining_time() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(10_000, start_step=4_000, stream=stream, clock=clock)
    progress.write(4_000, {"charts/epsilon": 0.5})
    clock.now += 10.0
    progress.write(5_000, {"charts/episodic_return": 21.0})
    clock.now += 10.0
    progress.write(6_000, {"losses/loss": 0.0125})
    assert stream.getvalue().splitlines()[-1] == (
        "step 6,000/10,000 (60%) · 100 steps/s · return 21 · epsilon 0.5 · loss 0.0125 · 0:40 left"
    )
    progress.close()


def test_what_passes_before_the_first_row_does_not_count_as_training() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(100, stream=stream, clock=clock)
    clock.now += 1_000.0
    progress.write(20, {})
    clock.now += 10.0
    progress.write(40, {})
    assert stream.getvalue() == "step 20/100 (20%)\nstep 40/100 (40%) · 2 steps/s · 0:30 left\n"
    progress.close()


def test_the_speed_that_the_run_measured_is_shown_if_it_did() -> None:
    stream = io.StringIO()
    progress = Progress(10_000, stream=stream, clock=Clock())
    progress.write(1_000, {"charts/SPS": 2.5})
    progress.close()
    assert stream.getvalue() == "step 1,000/10,000 (10%) · 2 steps/s · 1:00:00 left\n"


def test_closing_shows_where_it_ended_once() -> None:
    stream = io.StringIO()
    progress = Progress(20, stream=stream)
    progress.write(10, {})
    progress.write(20, {})
    progress.close()
    progress.close()
    assert [line.split(" ·")[0] for line in stream.getvalue().splitlines()] == ["step 10/20 (50%)", "step 20/20 (100%)"]


def test_a_run_that_did_nothing_shows_nothing() -> None:
    stream = io.StringIO()
    Progress(20, start_step=20, stream=stream).close()
    assert stream.getvalue() == ""


def test_a_message_is_a_line_of_its_own() -> None:
    stream = io.StringIO()
    progress = Progress(20, stream=stream)
    progress.message("saved [step 3]")
    progress.close()
    assert stream.getvalue() == "saved [step 3]\n"


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("I/O operation on closed file")])
def test_a_reader_that_has_gone_does_not_end_the_training(error: Exception) -> None:
    class Gone(io.StringIO):
        calls = 0

        def write(self, text: str) -> int:
            self.calls += 1
            raise error

    stream = Gone()
    progress = Progress(20, stream=stream)
    progress.write(1, {})
    progress.message("hello")
    progress.write(20, {})
    progress.close()
    assert stream.calls == 1


def test_by_default_it_is_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(20)
    progress.write(20, {})
    progress.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("step 20/20")


PROGRAM = """
import sys
from tengen.tracking import Progress
progress = Progress(1000)
for step in range(100, 1001, 100):
    progress.write(step, {"charts/episodic_return": float(step), "charts/SPS": 50.0})
    if step == 500:
        progress.message("saved [step 500]")
        print("half", flush=True)
progress.close()
print("result", "rich" in sys.modules)
"""


def run_on_terminal(term: str) -> tuple[str, str]:
    """Return standard output, and what a terminal at standard error was sent."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": term, "COLUMNS": "120"}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # how Linux says that the other side has closed
        pass
    os.close(ours)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, shown
    return out.decode(), shown.decode()


def test_on_a_terminal_it_is_a_bar_and_standard_output_stays_clean() -> None:
    out, shown = run_on_terminal("xterm-256color")
    assert out == "half\nresult True\n"
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert "━━━" in text
    assert "1000/1000" in text
    assert "return 1000" in text
    assert "saved [step 500]\r\n" in text
    assert shown.rstrip().endswith("\x1b[?25h"), "the cursor must be shown again"


def test_a_dumb_terminal_gets_plain_lines_and_rich_is_not_imported() -> None:
    out, shown = run_on_terminal("dumb")
    assert out == "half\nresult False\n"
    assert shown.startswith("step 100/1,000 (10%) · 50 steps/s · return 100 · 0:18 left\r\n")
    assert "\x1b" not in shown
