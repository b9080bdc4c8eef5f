"""Processes that do the same thing at the same time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def run_together(script: Path, arguments: Sequence[Sequence[str]]) -> list[str]:
    """Start a process for each list of arguments, let all go on at once, and give what they print.

    Args:
        script: Prints "ready", waits for a line, and then does its work.
        arguments: Of each process.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), *own],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for own in arguments
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = [line for p in processes for line in p.communicate(timeout=120)[0].splitlines()]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return printed
