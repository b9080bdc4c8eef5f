"""What asks a process to leave: signals, the first gently, the next at once; and its own time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType

POLL_S = 0.1


class Signals:
    """Listens for what asks a worker to leave: the first signal gently, the next at once.

    It keeps plain values: the lock of an event could be held by the very wait that a signal
    interrupts, and its handler would wait for it for ever.

    Args:
        parent: Process whose end asks this one to leave gently, or None.
        timeout_s: Time from now after which to leave gently, or None.
        on_immediate: Called by a signal that asks to leave at once.
    """

    def __init__(
        self,
        parent: int | None = None,
        timeout_s: float | None = None,
        on_immediate: Callable[[], None] = lambda: None,
    ) -> None:
        self._parent = parent
        self._on_immediate = on_immediate
        self._deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._is_gentle = False
        self._is_immediate = False

    def install(self) -> None:
        """Listen from now on; only the main thread may call this."""
        signal.signal(signal.SIGINT, self._receive)
        signal.signal(signal.SIGTERM, self._receive)

    def is_gentle(self) -> bool:
        """Say whether to leave after the epoch."""
        is_orphan = self._parent is not None and os.getppid() != self._parent
        return is_orphan or self.is_late() or self._is_gentle

    def is_late(self) -> bool:
        """Say whether the time is up."""
        return self._deadline_s is not None and time.monotonic() > self._deadline_s

    def is_immediate(self) -> bool:
        """Say whether to leave at once."""
        return self._is_immediate

    def ask(self, *, at_once: bool = False) -> None:
        """Ask to leave after the epoch, as a SIGINT does, or at once, as a SIGTERM does."""
        if at_once:
            self._is_immediate = True
        self._is_gentle = True

    def wait(self, timeout_s: float) -> bool:
        """Wait for a reason to leave; True when there is one."""
        until_s = time.monotonic() + timeout_s
        while not self.is_gentle() and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, POLL_S))
        return self.is_gentle()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.ask(at_once=number == signal.SIGTERM or self._is_gentle)
        if self.is_immediate():
            self._on_immediate()
