"""Commands of tests, forked from one process that has loaded everything.

A command loads PyTorch and Optuna for four seconds of a processor before it does anything. Here a
process does so once, and forks for every command, as `sweep run` does for its workers. Some tests
start their commands themselves: those of a command's beginning, its arguments and its environment.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from sweep.launch.fork_server import (
    LOADED,
    ForkedProcess,
    ForkServer,
    ProcessRequest,
    run_command,
    serve,
)

COMMANDS = (
    "sweep.cli.run_job",
    "sweep.dashboard.publication",
    "sweep.dashboard.server",
    "sweep.figures.cards",
    "sweep.plan.plan",
    "scipy.special",
    "sweep.storage.migrations",
    "sqlalchemy.dialects.postgresql.psycopg",
)
"""What commands load sooner or later, beside what workers do."""
WITHOUT_PICTURES = "SWEEP_TESTS_WITHOUT_PICTURES"
"""Set for commands whose trials are to have no pictures, which take longer than the trainings."""


def start(
    arguments: Sequence[str],
    streams: Sequence[int],
    folder: Path,
    settings: Mapping[str, str] | None = None,
    *,
    is_session: bool = False,
) -> ForkedProcess:
    """Start a command with three standard streams, which stay the caller's to close."""
    environment = {**os.environ, **(settings or {})}
    request = ProcessRequest(arguments, environment, str(folder), is_session=is_session)
    return _start_server().fork(request, streams)


class Command(ForkedProcess):
    """A `sweep` command whose output is read here, with the methods of a `subprocess.Popen`."""

    def __init__(
        self, *arguments: str, folder: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        with open(os.devnull, "rb") as nothing:
            started = start(arguments, [nothing.fileno(), out_end, err_end], folder, settings)
        super().__init__(started.pid)
        os.close(out_end)
        os.close(err_end)
        self.stdout, self.stderr = open(out), open(err)  # noqa: SIM115

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read what is left of its output, and wait for its end.

        Raises:
            subprocess.TimeoutExpired: when that takes longer than so many seconds.
        """
        texts = ["", ""]

        def read(number: int, stream: TextIO) -> None:
            with stream:
                texts[number] = stream.read()

        streams = [stream for stream in (self.stdout, self.stderr) if not stream.closed]
        readers = [
            threading.Thread(target=read, args=item, daemon=True) for item in enumerate(streams)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(timeout)
        self.wait(0.0 if any(reader.is_alive() for reader in readers) else timeout)
        return texts[0], texts[1]


def run(
    *arguments: str,
    folder: Path,
    timeout_s: float = 200.0,
    settings: Mapping[str, str] | None = None,
) -> tuple[int, str, str]:
    """Run a command to its end; gives its exit code and what it wrote."""
    command = Command(*arguments, folder=folder, settings=settings)
    try:
        out, err = command.communicate(timeout_s)
    finally:
        command.kill()
    return command.wait(), out, err


class _Server(ForkServer):
    """The process that forks commands; it is started, since that of the tests has threads."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        super().__init__(ours)
        atexit.register(self._end)

    def _end(self) -> None:
        self._connection.close()
        self._process.wait()


@functools.cache
def _start_server() -> _Server:
    return _Server()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which end this, too
    for module in (*LOADED, *COMMANDS):
        importlib.import_module(module)
    assert len(os.listdir("/proc/self/task")) == 1, "a thread, which no fork would have"
    asked = serve(socket.socket(fileno=int(sys.argv[1])))
    if WITHOUT_PICTURES in os.environ:
        sys.modules["sweep.trial.ending"].draw_trial = lambda *_, **_options: []  # type: ignore[attr-defined]
    run_command(asked.arguments)
