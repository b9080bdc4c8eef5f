"""Whose code may run here: what a person was asked to trust, and what they gave themselves.

A network that comes from a database or with an export is somebody's program. It is run only where
`SWEEP_TRUST_CODE` (or `--trust-code`, which sets it for one command) says so, or, of commands that
a person types, where this person once gave the same files to `sweep run`: their seals are kept in
a file of theirs. docs/TRUST.md has the whole table.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep.errors import ConfigError

VARIABLE = "SWEEP_TRUST_CODE"
ALL = "1"
MAX_BYTES = 4_000_000
"""Of the file of seals: 60,000 networks."""
_given: set[str] = set()
"""Seals of the files that this process was given, or that its person gave to an earlier one."""
_NO, _YES = ("", "0", "false", "no"), ("1", "true", "yes")


def is_trusted(seal: str, *, by_worker: bool = False) -> bool:
    """Say whether code of a seal may run in this process.

    Args:
        seal: Hash of all its files.
        by_worker: Whether nobody typed a command for this sweep: then what this person gave to
            other commands counts for nothing.

    Raises:
        ConfigError: when the variable is neither yes, no, nor seals.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if text.lower() in _YES:
        return True
    seals = [] if text.lower() in _NO else [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("[0-9a-f]{64}", part) for part in seals):
        raise ConfigError(f"{VARIABLE}: got {text!r}, expected 1 or 0; mend or unset it")
    if not by_worker and seal in _read_seals():
        _given.add(seal)
    return seal in seals or (not by_worker and seal in _given)


@contextmanager
def trust_all() -> Iterator[None]:
    """Trust all code for as long as this lasts, also in processes that are started meanwhile."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = ALL
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def vouch(seal: str) -> str | None:
    """Trust files that this person gave to be run: here, in workers started here, and later.

    Returns:
        Why that could not be kept for later, or None.
    """
    _given.add(seal)
    path = _name_file()
    try:
        if seal not in _read_seals():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)
            try:
                os.write(descriptor, f"{seal}\n".encode())
            finally:
                os.close(descriptor)
    except OSError as exc:
        return f"{path}: {exc.strerror}"
    return None


def describe_environment() -> dict[str, str]:
    """Give the variable for workers that this process starts: to trust what it was told to."""
    text = os.environ.get(VARIABLE, "")
    if not _given or text.strip().lower() in _YES:
        return {VARIABLE: text} if text else {}
    return {VARIABLE: ",".join(sorted(_given))}


def _name_file() -> Path:
    """Name the file of seals, in the folder where programs of this person keep their state."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "sweep" / "trusted-code"


def _read_seals() -> set[str]:
    """Read the seals that this person's own file holds; none of one that others can write."""
    try:
        descriptor = os.open(_name_file(), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return set()
    try:
        found = os.fstat(descriptor)
        is_private = found.st_uid == os.getuid() and not found.st_mode & 0o022
        if not stat.S_ISREG(found.st_mode) or not is_private:
            return set()
        return set(os.read(descriptor, MAX_BYTES).decode("ascii", "replace").split())
    finally:
        os.close(descriptor)
