"""`--notify`: a person's own command, run once when a sweep ends or fails, told of it by JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sweep.errors import ConfigError

TIMEOUT_S = 60.0
"""For the command; one that hangs does not hold the sweep's own end up for longer."""
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"


def check_notify(command: str | None, *, is_detached: bool) -> None:
    """Refuse what is no command, and one that would never be run.

    Raises:
        ConfigError: in either case.
    """
    if command is None:
        return
    if not command.strip():
        raise ConfigError(f"notify: no command, got {command!r}, expected one; leave it out")
    if is_detached:
        raise ConfigError(
            f"notify: nothing ends here, got {command!r} beside --detach, expected one of them; "
            "leave one out"
        )


@contextmanager
def notify_at_end(command: str | None, storage: str, sweep: str) -> Iterator[None]:
    """Run a person's command once, when what this holds ends or raises a fault.

    A shell runs it. On its standard input it has a JSON object: `event` (finished, stopped or
    failed), `sweep`, `fault` (the line that a person is shown, or null) and `status`, as
    `sweep list --json` has it, or null where it cannot be read. What it prints goes to the notes.
    Ctrl-C outside of the training runs nothing.

    Args:
        command: As `sh -c` takes it, or None for nothing.
    """
    try:
        yield
    except Exception as exc:
        if command is not None:
            _tell(command, _describe(storage, sweep, " ".join(str(exc).split()) or repr(exc)))
        raise
    if command is not None:
        _tell(command, _describe(storage, sweep, None))


def _describe(storage: str, sweep: str, fault: str | None) -> dict[str, Any]:
    from sweep.storage.passwords import (
        hide_passwords,  # late: only a sweep that was told of needs it
    )

    status = _read_status(storage, sweep)
    is_done = status is not None and not any(
        status[state] for state in ("waiting", "running", "paused")
    )
    return {
        "event": FAILED if fault else FINISHED if is_done else STOPPED,
        "sweep": sweep,
        "fault": None if fault is None else hide_passwords(fault),
        "status": status,
    }


def _read_status(storage: str, sweep: str) -> dict[str, Any] | None:
    """Read how far the sweep is; None where the fault is that it cannot be read."""
    import sqlalchemy as sa

    from sweep.errors import SweepError
    from sweep.results.status import read_status
    from sweep.storage.engine import close_after, open_engine, parse_url
    from sweep.storage.errors import StorageError
    from sweep.storage.sweeps import find_sweep

    try:
        with close_after(open_engine(parse_url(storage))) as engine:
            return read_status(engine, find_sweep(engine, sweep)).to_json()
    except (SweepError, StorageError, sa.exc.SQLAlchemyError):
        return None


def _tell(command: str, content: dict[str, Any]) -> None:
    """Run the command; that it fails is said, and changes nothing else."""
    from sweep.cli.output import print_note

    process = subprocess.Popen(
        command,
        shell=True,
        stdin=subprocess.PIPE,
        stdout=2,  # standard output is for results
        text=True,
        encoding="utf-8",
        process_group=0,  # with all that it starts, so that nothing of it is left where it hangs
    )
    try:
        process.communicate(json.dumps(content) + "\n", timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        print_note(f"notify: {command!r} was ended, got no end within {TIMEOUT_S:g} s")
        return
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        print_note(f"notify: {command!r} ended with exit code {process.returncode}")
