"""How the command line speaks: tables and notes for people, one JSON value for programs.

All text leaves the program here, whatever the terminal can show and wherever the text came from:
letters that the terminal's encoding does not have are replaced, and characters that would steer the
terminal (they may stand in a database that others write to) are shown as escapes.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from sweep.errors import ConfigError

STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Kinds of characters that are no text: control and format ones, halves of pairs (what stands for a
byte that is no UTF-8), separators of lines."""
JOINERS = "\u200c\u200d"
"""Format characters that some scripts cannot be written without."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_results: list[TextIO] = []


def prepare_streams() -> None:
    """Make the standard streams take any text; those that are closed take it to nowhere.

    Must run before a file is opened, which would get the number of a closed stream.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for good
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def finish_streams() -> None:
    """Write what is left, so that a full disk or a closed pipe is known before the end.

    Raises:
        OSError: when it cannot be written; nothing more is written then.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            drop_output()
            raise


def drop_output() -> None:
    """Send what is still to be written to nowhere: at its end Python would try it once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def check_texts(arguments: Sequence[str], settings: Mapping[str, str], folder: str) -> None:
    """Refuse text that no database, file of settings or page could hold, before anything is done.

    Args:
        settings: The environment; those of this program are looked at.
        folder: Where the command runs; paths are kept whole.

    Raises:
        ConfigError: when some bytes of one are not of the system's encoding.
    """
    named = [("argument", text) for text in arguments]
    named += [(name, text) for name, text in settings.items() if name.startswith("SWEEP_")]
    for name, text in (*named, ("folder", folder)):
        if any(unicodedata.category(letter) == "Cs" for letter in text):
            raise ConfigError(
                f"{name}: not text in {sys.getfilesystemencoding()}, got {text!a}, expected "
                "letters of that encoding; rename the file or folder, or mend the setting"
            )


def clean(text: str) -> str:
    """Show what is no text as escapes: `\\x1b`. Line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        letter
        if letter in "\n\t" or letter in JOINERS or unicodedata.category(letter) not in STEERING
        else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


@contextlib.contextmanager
def keep_output_clean() -> Iterator[None]:
    """Leave standard output to `print_json`: what a person's network prints goes to the notes."""
    _results.append(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _results.pop()


def print_json(content: Any) -> None:
    """Print one JSON value on standard output, and nothing else there."""
    output = _results[-1] if _results else sys.stdout
    output.write(json.dumps(content, indent=2) + "\n")
    output.flush()


def print_note(text: str) -> None:
    """Print a line for people on standard error, so that it never mixes with results."""
    sys.stderr.write(f"{clean(text)}\n")
    sys.stderr.flush()


def print_error(text: str) -> None:
    """Print a fault as one line."""
    print_note("error: " + " ".join(text.split()))
