"""How often a wrong password is heard: guessing stays hopeless, and nobody is shut out by it.

Wrong guesses are counted three times: of one visitor, of one address that connects, and of all.
Each of them may be wrong some times at once, and then once more each so many seconds; what comes
sooner is not looked at. A larger circle has more of both, so that one visitor cannot use up what an
address has, nor one address what all have. Behind a proxy a visitor is whom the proxy names; who
names others himself is still one address.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from wsgiref.types import WSGIEnvironment

from sweep.dashboard.addresses import find_network


@dataclass(frozen=True)
class Allowance:
    """How often a circle may be wrong: some times in a row, then once more each so many seconds."""

    at_once: int
    every_s: float


OF_VISITOR = Allowance(20, 10.0)
"""8,640 guesses a day."""
OF_ADDRESS = Allowance(60, 5.0)
"""17,280 guesses a day."""
OF_ALL = Allowance(240, 3.0)
"""28,800 guesses a day."""


@dataclass(frozen=True)
class Visitor:
    """Who guesses.

    Attributes:
        address: That connects: the guesser's, or its proxy's; of IPv6 the network of 64 bits, which
            one guesser has whole.
        name: What a proxy says of where it comes from, and the name of its browser.
    """

    address: str
    name: tuple[str, str]


@dataclass(frozen=True)
class Hearing:
    """What came of a guess.

    Attributes:
        wait_s: After which time the visitor is heard again; 0 when the guess was looked at.
    """

    is_right: bool
    wait_s: float = 0.0


def recognise(environ: WSGIEnvironment) -> Visitor:
    """Tell visitors apart as well as a request lets it."""
    told = environ.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
    name = (find_network(told), environ.get("HTTP_USER_AGENT", ""))
    return Visitor(find_network(environ.get("REMOTE_ADDR", "")), name)


class Guesses:
    """Hears guesses, and counts the wrong ones."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._clear_s: dict[object, float] = {}  # when what a circle got wrong is forgotten

    def hear(self, visitor: Visitor, is_right: Callable[[], bool]) -> Hearing:
        """Judge a guess, if it may be heard now."""
        now_s = self._clock()
        circles = {visitor: OF_VISITOR, visitor.address: OF_ADDRESS, None: OF_ALL}
        with self._lock:
            wait_s = max(self._find_wait_s(key, circles[key], now_s) for key in circles)
            if wait_s > 0.0:
                return Hearing(is_right=False, wait_s=wait_s)
            if is_right():
                return Hearing(is_right=True)
            held = {key: clear_s for key, clear_s in self._clear_s.items() if clear_s > now_s}
            for key, allowance in circles.items():
                held[key] = held.get(key, now_s) + allowance.every_s
            self._clear_s = held
        return Hearing(is_right=False)

    def _find_wait_s(self, key: object, allowance: Allowance, now_s: float) -> float:
        full_s = (allowance.at_once - 1) * allowance.every_s
        return max(0.0, self._clear_s.get(key, now_s) - now_s - full_s)
