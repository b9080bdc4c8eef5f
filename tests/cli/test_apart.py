"""A person's network that fails or ends its process on events alone: the command says so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made import DATA
from safetensors.torch import save_file

import sweep.results.comparison
import sweep.results.prediction  # noqa: F401 - both once, not in each copy of this process
from sweep.cli.apart import run_apart
from sweep.cli.faults import conclude

NETWORK = """
import faulthandler, os, signal, time
import torch

class Net(torch.nn.Module):
    space = {"size": "1:8"}
    def __init__(self, size):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
    def forward(self, x_BCL):
        if x_BCL.any():
            ACT
        return x_BCL[:, 0] * self.scale
"""


def write_export(folder: Path, act: str) -> Path:
    """Write an export of a network that acts on events, but not on those of zeros."""
    folder.mkdir()
    (folder / "net.py").write_text(NETWORK.replace("ACT", act))
    save_file({"scale": torch.ones(1)}, folder / "weights.safetensors")
    config = {
        "model": "net.py:Net",
        "hyperparameters": {"size": 1},
        "sweep_config": {"data": DATA},
    }
    (folder / "config.json").write_text(json.dumps(config))
    events = np.ones((2, 4, 4000), np.float32)
    np.savez(folder.parent / "events.npz", X=events, y=np.full((2, 4000), 0.01, np.float32))
    return folder


EXIT = ("os._exit(3)", "got exit code 3")
FAULT = ("raise KeyError('no such layer')", "got \"KeyError: 'no such layer'\"")
ENDS = [
    EXIT,
    FAULT,
    ("os._exit(0)", "got exit code 0"),
    ("faulthandler.disable(); os.kill(os.getpid(), signal.SIGSEGV)", "got SIGSEGV"),
    ("os.kill(os.getpid(), signal.SIGKILL)", "got SIGKILL"),
    ("raise SystemExit(0)", "net.py, line 12 (forward): it fails, got 'SystemExit: 0'"),
    ("x_BCL = x_BCL.view(7, -1)", "got \"RuntimeError: shape '[7, -1]'"),
]


@pytest.mark.parametrize(
    ("command", "act", "got"),
    [
        *(("evaluate", *end) for end in ENDS),
        *((command, *end) for command in ("compare", "predict") for end in (EXIT, FAULT)),
    ],
)
def test_network_that_ends_the_process_on_events_is_named(
    tmp_path: Path, call: Callable[..., Any], command: str, act: str, got: str
) -> None:
    """One line and exit code 1, though its trial run on empty events went well."""
    folder = write_export(tmp_path / "model", act)
    named = {"evaluate": [], "compare": [folder], "predict": ["--out", "found.csv"]}[command]
    answer = call(command, folder, *named, "--data", "events.npz")
    assert (answer.code, answer.out) == (1, "")
    line = answer.err.splitlines()[-1]
    assert line.startswith("error: model: ")
    assert got in line


@pytest.mark.parametrize(
    "fault",
    [MemoryError(), torch.OutOfMemoryError("tried to allocate 80 GiB")],
    ids=["host", "gpu"],
)
def test_want_of_memory_is_one_line(capsys: pytest.CaptureFixture[str], fault: Exception) -> None:
    """Whatever the command was doing."""

    def fill() -> None:
        raise fault

    assert conclude(fill) == 1
    assert capsys.readouterr().err.startswith("error: memory: not enough, got ")


def test_results_of_a_copy_are_those_of_the_command(
    tmp_path: Path, call: Callable[..., Any]
) -> None:
    """What it prints comes once, exit codes are its own."""
    folder = write_export(tmp_path / "model", "pass")
    answer = call("evaluate", folder, "--data", "events.npz", "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["events"] == 2
    assert call("evaluate", folder, "--data", "none.npz").code == 1


@contextmanager
def start_waiting() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start a command whose copy waits; gives the command, and the copy's process number."""
    code = (
        "import os, time\nfrom sweep.cli.apart import run_apart\n"
        "def wait():\n    print(os.getpid(), flush=True)\n    time.sleep(100)\n"
        "run_apart(wait)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as both:
        assert both.stdout is not None
        yield both, int(both.stdout.readline())


def test_signal_is_passed_on_to_the_copy() -> None:
    """Sent to the command alone, as `kill` does, it ends both."""
    with start_waiting() as (both, copy):
        both.send_signal(signal.SIGTERM)
        assert both.wait(60) == -signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(copy, 0)


def test_copy_does_not_outlive_a_killed_command() -> None:
    """It is killed with it, wherever it is."""
    with start_waiting() as (both, copy):
        both.kill()
    deadline_s = time.monotonic() + 60
    while Path(f"/proc/{copy}/stat").exists() and time.monotonic() < deadline_s:
        state = Path(f"/proc/{copy}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            return
        time.sleep(0.05)
    assert not Path(f"/proc/{copy}").exists()


def test_interrupt_of_what_is_done_apart_is_exit_code_130() -> None:
    """As of any command."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run_apart(interrupt)
    assert caught.value.code == 130
