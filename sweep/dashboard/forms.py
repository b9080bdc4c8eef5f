"""Forms of our own pages: read within bounds, and each good for one sending from one visit."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from urllib.parse import parse_qs
from wsgiref.types import WSGIEnvironment

MAX_FORM_BYTES = 8192
MAX_FIELDS = 200
LIFE_S = 12 * 3600
"""Of a form: as long as of a ticket."""


def read_form(environ: WSGIEnvironment) -> dict[str, str] | None:
    """Read a short form; None for a longer one, or for something else."""
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return None
    if not 0 <= length <= MAX_FORM_BYTES:
        return None
    text = environ["wsgi.input"].read(length).decode("utf-8", "replace")
    try:
        fields = parse_qs(text, max_num_fields=MAX_FIELDS)
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items()}


class FormTokens:
    """Issues and checks the tokens that our forms carry, so that no other page can send one.

    A token is `EXPIRY.RANDOM.MAC`; the code binds it to a visit and to the form's address. Kept are
    those alone that were sent, until they run out: one that comes again changes nothing twice.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._spent_s: dict[str, float] = {}

    def issue(self, session: str, path: str) -> str:
        """Make a token for a form that is sent to `path`."""
        head = f"{int(self._clock()) + LIFE_S}.{secrets.token_urlsafe(12)}"
        return f"{head}.{self._sign(head, session, path)}"

    def spend(self, token: str, session: str, path: str) -> bool:
        """Say whether a token is ours, for this form and visit, and comes for the first time."""
        head, _, code = token.rpartition(".")
        if not hmac.compare_digest(code.encode(), self._sign(head, session, path).encode()):
            return False
        now_s, until_s = self._clock(), float(head.partition(".")[0])
        with self._lock:
            self._spent_s = {key: end_s for key, end_s in self._spent_s.items() if end_s > now_s}
            if until_s <= now_s or head in self._spent_s:
                return False
            self._spent_s[head] = until_s
        return True

    def _sign(self, *parts: str) -> str:
        text = "\n".join(parts).encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, text, hashlib.sha256).hex()
