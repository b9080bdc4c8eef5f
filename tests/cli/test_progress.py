"""How far a long step is, told in plain lines, also by a process that another one waits for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sweep.cli.progress import show_progress
from sweep.results.fresh_process import run_afresh

GATED = """
import pathlib, sys, time
print("a result")
print("waiting", file=sys.stderr, flush=True)
deadline_s = time.monotonic() + 60
while not pathlib.Path(sys.argv[1]).exists():
    assert time.monotonic() < deadline_s, "nobody heard"
    time.sleep(0.01)
sys.exit("the last line")
"""


def test_plain_lines_tell_the_time_left_of_each_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At most every 10 s; a second pass over as many events is not slowed down by the first."""
    clock_s = 100.0
    monkeypatch.setattr("time.monotonic", lambda: clock_s)
    with show_progress("judging") as progress:
        for done, later_s in ((10, 9), (20, 9), (100, 72), (5, 5), (10, 5), (15, 5)):
            clock_s += later_s
            progress(done, 100)
    assert capsys.readouterr().err.splitlines() == [
        "judging: 20 of 100, 1m 12s left",
        "judging: 100 of 100, 0s left",
        "judging: 10 of 100, 1m 30s left",
    ]


def test_short_work_tells_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Done before anybody asks."""
    with show_progress("judging") as progress:
        for done in range(101):
            progress(done, 100)
    assert capsys.readouterr().err == ""


def test_process_is_heard_while_it_runs(tmp_path: Path) -> None:
    """It goes on only when its first line was heard; its output and its end are kept."""
    heard = []

    def report(line: str) -> None:
        heard.append(line)
        (tmp_path / "gate").touch()

    finished = run_afresh([sys.executable, "-c", GATED, str(tmp_path / "gate")], report, {})
    assert heard == ["waiting", "the last line"]
    assert (finished.code, finished.output) == (1, "a result\n")
    assert finished.last_line == "the last line"
