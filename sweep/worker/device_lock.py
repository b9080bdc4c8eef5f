"""A lock on a device among the workers of one machine.

Workers that share a device hold it together while they train. A trial that ran out of memory is
tried again with it held alone, so that a full device is not taken for a bad configuration.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from sweep.files.shared import make_private_folder, open_lock

POLL_S = 0.2


class DeviceLock:
    """A lock on a device among the workers of one machine: held together, or alone.

    Args:
        folder: Of the lock's files; this user's own on this machine unless given.

    Raises:
        ConfigError: When that folder is another user's.
    """

    def __init__(self, device: torch.device, folder: Path | None = None) -> None:
        key = "cpu"
        if device.type == "cuda":
            key = str(torch.cuda.get_device_properties(device).uuid)
        self._key = key
        self._folder = folder

    @contextmanager
    def hold(self, *, alone: bool, is_given_up: Callable[[float], bool]) -> Iterator[bool]:
        """Hold the device together with others or alone.

        Args:
            alone: Whether to wait until all others have finished their trials, and let none begin.
            is_given_up: Waits for so many seconds and says whether to wait no longer.

        Yields:
            Whether the device is held; False when the waiting was given up.
        """
        kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        folder = self._folder or make_private_folder()  # it may go when the user logs out
        path = folder / f"{self._key}.lock"
        turnstile = folder / f"{self._key}.next"  # held by who waits to be alone; others queue
        with ExitStack() as stack:
            with _lock(turnstile, kind, is_given_up) as is_next:
                is_held = is_next and stack.enter_context(_lock(path, kind, is_given_up))
            yield is_held


@contextmanager
def _lock(path: Path, kind: int, is_given_up: Callable[[float], bool]) -> Iterator[bool]:
    """Hold a file's lock; the system drops it when the process ends, however that comes."""
    descriptor = open_lock(path)
    try:
        is_held = False
        while not is_held:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                is_held = True
            except BlockingIOError:
                if is_given_up(POLL_S):
                    break
        yield is_held
    finally:
        os.close(descriptor)
