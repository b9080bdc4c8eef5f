"""Processes that do the same thing at the same time.

They are forked from one that has imported what their script does, which takes longer than their
work.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FORK_ALL = """
import ast, importlib, json, os, runpy, sys, traceback

script, arguments = sys.argv[1], json.loads(sys.argv[2])
with open(script) as file:
    for line in ast.parse(file.read()).body:
        if isinstance(line, ast.ImportFrom):
            importlib.import_module(line.module)
signals, processes = [], []
for own in arguments:
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.dup2(reading, 0)
            sys.stdout = open(1, "w", closefd=False)  # a line at once, among those of the others
            sys.argv = [script, *own]
            runpy.run_path(script, run_name="__main__")
            sys.stdout.flush()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    signals.append(writing)
    processes.append(process)
sys.stdin.readline()
for writing in signals:
    os.write(writing, b"go\\n")
sys.exit(any([os.waitpid(process, 0)[1] for process in processes]))
"""


def run_together(script: Path, arguments: Sequence[Sequence[str]]) -> list[str]:
    """Fork a process for each list of arguments, let all go on at once, and give what they print.

    Args:
        script: Prints "ready", waits for a line, and then does its work; flushes each line.
        arguments: Of each process.
    """
    launcher = subprocess.Popen(
        [sys.executable, "-c", FORK_ALL, str(script), json.dumps(arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert launcher.stdout is not None
    assert [launcher.stdout.readline() for _ in arguments] == ["ready\n"] * len(arguments)
    printed = launcher.communicate("go\n", timeout=120)[0].splitlines()
    assert launcher.returncode == 0
    return printed
