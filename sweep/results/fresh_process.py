"""A command in a process of its own, heard while it runs."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finished:
    """What became of a process: its exit code, its standard output, its last line of error."""

    code: int
    output: str
    last_line: str


def run_afresh(
    words: Sequence[str], say: Callable[[str], None], settings: Mapping[str, str]
) -> Finished:
    """Run a command to its end.

    Args:
        say: Told each line of its standard error as it comes.
        settings: Environment variables beside those of this process.
    """
    last_line = "no output"
    with (
        tempfile.TemporaryFile("w+") as output,  # a pipe that nobody empties could fill
        subprocess.Popen(
            words,
            stdout=output,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **settings},
        ) as process,
    ):
        try:
            for line in process.stderr or ():
                last_line = line.strip() or last_line
                say(line.rstrip())
        except BaseException:
            process.kill()
            raise
        code = process.wait()
        output.seek(0)
        return Finished(code, output.read(), last_line)
