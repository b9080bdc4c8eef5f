"""Has a copy of a command's process do what runs a person's network.

A network can end the process that it runs in: by `os._exit`, by a crash in an extension, by using
up the memory. Such a process says nothing more, so another one has to. The command's own process
waits for its copy, passes on what it is sent, and gives the exit code, or the line, in its place.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import NoReturn

from sweep.cli.faults import conclude
from sweep.cli.output import finish_streams
from sweep.errors import ModelError

PASSED_ON = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
PR_SET_PDEATHSIG = 1
"""Of prctl(2): a signal that this process gets when its parent ends."""
POLL_S = 0.05
"""A signal wakes this process at once, unless a thread of a library took it."""
CONCLUDED = b"."


def run_apart(act: Callable[[], None]) -> None:
    """Do something in a copy of this process, and end as the copy does.

    PyTorch must not have computed anything here, for its threads are not copied; nor may a
    connection to a database be open. On another system than Linux it is done here.

    Args:
        act: What prints its results itself.

    Raises:
        SystemExit: with the exit code of the copy, where that is not 0.
        ModelError: when the copy ended without having come to its end.
    """
    if not hasattr(signal, "sigtimedwait"):
        act()
        return
    finish_streams()
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with _hold_signals() as before:
        process = _fork()
        if process == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            _do(act, writing)
        os.close(writing)
        code = _wait(process)
    with open(reading, "rb", buffering=0) as answers:
        is_concluded = answers.read(1) == CONCLUDED
    if not is_concluded:
        _speak_for(code)
    if code:
        raise SystemExit(code)


@contextlib.contextmanager
def _hold_signals() -> Iterator[set[int]]:
    """Keep signals for the wait, from before the copy is made; yields what was held already."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON | {signal.SIGCHLD})
    try:
        yield {int(number) for number in before}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _fork() -> int:
    parent = os.getpid()
    with warnings.catch_warnings():  # of threads: libraries have them, but none is computing
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process == 0:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
    return process


def _do(act: Callable[[], None], writing: int) -> NoReturn:
    """Do it in the copy, which ends here, never in the callers of its parent."""
    code = 1
    try:
        code = conclude(act)
    except BaseException:  # as Python itself at the end of a process
        traceback.print_exc()
    finally:
        os.write(writing, CONCLUDED)
        os._exit(code)


def _wait(process: int) -> int:
    """Wait for the copy, and pass on signals; those of a terminal reach it as well."""
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        heard = signal.sigtimedwait(PASSED_ON | {signal.SIGCHLD}, POLL_S)
        if heard and heard.si_signo != signal.SIGCHLD and heard.si_code <= 0:  # of a process
            os.kill(process, heard.si_signo)


def _speak_for(code: int) -> None:
    """End by the signal that ended the copy, or say how it ended of itself.

    Raises:
        ModelError: when it did that, or was killed for want of memory.
    """
    if -code in PASSED_ON:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    cause = "perhaps for want of memory" if -code == signal.SIGKILL else "as os._exit or a crash do"
    raise ModelError(
        f"model: the network, or a library, ended the process that ran it ({cause}), got {how}, "
        "expected a result; correct the network"
    )
