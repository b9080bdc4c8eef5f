"""A sweep started from Python: the very command that a person types, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sweep.api.database import Database, open
from sweep.api.display import open_display
from sweep.api.settings import write_assignments
from sweep.errors import ConfigError, SweepError
from sweep.machine.process import COMMAND
from sweep.plan.names import choose_name
from sweep.plan.request import Request
from sweep.results.status import Status
from sweep.settings.settings import find_place
from sweep.storage.errors import StorageError

USAGE_CODE = 2
"""With which the command ends that was given what it does not know."""


class RunningSweep:
    """A sweep that was started here. It goes on when Python ends, and when nobody follows it.

    Attributes:
        name: The sweep's name.
        log: File of what the command says.
    """

    def __init__(
        self, name: str, storage: str, process: subprocess.Popen[bytes], log: Path
    ) -> None:
        self.name = name
        self.log = log
        self._storage = storage
        self._process = process
        self._opened: Database | None = None

    @property
    def database(self) -> Database:
        """The database that the sweep is kept in.

        Raises:
            StorageError: while there is none yet: events are made or read first.
        """
        if self._opened is None:
            self._opened = open(self._storage)
        return self._opened

    @property
    def is_running(self) -> bool:
        """Whether it is trained here now."""
        return self._process.poll() is None

    def stop(self, *, at_once: bool = False) -> None:
        """Ask it to stop after the epochs that are trained now, or at once; nothing is lost.

        `start` with the same words goes on with it.
        """
        if self.is_running:
            self._process.send_signal(signal.SIGTERM if at_once else signal.SIGINT)

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for its end.

        Raises:
            TimeoutError: when it has not ended by then; it goes on.
            ConfigError: when the command does not know an option, or its value.
            SweepError: when it ended with a fault, with the line that a person is shown.
        """
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"sweep {self.name}: has not ended within {timeout_s:g} s") from None
        if code == USAGE_CODE:
            raise ConfigError(self._read_fault())
        if code != 0:
            raise SweepError(self._read_fault())

    def follow(self, *, refresh_s: float = 1.0) -> None:
        """Show it until it ends, in a notebook's cell or a terminal.

        Interrupting that (the notebook's stop button, Ctrl-C) ends the showing alone; `stop` ends
        the sweep.

        Raises:
            ConfigError, SweepError: as `wait`.
        """
        with open_display() as display:
            while self._process.poll() is None:
                display.show(*self._look())
                with suppress(TimeoutError):
                    self.wait(refresh_s)
            display.show(*self._look())
        self.wait()

    def _look(self) -> tuple[str, Status | None]:
        """Give what is shown now: the sweep, or what the command says before there is one."""
        try:
            return self.name, self.database.read_status(self.name)
        except StorageError:
            said = self._list_said()
            return f"{self.name}: {said[-1] if said else 'starting'}", None

    def _read_fault(self) -> str:
        said = self._list_said()
        return (
            said[-1].removeprefix("error: ") if said else f"sweep {self.name}: ended, got no word"
        )

    def _list_said(self) -> list[str]:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()]


def start(
    model: str, *, storage: str | None = None, sweep: str | None = None, **options: Any
) -> RunningSweep:
    """Start a sweep on this machine, or go on with it: `sweep run` in a process of its own.

    Args:
        model: Architecture, or `FILE.py:CLASS` of your own network.
        storage: Address of its database; if left out, what `sweep config` shows.
        sweep: Its name; the model's if left out.
        options: All others of `sweep run --help`, named as there, with `_` for `-`: `trials=50`,
            `val_events=1000`, `no_confirm=True`, `data=["Set_1.npz", "Set_2.npz"]`, and mappings
            for the spaces: `set={"lr": "1e-4:1e-2:log", "hidden_size": [16, 32]}`,
            `fix={"num_layers": 3}`.

    Raises:
        ConfigError: when a name or a value cannot be one of them.
    """
    name = choose_name(Request(model=model), sweep)
    storage = storage or str(find_place("storage").value)
    command = [*COMMAND, "run", "--model", model, "--sweep", name]
    for option, value in options.items():
        command += _write_option(option, value)
    with tempfile.NamedTemporaryFile(prefix=f"sweep-{name}-", suffix=".log", delete=False) as log:
        # in the environment, for a command's words show the password to everybody
        process = begin_process(command, {**os.environ, "SWEEP_STORAGE": storage}, log.fileno())
    return RunningSweep(name, storage, process, Path(log.name))


def begin_process(
    command: Sequence[str], environment: Mapping[str, str], log: int
) -> subprocess.Popen[bytes]:
    """Begin a process that says to a log what it says; a notebook's interrupt does not reach it."""
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        start_new_session=True,
    )


def _write_option(option: str, value: Any) -> list[str]:
    """Write an option as the command takes it; what is None or False is left out."""
    flag = f"--{option.rstrip('_').replace('_', '-')}"
    if value is None or isinstance(value, bool):
        return [flag] if value else []
    if isinstance(value, Mapping):
        value = write_assignments(option, value)
    words = value if isinstance(value, list | tuple) else [value]
    return [word for one in words for word in (flag, str(one))]
