"""One worker process on a node of a cluster, from the side of that node.

An actor of the cluster holds it. The worker itself is the same process as everywhere, so that
signals, leases and logs are; and nothing here needs the cluster's library.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import SweepError
from sweep.files.shared import open_log
from sweep.launch.launcher import read_fault
from sweep.machine.process import COMMAND, describe_process


@dataclass(frozen=True)
class Ending:
    """How a worker ended: its exit code, negative for a signal, and the last line it wrote."""

    code: int
    line: str


class RemoteWorker:
    """Starts one worker on the node where this object is, and tells how it ends."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log = Path()

    def start(self, arguments: Sequence[str], settings: Mapping[str, str], log: Path) -> str:
        """Start the worker; a second call starts no second one.

        Args:
            settings: Environment variables beside those of the node; they may hold a password.
            log: The file it writes to, which must be there already: in a folder that is the same
                on all nodes, it is.

        Returns:
            What the names of this process begin with, as a worker.

        Raises:
            SweepError: when the log is not there.
        """
        if self._process is None:
            self._log = log
            self._process = self._spawn(arguments, settings)
        return describe_process(self._process.pid)

    def wait(self) -> Ending:
        """Wait for the worker to end."""
        assert self._process is not None
        return Ending(self._process.wait(), read_fault(self._log))

    def send(self, number: int) -> None:
        """Send the worker a signal, if it is alive."""
        if self._process is not None:
            self._process.send_signal(number)

    def _spawn(
        self, arguments: Sequence[str], settings: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        try:
            output = open_log(self._log, is_new=False)
        except OSError as exc:
            raise SweepError(
                f"artifacts: not the same folder on every node, got no {self._log} on "
                f"{socket.gethostname()} ({exc.strerror}), expected a shared one; change "
                "--artifacts"
            ) from exc
        before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        try:  # Ray blocks SIGINT in its processes, and a child would inherit that
            return subprocess.Popen(
                [*COMMAND, *arguments, "--parent", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **settings},
                start_new_session=True,  # Ctrl-C reaches the person's command, which passes it on
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(output)
