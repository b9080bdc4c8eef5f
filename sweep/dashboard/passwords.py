"""The password of the dashboard: where it comes from, and how a guess is judged."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from sweep.errors import ConfigError

VARIABLE = "SWEEP_DASHBOARD_PASSWORD"
MIN_LENGTH = 8
MIN_DIFFERENT = 5
MAX_BYTES = 1024
RULE = f"{MIN_LENGTH} characters other than blanks, {MIN_DIFFERENT} of them different"


def read_password(environment: Mapping[str, str], file: Path | None) -> str | None:
    """Read the password from the environment or a file; it is never an argument, which all can see.

    Returns:
        The password, or None where none is set.

    Raises:
        ConfigError: when both are given, the file cannot be read, or the password is too simple or
            cannot be typed.
    """
    text = environment.get(VARIABLE)
    if file is not None:
        if text is not None:
            raise ConfigError(
                f"password: which one, got {VARIABLE} and the file {file}, expected one of them; "
                "unset one"
            )
        text = _read_file(file)
    if text is None:
        return None
    text = text.rstrip("\r\n")
    _check(text)
    return text


def _read_file(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return content.read(2 * MAX_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "no text"
        raise ConfigError(
            f"password: cannot be read, got {file} ({reason}), expected a text file of one "
            "line; mend it or --password-file"
        ) from exc


def _check(text: str) -> None:
    """Refuse what is soon guessed, and what no browser can send."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ConfigError(
            f"password: too long, got more than {MAX_BYTES} bytes, expected one line that can be "
            "typed; choose a shorter one"
        )
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text):
        raise ConfigError(
            "password: cannot be typed, got a line end, a control character or bytes that are no "
            "UTF-8, expected one line of text; choose another one"
        )
    seen = [letter for letter in text if letter.isprintable() and not letter.isspace()]
    if len(seen) < MIN_LENGTH:
        fault = f"too short, got {len(seen)} characters other than blanks"
    elif len(set(seen)) < MIN_DIFFERENT:
        fault = f"too simple, got {len(set(seen))} different characters"
    else:
        return
    raise ConfigError(f"password: {fault}, expected at least {RULE}; choose another one")


class Password:
    """A password that guesses are compared with in constant time, whatever their length."""

    def __init__(self, text: str) -> None:
        self._key = secrets.token_bytes(32)
        self._digest = self._hash(text)

    def matches(self, guess: str) -> bool:
        """Say whether a guess is right."""
        return hmac.compare_digest(self._hash(guess), self._digest)

    def _hash(self, text: str) -> bytes:
        same = unicodedata.normalize("NFC", text)  # "ü" may be one character or two
        return hmac.digest(self._key, same.encode("utf-8", "surrogatepass"), hashlib.sha256)
