"""Runs several workers in one process, each in a thread that takes turns with the others."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence

import torch

from sweep.machine.signals import POLL_S, Signals
from sweep.machine.turns import SWITCH_S, Turns, take_turns


def run_together(
    works: Sequence[Callable[[], None]], device: torch.device, signals: Signals
) -> None:
    """Do several workers' work at once; a single one's in this thread.

    Args:
        device: They share it.
        signals: Reach this thread alone, which waits for the others. A fault of one has all leave.

    Raises:
        Whatever the first one did that failed.
    """
    if len(works) == 1:
        works[0]()
        return
    turns, faults = Turns(), list[BaseException]()

    def run(work: Callable[[], None]) -> None:
        try:
            with take_turns(turns, device):
                work()
        except BaseException as exc:
            faults.append(exc)
            signals.ask()

    sys.setswitchinterval(SWITCH_S)
    threads = [threading.Thread(target=run, args=(work,), name="worker") for work in works]
    for thread in threads:
        thread.start()
    try:
        _wait_for(threads)
    except BaseException:  # a Ctrl-C that nobody listens to
        signals.ask(at_once=True)
        _wait_for(threads)
        raise
    if faults:
        raise faults[0]


def _wait_for(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        while thread.is_alive():  # a signal is seen between two waits
            thread.join(POLL_S)
