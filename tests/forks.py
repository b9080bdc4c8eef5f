"""Commands of tests, forked from one process that has loaded everything.

A command loads PyTorch and Optuna for four seconds of a processor before it does anything. Here a
process does so once, and forks for every command, as `sweep run` does for its workers. Some tests
start their commands themselves: those of a command's beginning, its arguments and its environment.
"""

from __future__ import annotations

import atexit
import faulthandler
import functools
import logging
import os
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from sweep.cli import build_command
from sweep.launch import fork_server
from sweep.launch.fork_server import ForkedProcess, ForkServer, ProcessRequest, be_server
from sweep.machine.process import COMMAND
from sweep.results.fresh_process import Finished

COMMANDS = (
    "sweep.cli.run_job",
    "sweep.dashboard.publication",
    "sweep.dashboard.server",
    "sweep.figures.cards",
    "sweep.plan.plan",
    "sweep.storage.migrations",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "torch._dynamo",  # writes ONNX
    "sweep.figures.inspection",
    "sweep.figures.learning_curves",
    "sweep.figures.png",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "optuna_dashboard",
)
"""What commands load sooner or later, and workers that draw, beside what all workers do."""
WITHOUT_PICTURES = "SWEEP_TESTS_WITHOUT_PICTURES"
"""Set for commands whose trials are to have no pictures, which take longer than the trainings."""
WITHOUT_PAGES = "SWEEP_TESTS_WITHOUT_PAGES"
"""Set for commands that are to write no pages of the dashboard: a third of a worker's time."""
QUIET = {WITHOUT_PICTURES: "1", WITHOUT_PAGES: "1"}


def start(
    arguments: Sequence[str],
    streams: Sequence[int],
    folder: Path,
    settings: Mapping[str, str] | None = None,
    *,
    is_session: bool = False,
    beside: Mapping[str, str] = os.environ,
) -> ForkedProcess:
    """Start a command with three standard streams, which stay the caller's to close.

    Args:
        settings: Variables beside those of an environment, this process's own where no other is
            given.
    """
    environment = {**beside, **(settings or {})}
    request = ProcessRequest(arguments, environment, str(folder), is_session=is_session)
    return begin().fork(request, streams)


class Command(ForkedProcess):
    """A `sweep` command whose output is read here, with the methods of a `subprocess.Popen`."""

    def __init__(
        self,
        *arguments: str,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        beside: Mapping[str, str] = os.environ,
    ) -> None:
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        with open(os.devnull, "rb") as nothing:
            streams = [nothing.fileno(), out_end, err_end]
            started = start(arguments, streams, folder, settings, beside=beside)
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


def run_afresh(
    words: Sequence[str], say: Callable[[str], None], settings: Mapping[str, str]
) -> Finished:
    """Run a command of ours to its end, as `sweep.results.fresh_process.run_afresh` does."""
    assert tuple(words[: len(COMMAND)]) == COMMAND
    code, out, err = run(*words[len(COMMAND) :], folder=Path.cwd(), settings=settings)
    for line in err.splitlines():
        say(line)
    return Finished(code, out, err.splitlines()[-1] if err else "no output")


@functools.cache
def begin() -> ForkServer:
    """Fork the process that forks commands, to be called while this one has no other thread.

    It loads nothing as long as it is not asked for a command.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        os.dup2(theirs.detach(), 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))  # or what the tests wait for would never end
        asked = socket.socket(fileno=3)
        be_server(asked, lambda: _prepare(asked))
    theirs.close()
    atexit.register(ours.close)
    return ForkServer(ours)


def load() -> None:
    """Load all that a command loads sooner or later."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as a command does, for a fork has none
    fork_server.load((*fork_server.SHARED, *fork_server.LOADED, *COMMANDS))
    build_command()

    from plotly.graph_objects import Figure  # late, as all of it: nothing may ask for a command

    Figure().update_layout(title="")  # reads the rules of all figures


def _prepare(asked: socket.socket) -> None:
    """Load everything as soon as a command is asked for, and undo what pytest does to a process."""
    if not asked.recv(1, socket.MSG_PEEK):
        raise SystemExit
    load()
    sys.unraisablehook, threading.excepthook = sys.__unraisablehook__, threading.__excepthook__
    warnings.filters[:] = [kept for kept in warnings.filters if kept[0] not in ("error", "always")]
    logging.getLogger().handlers.clear()
    faulthandler.disable()
    ending = sys.modules["sweep.trial.ending"]
    draw = ending.draw_trial
    ending.draw_trial = lambda *parts, **options: (  # type: ignore[attr-defined]
        [] if WITHOUT_PICTURES in os.environ else draw(*parts, **options)
    )
    publication = sys.modules["sweep.dashboard.publication"]
    publish = publication.publish
    publication.publish = lambda *parts, **options: (  # type: ignore[attr-defined]
        WITHOUT_PAGES in os.environ or publish(*parts, **options)
    )
