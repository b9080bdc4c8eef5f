"""Processes of this program forked from one that has loaded everything, on Linux.

Loading PyTorch, Optuna and what numba has compiled takes three seconds of a processor,
a fork of a process that has loaded them some hundredths. Such a process is forked in turn from the
one that supervises, as soon as that has loaded what it needs and before it does anything: nothing
is shared but modules. What is forked has its own session, folder, environment and
streams, and is a child of whoever asked for it, like one that was started; only its arguments under
/proc are those of the first process.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

SHARED = (
    "sweep.storage.studies",
    "alembic.command",  # Optuna looks with it at the version of its tables
    "sweep.storage.study_rows:read_migrations",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.orm:configure_mappers",  # of Optuna's tables
)
"""What a worker loads and who supervises it, too: modules, and functions that load something."""
LOADED = ("sweep.worker.worker", "sweep.metrics.walk:load_compiled")
"""What a worker loads beside; few of them draw anything."""
PR_SET_CHILD_SUBREAPER = 36
"""Of prctl(2): orphans among the descendants become children."""
MAX_BYTES = 2**21
"""Of a request; a process's environment is smaller."""
POLL_S = 0.02


@dataclass(frozen=True)
class ProcessRequest:
    """A process that is asked for.

    Attributes:
        is_session: Whether it is in a session of its own, where no Ctrl-C of a terminal reaches it.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    is_session: bool = True


class ForkedProcess:
    """A child of this process that was forked elsewhere, with the methods of a `subprocess.Popen`.

    Attributes:
        returncode: Its exit code, negative for a signal; None while it is not known to have ended.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Give the exit code of a process that has ended; None of one that runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the process to end; gives its exit code.

        Raises:
            subprocess.TimeoutExpired: when it has not ended after so many seconds.
        """
        deadline_s = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline_s is not None and time.monotonic() > deadline_s:
                raise subprocess.TimeoutExpired(["sweep"], timeout or 0.0)
            time.sleep(POLL_S)
        return code

    def send_signal(self, number: int) -> None:
        """Send the process a signal, if it runs: until it is waited for, its number is its own."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The process that forks, from the side of the one that asks over a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.has_forked = False

    def fork(self, request: ProcessRequest, streams: Sequence[int]) -> ForkedProcess:
        """Fork a process with three standard streams, which stay the caller's to close.

        Raises:
            OSError: when the process that forks is gone or cannot.
        """
        _adopt_orphans(is_on=True)
        self.has_forked = True
        try:
            socket.send_fds(self._connection, [json.dumps(asdict(request)).encode()], streams)
            answer = self._connection.recv(32)
        finally:
            _adopt_orphans(is_on=False)
        if not answer:
            raise ConnectionResetError("the process that forks is gone")
        return ForkedProcess(int(answer))


@contextlib.contextmanager
def run_fork_server() -> Iterator[ForkServer | None]:
    """Fork the process that forks others, from this one, for as long as they are wanted.

    Yields:
        It; None where the system cannot, or where this process has threads already: those of a
        library would be missing in what is forked, and whoever waits for them would wait for ever.
    """
    load(SHARED)
    if sys.platform != "linux" or not _adopt_orphans(is_on=False) or _count_threads() > 1:
        yield None
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    _flush()
    process = os.fork()
    if process == 0:
        ours.close()
        be_server(theirs, load)
    theirs.close()
    try:
        with ours:
            server = ForkServer(ours)
            yield server
    finally:
        if not server.has_forked:  # it may still be loading what nobody is going to need
            os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def serve(connection: socket.socket) -> ProcessRequest:
    """Fork a process for every request; returns in each of them, with what it is to become.

    Raises:
        SystemExit: when nobody can ask any more.
    """
    gc.freeze()  # the pages of what is loaded stay shared
    while True:
        text, streams, _flags, _address = socket.recv_fds(connection, MAX_BYTES, 3)
        if not text:
            raise SystemExit
        ours, theirs = os.pipe()
        between = os.fork()
        if between == 0:
            mine = os.getpid()
            process = os.fork()
            if process:
                os.write(theirs, str(process).encode())
                os._exit(0)
            for number in (ours, theirs, connection.detach()):
                os.close(number)
            request = ProcessRequest(**json.loads(text))
            _become(request, streams, mine)
            return request
        os.waitpid(between, 0)  # from here on the process is a child of whoever asked
        for number in (theirs, *streams):
            os.close(number)
        connection.send(os.read(ours, 32))
        os.close(ours)


def run_command(arguments: Sequence[str]) -> None:
    """Do in this process what `python -m sweep` does."""
    sys.argv = ["sweep", *arguments]
    runpy.run_module("sweep", run_name="__main__", alter_sys=True)


def load(names: Sequence[str] = LOADED) -> None:
    """Load what a worker loads sooner or later, also what libraries leave until it is used."""
    for name in names:
        module, _, function = name.partition(":")
        found = importlib.import_module(module)
        if function:
            getattr(found, function)()


def be_server(connection: socket.socket, prepare: Callable[[], None]) -> NoReturn:
    """Fork until nobody asks; what is forked ends here too, never in the callers of its parent.

    Args:
        connection: To whoever asks.
        prepare: Loads what all that is forked has.
    """
    code = 1
    try:
        os.setsid()  # Ctrl-C is for whoever supervises
        _replace_streams([os.open(os.devnull, os.O_RDWR)] * 3)
        prepare()
        if _count_threads() == 1:
            run_command(serve(connection).arguments)
        code = 0
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:  # as Python itself at the end of a process
        traceback.print_exc()
    finally:
        _flush()
        os._exit(code)


def _become(request: ProcessRequest, streams: Sequence[int], parent: int) -> None:
    """Take the streams, folder, environment and name that are asked for."""
    while os.getppid() == parent:
        time.sleep(0.001)
    if request.is_session:
        os.setsid()
    _replace_streams(streams)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(f"sweep {request.arguments[0]}")


def _replace_streams(streams: Sequence[int]) -> None:
    """Put files in the place of the standard streams, and close what they were given as."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for stream in set(streams) - {0, 1, 2}:
        os.close(stream)
    # Python's own objects may hold what the parent had not written yet; they are left as they are.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for good
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # full, or closed: nothing is left to say
            stream.flush()


def _count_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _adopt_orphans(*, is_on: bool) -> bool:
    """Have orphans among the descendants become children of this process; says whether they do."""
    fault: int = ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(is_on), 0, 0, 0)
    return fault == 0
