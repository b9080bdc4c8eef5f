"""The faults a person can put right, one class each; `str(error)` is the one line they are shown.

Every message reads `where: what is wrong, got VALUE, expected RULE; what to do`. The command line
turns any of them into that line and exit code 1; everything else is a defect and keeps its
traceback.
"""

from __future__ import annotations

from collections.abc import Iterable


class SweepError(Exception):
    """Base of all faults that a person can put right."""


class ConfigError(SweepError):
    """An option, a search space or a configuration file is not usable."""


class DataError(SweepError):
    """A file of events cannot be used as it is."""


class ModelError(SweepError):
    """A network cannot be built, loaded or run as asked."""


class ConflictError(SweepError):
    """A stored sweep differs from what was asked; nothing stored was changed."""


class FormError(SweepError):
    """A form of the pages cannot be done as it was sent; nothing was changed."""


def summarise_fault(exc: BaseException) -> str:
    """Give the first line of what a fault says, or its kind where it says nothing."""
    return (str(exc) or repr(exc)).splitlines()[0]


def list_allowed(names: Iterable[str]) -> str:
    """Write the names of which one is expected: `a, b or c`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def check_known(option: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is none of those an option takes, with a ConfigError."""
    names = tuple(known)
    if name not in names:
        raise ConfigError(
            f"{option}: unknown, got {name!r}, expected {list_allowed(names)}; change --{option}"
        )


def check_least(option: str, number: int | None, least: int = 1) -> None:
    """Refuse a number that is too low for an option, with a ConfigError; None is not given."""
    if number is not None and number < least:
        raise ConfigError(f"{option}: got {number}, expected at least {least}; raise --{option}")
