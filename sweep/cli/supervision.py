"""Watches the workers of a sweep: shows what they do, passes on what should end them."""

from __future__ import annotations

import time

from sweep.cli.live import LiveView
from sweep.launch.launcher import Launcher
from sweep.machine.signals import Signals
from sweep.storage.transactions import hurry

POLL_S = 1.0


class Supervision:
    """One sweep being trained, from the side of the person who started it.

    Args:
        timeout_s: After which the sweep stops gently, or None.
    """

    def __init__(self, launcher: Launcher, view: LiveView, timeout_s: float | None) -> None:
        self._launcher = launcher
        self._view = view
        self._signals = Signals(timeout_s=timeout_s, on_immediate=hurry)
        self._num_asked = 0

    def follow(self) -> None:
        """Show the sweep until its workers have ended.

        Raises:
            SweepError: when they cannot be started, end with a fault, or cannot be kept alive.
        """
        self._signals.install()
        try:
            self._launcher.start()
            while self._launcher.watch():
                self._pass_on()
                self._view.update()
                time.sleep(POLL_S)
        finally:
            self._launcher.end()

    def _pass_on(self) -> None:
        """Ask the workers to leave where a signal or the time asks for it, once for each."""
        wanted = 2 if self._signals.is_immediate() else 1 if self._signals.is_gentle() else 0
        while self._num_asked < wanted:
            self._num_asked += 1
            self._launcher.ask_to_stop(at_once=self._num_asked == 2)
            if wanted == 1 and self._signals.is_late():
                self._view.say("time is up: stopping after the epochs that are being trained")
            elif wanted == 1:
                self._view.say("stopping after this epoch; Ctrl-C again to stop at once")
