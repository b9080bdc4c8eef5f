"""How a command ends: a known fault is one line and exit code 1, an unknown one a traceback."""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Callable

from sweep.cli.output import FULL, drop_output, finish_streams, print_error
from sweep.errors import SweepError

REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS)


def conclude(act: Callable[[], None]) -> int:
    """Do what a command does; say in one line what went wrong that a person can put right.

    Returns:
        The exit code: 130 after Ctrl-C.

    Raises:
        Exception: one that nobody knows.
    """
    try:
        try:
            act()
        finally:
            finish_streams()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        drop_output()
        return 1
    except (Exception, SystemExit) as exc:
        line = describe_known(exc)
        if line is None and isinstance(exc, SystemExit):
            return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        if line is None:
            raise
        drop_output()
        with contextlib.suppress(OSError):  # the errors' own stream is full, too
            print_error(line)
        return 1
    return 0


def describe_known(exc: BaseException) -> str | None:
    """Give the line of a fault that a person can put right; None of any other."""
    from sweep.storage.errors import StorageError

    if isinstance(exc, (SweepError, StorageError)):
        return str(exc)
    if isinstance(exc, OSError) and exc.errno in FULL:
        where = exc.filename or "output"
        return f"{where}: cannot be written, got {exc.strerror!r}, expected room; free some"
    if isinstance(exc, OSError) and exc.errno in REFUSALS and exc.filename is not None:
        return (
            f"{exc.filename}: the system does not let this user do that, got {exc.strerror!r}, "
            "expected the right to; ask the owner, or name another place"
        )
    return _describe_want_of_memory(exc) or _describe_network_fault(exc)


def _describe_want_of_memory(exc: BaseException) -> str | None:
    if "torch" not in sys.modules:  # which nothing large was done without
        return None
    from sweep.machine.device import is_out_of_memory

    if not isinstance(exc, Exception) or not is_out_of_memory(exc):
        return None
    reason = " ".join(f"{type(exc).__name__}: {exc}".split())[:300]
    return (
        f"memory: not enough, got {reason!r}, expected room; use a machine with more, a smaller "
        "network or fewer events"
    )


def _describe_network_fault(exc: BaseException) -> str | None:
    """Describe what a person's own network raised; None of anything else."""
    if "sweep.models.isolation" not in sys.modules:  # none was loaded
        return None
    from sweep.models.isolation import find_place

    place = find_place(exc)
    if place is None:
        return None
    reason = " ".join(f"{type(exc).__name__}: {exc}".split())[:300]
    return f"model: {place}: it fails, got {reason!r}, expected a prediction; correct the network"
