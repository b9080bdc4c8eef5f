"""The password of the dashboard: where it comes from, how a guess is judged, how many are heard."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from sweep.errors import ConfigError

VARIABLE = "SWEEP_DASHBOARD_PASSWORD"
MIN_LENGTH = 8
PERIOD_S = 60.0
MAX_GUESSES = 10
"""Wrong guesses of one address within PERIOD_S, after which it is not heard."""
MAX_GUESSES_OF_ALL = 100
"""The same for all addresses together."""


def read_password(environment: Mapping[str, str], file: Path | None) -> str | None:
    """Read the password from the environment or a file; it is never an argument, which all can see.

    Returns:
        The password, or None where none is set.

    Raises:
        ConfigError: when both are given, the file cannot be read, or the password is too short.
    """
    text = environment.get(VARIABLE)
    if file is not None:
        if text is not None:
            raise ConfigError(
                f"password: which one, got {VARIABLE} and the file {file}, expected one of them; "
                "unset one"
            )
        try:
            text = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "no text"
            raise ConfigError(
                f"password: cannot be read, got {file} ({reason}), expected a text file of one "
                "line; mend it or --password-file"
            ) from exc
    if text is not None and len(text) < MIN_LENGTH:
        raise ConfigError(
            f"password: too short, got {len(text)} characters, expected at least {MIN_LENGTH}; "
            "choose a longer one"
        )
    return text


class Password:
    """A password that guesses are compared with in constant time, whatever their length."""

    def __init__(self, text: str) -> None:
        self._key = secrets.token_bytes(32)
        self._digest = self._hash(text)

    def matches(self, guess: str) -> bool:
        """Say whether a guess is right."""
        return hmac.compare_digest(self._hash(guess), self._digest)

    def _hash(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)


class Guesses:
    """The wrong guesses of the last minute; who has made too many is not heard for a while.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: deque[tuple[float, str]] = deque()

    def are_too_many(self, address: str) -> bool:
        """Say whether guesses from this address are not heard now."""
        with self._lock:
            while self._wrong and self._wrong[0][0] <= self._clock() - PERIOD_S:
                self._wrong.popleft()
            num_own = sum(other == address for _, other in self._wrong)
            return num_own >= MAX_GUESSES or len(self._wrong) >= MAX_GUESSES_OF_ALL

    def add_wrong(self, address: str) -> None:
        """Count a wrong guess."""
        with self._lock:
            self._wrong.append((self._clock(), address))
