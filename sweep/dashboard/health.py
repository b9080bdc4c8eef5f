"""Whether the database answers, for whoever asks however often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

AFTER_S = 1.0


class Health:
    """Looks at most once in AFTER_S and one thread at a time; the others are told what was seen."""

    def __init__(
        self, look: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._look = look
        self._clock = clock
        self._lock = threading.Lock()
        self._seen = False
        self._fresh_until_s = -1.0

    def __call__(self) -> bool:
        """Say whether the database answers."""
        if self._clock() >= self._fresh_until_s and self._lock.acquire(blocking=False):
            try:
                self._seen = self._look()
                self._fresh_until_s = self._clock() + AFTER_S
            finally:
                self._lock.release()
        return self._seen
