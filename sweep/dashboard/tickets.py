"""Tickets: cookies that spare who has given the password once from giving it again."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COOKIE = "sweep_dashboard"
LIFE_S = 12 * 3600
ATTRIBUTES = "Path=/; Max-Age={life_s}; HttpOnly; SameSite=Strict"


@dataclass(frozen=True)
class Ticket:
    """One that holds.

    Attributes:
        key: What tells it from others, without being it.
        name: What its holder calls themselves.
    """

    key: str
    expiry_s: float
    name: str


class Tickets:
    """Issues, checks and ends tickets; those of another process, or an earlier start, do not hold.

    A ticket is `EXPIRY.RANDOM`. Kept are digests of those that hold, so that comparing tells
    nothing by the time it takes.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, Ticket] = {}

    def issue(self, *, is_https: bool, name: str = "") -> str:
        """Make the value of a `Set-Cookie` header.

        Args:
            name: What its holder calls themselves.
        """
        now_s = self._clock()
        ticket = f"{int(now_s) + LIFE_S}.{secrets.token_urlsafe(32)}"
        with self._lock:
            held = {key: one for key, one in self._held.items() if one.expiry_s > now_s}
            key = _digest(ticket)
            self._held = held | {key: Ticket(key, now_s + LIFE_S, name)}
        secure = "; Secure" if is_https else ""
        return f"{COOKIE}={ticket}; {ATTRIBUTES.format(life_s=LIFE_S)}{secure}"

    def find(self, cookies: str) -> Ticket | None:
        """Find in a request's `Cookie` header a ticket of ours that has not run out."""
        now_s = self._clock()
        known = (self._held.get(key) for key in _read_digests(cookies))
        return next((one for one in known if one is not None and one.expiry_s > now_s), None)

    def end(self, cookies: str) -> str:
        """End the tickets of a request's `Cookie` header.

        Returns:
            The value of a `Set-Cookie` header that has the browser forget them.
        """
        with self._lock:
            for key in _read_digests(cookies):
                self._held.pop(key, None)
        return f"{COOKIE}=; {ATTRIBUTES.format(life_s=0)}"


def _read_digests(cookies: str) -> Iterator[str]:
    pairs = (part.strip().partition("=") for part in cookies.split(";"))
    return (_digest(value) for name, _, value in pairs if name == COOKIE)


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
