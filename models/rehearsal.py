"""Tries in a process of its own whether a person's network ends the process it runs in.

An `os._exit`, a segmentation fault in an extension, memory that runs out: none of them is an
exception, and a process that meets one can say nothing more. So what a network does is done in a
copy of this process first, which a fork makes at once. What it raises there is left to whoever
does it in earnest.
"""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import sys
import warnings
from collections.abc import Callable, Hashable

import torch

PATIENCE_S = 60.0
"""Who takes longer is not known to end the process."""
THROUGH = b"."

_come_through: set[Hashable] = set()
"""What has come through in this process, and is not tried again."""


def find_ending(action: Callable[[], object], subject: Hashable = None) -> str | None:
    """Say how a process ends of itself that does something.

    Args:
        action: Done in a copy of this process, which computes with one thread, on no GPU that is in
            use here already, and prints nothing.
        subject: What is tried, where it is known by what it does: once it came through it is not
            tried again.

    Returns:
        Its exit code or signal; None where it comes through, or raises what is told of in earnest,
        or where the system knows no copies of a process.
    """
    if subject in _come_through or not hasattr(os, "fork"):
        return None
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # That other threads may hold locks: what the copy needs of them is made anew in it.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process == 0:
        _act(action, writing)
    os.close(writing)
    answer = None
    try:
        if select.select([reading], [], [], PATIENCE_S)[0]:
            answer = os.read(reading, 100)
    finally:
        os.close(reading)
        if answer is None:  # late, or a person has lost patience
            os.kill(process, signal.SIGKILL)
        status = os.waitpid(process, 0)[1]
    if answer == THROUGH and subject is not None:
        _come_through.add(subject)
    if answer is None or answer == THROUGH:
        return None
    return answer.decode() or _describe(os.waitstatus_to_exitcode(status))


def _act(action: Callable[[], object], writing: int) -> None:
    """Do it in the copy, say how that went, and leave."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a person's interrupts the original, too
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for good
        faulthandler.disable()
        torch.set_num_threads(1)  # the threads of the original are not copied
        action()
        os.write(writing, THROUGH)
    except (Exception, SystemExit):
        os.write(writing, THROUGH)
    except BaseException as exc:
        os.write(writing, type(exc).__name__.encode())
    finally:
        os.kill(os.getpid(), signal.SIGKILL)  # nothing of what the original ends with is done


def _describe(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}, perhaps for lack of memory" if name == "SIGKILL" else name
