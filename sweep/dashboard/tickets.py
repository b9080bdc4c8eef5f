"""Tickets: signed cookies that spare who has given the password once from giving it again."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

COOKIE = "sweep_dashboard"
LIFE_S = 12 * 3600


class Tickets:
    """Issues and checks tickets; those of another process, or an earlier start, do not hold.

    A ticket is `EXPIRY.RANDOM.SIGNATURE`, signed with a key that never leaves this object.

    Args:
        clock: gives seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def issue(self, *, is_https: bool) -> str:
        """Make the value of a `Set-Cookie` header.

        Args:
            is_https: whether the browser came by https, and is to send the ticket only there.
        """
        content = f"{int(self._clock()) + LIFE_S}.{secrets.token_hex(8)}"
        attributes = f"Path=/; Max-Age={LIFE_S}; HttpOnly; SameSite=Strict"
        secure = "; Secure" if is_https else ""
        return f"{COOKIE}={content}.{self._sign(content)}; {attributes}{secure}"

    def hold(self, cookies: str) -> bool:
        """Say whether a request's `Cookie` header has a ticket of ours that has not run out."""
        pairs = (part.strip().partition("=") for part in cookies.split(";"))
        return any(name == COOKIE and self._holds(value) for name, _, value in pairs)

    def _holds(self, value: str) -> bool:
        content, _, signature = value.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(content).encode()):
            return False
        return self._clock() < int(content.partition(".")[0])

    def _sign(self, content: str) -> str:
        return hmac.new(self._key, content.encode(), hashlib.sha256).hexdigest()
