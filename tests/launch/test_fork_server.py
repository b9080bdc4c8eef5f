"""Processes forked from one that has loaded everything: as good as started, or not forked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import os, signal, sys, threading, time
from sweep.launch import fork_server
from sweep.launch.fork_server import ProcessRequest, run_fork_server

fork_server.load = lambda *names: None  # what is forked here needs nothing

def fork(server, *arguments, **environment):
    request = ProcessRequest(arguments, {**os.environ, **environment}, sys.argv[1])
    return server.fork(request, [0, 1, 2])
"""


def call(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own: that of the tests has threads."""
    command = [sys.executable, "-c", BEGIN + program, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def test_forked_command_has_its_streams_environment_folder_and_code(tmp_path: Path) -> None:
    """Like one that was started; what the first process had still to write is written once."""
    program = """
print("first")
with run_fork_server() as server:
    done = fork(server, "list", "--json", SWEEP_STORAGE="sqlite:///nowhere.db").wait()
    sys.exit(10 + done)
"""
    ended = call(tmp_path, program)
    assert (ended.returncode, ended.stdout) == (11, "first\n"), ended.stderr
    assert "nowhere.db" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_forked_process_is_a_child_in_a_session_of_its_own(tmp_path: Path) -> None:
    """Ctrl-C of a terminal reaches the supervisor alone, and a signal's number is known."""
    program = """
import json

with run_fork_server() as server:
    process = fork(server, "worker", "--forever", SWEEP_STORAGE="sqlite:///nowhere.db")
    stat = open(f"/proc/{process.pid}/stat").read().rpartition(")")[2].split()
    while os.getsid(process.pid) != process.pid:
        time.sleep(0.01)
    process.kill()
    print(json.dumps([int(stat[1]) == os.getpid(), process.wait()]))
"""
    ended = call(tmp_path, program)
    assert ended.stderr == ""
    assert json.loads(ended.stdout) == [True, -9]


@pytest.mark.parametrize(
    "program",
    [
        """
threading.Thread(target=time.sleep, args=(3,), daemon=True).start()
with run_fork_server() as server:
    print(server)
""",
        """
with run_fork_server() as server:
    os.kill(int(open(f"/proc/self/task/{os.getpid()}/children").read()), signal.SIGKILL)
    try:
        fork(server, "--version")
    except OSError:
        print(None)
""",
    ],
    ids=["threads", "killed"],
)
def test_nothing_is_forked_where_that_is_not_safe(tmp_path: Path, program: str) -> None:
    """A process with threads would leave them behind; who asks is told, and starts it instead."""
    ended = call(tmp_path, program)
    assert (ended.stdout, ended.stderr) == ("None\n", "")
    assert os.listdir(tmp_path) == []
