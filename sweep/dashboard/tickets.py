"""Tickets: cookies that spare who has given the password once from giving it again."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator

COOKIE = "sweep_dashboard"
LIFE_S = 12 * 3600
ATTRIBUTES = "Path=/; Max-Age={life_s}; HttpOnly; SameSite=Strict"


class Tickets:
    """Issues, checks and ends tickets; those of another process, or an earlier start, do not hold.

    A ticket is `EXPIRY.RANDOM`. Kept are digests of those that hold, so that comparing tells
    nothing by the time it takes.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._expiries_s: dict[bytes, float] = {}

    def issue(self, *, is_https: bool) -> str:
        """Make the value of a `Set-Cookie` header."""
        now_s = self._clock()
        ticket = f"{int(now_s) + LIFE_S}.{secrets.token_urlsafe(32)}"
        with self._lock:
            held = {key: end_s for key, end_s in self._expiries_s.items() if end_s > now_s}
            self._expiries_s = held | {_digest(ticket): now_s + LIFE_S}
        secure = "; Secure" if is_https else ""
        return f"{COOKIE}={ticket}; {ATTRIBUTES.format(life_s=LIFE_S)}{secure}"

    def hold(self, cookies: str) -> bool:
        """Say whether a request's `Cookie` header has a ticket of ours that has not run out."""
        now_s = self._clock()
        return any(self._expiries_s.get(key, 0.0) > now_s for key in _read_digests(cookies))

    def end(self, cookies: str) -> str:
        """End the tickets of a request's `Cookie` header.

        Returns:
            The value of a `Set-Cookie` header that has the browser forget them.
        """
        with self._lock:
            for key in _read_digests(cookies):
                self._expiries_s.pop(key, None)
        return f"{COOKIE}=; {ATTRIBUTES.format(life_s=0)}"


def _read_digests(cookies: str) -> Iterator[bytes]:
    pairs = (part.strip().partition("=") for part in cookies.split(";"))
    return (_digest(value) for name, _, value in pairs if name == COOKIE)


def _digest(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode()).digest()
