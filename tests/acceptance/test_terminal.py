"""What a person sees at a terminal: a real one, whose screen is read."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyte
import pytest
from workers import end_trial, take

import forks
from sweep.storage.claims import begin_claimed
from sweep.storage.epochs import record_epochs
from sweep.storage.tables import Epoch
from sweep.storage.workers import Usage, enter_worker, leave_worker, see_worker
from sweep.trial.session import Session

NUM_WORKERS = 16
PATIENCE_S = 60.0
EPOCH = Epoch(1, 24, 0.2, 0.1234, 12, 30, 20, 30, 6, 1e-3, 0.5)


class Terminal:
    """A terminal of some size with one command in it."""

    def __init__(self, folder: Path, *command: str, columns: int = 80, **settings: str) -> None:
        self.screen = pyte.Screen(columns, 30)
        self.stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.side, end = pty.openpty()
        self.resize(columns)
        settings = {"TERM": "xterm-256color", **settings}
        self.process = forks.start(command, [end] * 3, folder, settings, is_session=True)
        os.close(end)

    def resize(self, columns: int) -> None:
        """Give the window another width."""
        fcntl.ioctl(self.side, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.screen.resize(columns=columns)

    def read_lines(self) -> list[str]:
        """Read the lines of the screen that hold something."""
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def follow(self, is_there: Callable[[list[str]], bool]) -> list[str]:
        """Let the command write until the screen shows something; gives its lines."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_there(self.read_lines()):
            assert self._take(deadline_s - time.monotonic()), "\n".join(self.read_lines())
        return self.read_lines()

    def end(self) -> list[str]:
        """Let the command write until it ends; gives the lines that stay."""
        while self._take(PATIENCE_S):
            pass
        assert self.process.wait(PATIENCE_S) == 0, "\n".join(self.read_lines())
        return self.read_lines()

    def close(self) -> None:
        """End what is left of it."""
        self.process.kill()
        self.process.wait()
        os.close(self.side)

    def _take(self, timeout_s: float) -> bool:
        if not select.select([self.side], [], [], max(0.0, timeout_s))[0]:
            return False
        try:
            some = os.read(self.side, 65536)
        except OSError:  # the command has ended
            return False
        self.written += some
        self.stream.feed(some)
        return True


@pytest.fixture
def open_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Terminal]]:
    """Run a command in a terminal, which is closed at the end."""
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    opened = []

    def run(*command: str, **options: Any) -> Terminal:
        opened.append(Terminal(tmp_path, *command, **options))
        return opened[-1]

    yield run
    for terminal in opened:
        terminal.close()


@pytest.fixture
def crowded(make_session: Callable[..., Session], sqlite_url: str) -> str:
    """A sweep of one finished trial, and 16 workers with long names, each at its own."""
    session = make_session(sqlite_url, trials=NUM_WORKERS + 1, sampler="random")
    for number in range(NUM_WORKERS + 1):
        name = f"gpu{number:02d}.cluster.of.some.institute.example.org:{1000 + number}:00-{number}"
        enter_worker(session.engine, name, "gpu 0, NVIDIA H100 80GB HBM3")
        see_worker(session.engine, name, Usage(2_000_000_000, 1_500_000_000, 0.84))
        if number == 0:
            end_trial(session, {"hidden_size": 4}, [EPOCH], worker=name)
            leave_worker(session.engine, name)
            continue
        claim = take(session, name)
        begin_claimed(session.engine, claim, number, {"hidden_size": 4})
        record_epochs(session.engine, claim, [EPOCH])
    return sqlite_url


def list_trials(lines: list[str]) -> list[str]:
    """Give the lines of trials: their number, how far they are, and the three metrics."""
    return [
        line
        for line in lines
        if re.match(r"\d+ +1/3 +(?:2\.0 GB, GPU 84 %, 1\.5 GB +)?0\.1234 +0\.600 +0\.500 ", line)
    ]


def test_live_view_holds_with_many_workers(
    open_terminal: Callable[..., Terminal], crowded: str
) -> None:
    """One line each at 80 columns, cut where it is too long, none wrapped."""
    terminal = open_terminal("status", "--watch", "--storage", crowded)
    lines = terminal.follow(lambda lines: len(list_trials(lines)) == NUM_WORKERS)
    assert lines[0].startswith(f"1 of {NUM_WORKERS + 1} trials, 0 pruned")
    assert lines[1] == "best: trial 0, loss 0.1234, efficiency 0.600, 0.500 FP / event"
    assert len(lines) == NUM_WORKERS + 3
    assert lines[3].startswith("1      1/3    2.0 GB, GPU 84 %, 1.5 GB  0.1234  0.600")


def test_live_view_survives_a_resize(open_terminal: Callable[..., Terminal], crowded: str) -> None:
    """Narrower, then wider: soon a frame stands there that fits, with nothing after it."""
    terminal = open_terminal("status", "--watch", "--storage", crowded)
    terminal.follow(lambda lines: len(list_trials(lines)) == NUM_WORKERS)
    for columns, device in ((60, "gpu 0,…"), (120, "gpu 0, NVIDIA H100 80GB HBM3")):
        terminal.resize(columns)
        rows = terminal.follow(
            lambda lines, device=device: (
                len(list_trials(lines[-NUM_WORKERS:])) == NUM_WORKERS
                and all(line.endswith(device) for line in lines[-NUM_WORKERS:])
            )
        )
        assert any(line.startswith("1 of 17 trials") for line in rows[:-NUM_WORKERS])


@pytest.mark.parametrize("command", ["status", "list", "best"])
def test_tables_fit(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, crowded: str, command: str
) -> None:
    """Eighty columns hold a row a line, and its numbers whole; forty and thirty cut nothing."""
    rows = {}
    for columns in ("240", "80", "40", "30"):
        monkeypatch.setenv("COLUMNS", columns)
        lines = call(command, "--storage", crowded).out.splitlines()
        rows[columns] = [re.findall(r"[0-9]\.[0-9]+", line) for line in lines]
        assert "…" not in "".join(lines) or columns == "80"
    assert max(map(len, rows["240"])) >= 3
    assert [row for row in rows["240"] if row] == [row for row in rows["80"] if row]
    for columns in ("40", "30"):
        numbers = [number for row in rows[columns] for number in row]
        assert set(numbers) <= {number for row in rows["240"] for number in row}
        assert {"0.1234", "0.600", "0.500"} <= set(numbers)


@pytest.mark.parametrize("settings", [{}, {"NO_COLOR": "1"}], ids=["colour", "no colour"])
def test_no_color_is_honoured(
    open_terminal: Callable[..., Terminal],
    events_file: Path,
    tmp_path: Path,
    settings: dict[str, str],
) -> None:
    """The progress bar is coloured, unless the person asks for none."""
    words = ("data", "describe", str(events_file))
    terminal = open_terminal(*words, SWEEP_CACHE=str(tmp_path / "cache"), **settings)
    terminal.end()
    assert b"36/36" in terminal.written
    assert bool(re.search(rb"\x1b\[[0-9;]*3[0-9]", terminal.written)) is not settings


def test_watching_is_left_by_ctrl_c(open_terminal: Callable[..., Terminal], crowded: str) -> None:
    """The cursor, which the live view hides, is there again."""
    terminal = open_terminal("status", "--watch", "--storage", crowded)
    terminal.follow(lambda lines: len(list_trials(lines)) == NUM_WORKERS)
    assert terminal.screen.cursor.hidden
    terminal.process.send_signal(signal.SIGINT)
    terminal.follow(lambda _lines: not terminal.screen.cursor.hidden)
    assert terminal.process.wait(PATIENCE_S) == 130


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("sweep run --sampler ", ["mixed", "tpe", "gp", "qmc", "random"]),
        ("sweep run --model r", ["rcnn"]),
        ("sweep status --sweep ", ["net"]),
        ("sweep status --storage sqlite:///missing.db --sweep ", []),
    ],
)
def test_shell_completes_values(
    crowded: str, tmp_path: Path, line: str, offered: list[str]
) -> None:
    """Names of what can be chosen, and of the sweeps in the database; never a fault."""
    settings = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")), "SWEEP_STORAGE": crowded}
    process = subprocess.run(
        [Path(sys.executable).with_name("sweep")],
        cwd=tmp_path,
        env={**os.environ, **settings, "_SWEEP_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.stdout.split(), process.stderr) == (offered, "")
