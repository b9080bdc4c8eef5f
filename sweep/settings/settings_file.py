"""One `sweep.toml`: what it sets, checked, each with the line that says so. Loads nothing heavy.

A key is an option of `sweep run` or `sweep worker` with `_` for `-`; the table `[space]` holds what
`--set` and `--fix` would. A table `[sites.NAME]` holds the same keys for those who choose that
site. Paths count from the folder of the file, `~` is the person's own.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.errors import ConfigError
from sweep.files.foreign import parse_toml, read_text

_DEVICES = ("workers", "gpus", "per_gpu", "launcher", "address", "device", "threads")
PLACES = frozenset(("storage", "artifacts", *_DEVICES))
"""What every command takes that has an option of the name; all else is of `sweep run` alone."""
SITES, SITE, SPACE = "sites", "site", "space"
KEPT = ("trials", "priority", "trial_timeout", "stop_when_flat", "sampler", "pruner")
"""What a sweep that is there keeps, as it does its space: `sweep.plan.kept` says when."""
LONGEST = 80
"""Of what is shown of a value that cannot be, in letters."""


@dataclass(frozen=True)
class Sayer:
    """Who says a value: a file and its line, or the name of a variable."""

    name: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.name}:{self.line}" if self.line else self.name


@dataclass(frozen=True)
class Setting:
    """A value, as its option takes it, and who says so."""

    value: Any
    sayer: Sayer


@dataclass(frozen=True)
class SettingsFile:
    """What a file sets: by key, and by key of each site; of the space as `space.lr`."""

    path: Path
    values: Mapping[str, Setting]
    sites: Mapping[str, Mapping[str, Setting]]


def read_settings_file(path: Path) -> SettingsFile:
    """Read a `sweep.toml`.

    Args:
        path: Paths in it stay as they are where it lies in the folder that a command is called in.

    Raises:
        ConfigError: when it is missing, no TOML, or says what cannot be.
    """
    try:
        if path.exists() and not path.is_file():
            raise ValueError("no file")  # a folder, or a pipe that would be waited for
        text = read_text(path)
        content = parse_toml(text)
    except FileNotFoundError as exc:
        raise ConfigError(
            f"{path}: no such file, got a missing path, expected a TOML file; check --config or "
            "SWEEP_CONFIG"
        ) from exc
    except OSError as exc:
        raise ConfigError(
            f"{path}: cannot be read, got {exc.strerror}, expected a readable file; mend its rights"
        ) from exc
    except ValueError as exc:
        reason = _shorten(str(exc))
        raise ConfigError(f"{path}: not TOML, got {reason}, expected key = value; mend it") from exc
    for found in _list_texts(content):
        if not found.isprintable():
            raise ConfigError(
                f"{path}: a text holds what cannot be printed, got {_show(found)}, "
                "expected letters alone; mend it"
            )
    reader = _Reader(path, find_lines(text))
    sites = reader.take_table(content, (SITES,))
    return SettingsFile(
        path,
        dict(reader.read(content, ())),
        {
            name: dict(reader.read(reader.take_table(sites, (SITES, name)), (SITES, name)))
            for name in list(sites)
        },
    )


def find_lines(text: str) -> dict[tuple[str, ...], int]:
    """Find the line of each key of a TOML document, by its path: `("sites", "cern", "storage")`.

    What lies within a text or a list of several lines is none; a line in doubt is left out.
    """
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        if fence:
            fence = "" if fence in line else fence
            continue
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            table = _read_path(header[1])
            lines.setdefault(table, number)
        elif "=" in line and not line.lstrip().startswith("#"):
            lines.setdefault((*table, *_read_path(line.partition("=")[0])), number)
        for mark in ('"""', "'''"):
            fence = mark if line.count(mark) % 2 else fence
    return lines


def _read_path(written: str) -> tuple[str, ...]:
    """Read `sites."my own".lr` as a path; what is none as one that nobody looks for."""
    try:
        value: Any = parse_toml(f"{written} = 0")
    except ValueError:
        return ("",)
    path = []
    while isinstance(value, dict) and value:
        ((name, value),) = value.items()
        path.append(name)
    return tuple(path)


class _Reader:
    """Checks the values of one file, and says where each stands."""

    def __init__(self, path: Path, lines: Mapping[tuple[str, ...], int]) -> None:
        self._path = path
        self._lines = lines

    def read(
        self, content: dict[str, Any], table: tuple[str, ...]
    ) -> Iterator[tuple[str, Setting]]:
        """Read the keys of a table."""
        space = self.take_table(content, (*table, SPACE))
        for key, value in content.items():
            kind = KINDS.get(key) if key != SITE or not table else None
            if kind is None:
                raise self._refuse_key(key, (*table, key))
            yield key, self._make(kind(self, key, value, (*table, key)), (*table, key))
        for name, value in space.items():
            path = (*table, SPACE, name)
            yield f"{SPACE}.{name}", self._make(self._write_dimension(value, path), path)

    def take_table(self, content: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        """Take a table out of another, an empty one where it is not there."""
        value = content.pop(path[-1], {})
        if not isinstance(value, dict):
            raise self.refuse(path, value, f"a table; write [{'.'.join(path)}]")
        return value

    def _make(self, value: Any, path: tuple[str, ...]) -> Setting:
        return Setting(value, Sayer(str(self._path), self._lines.get(path)))

    def _say(self, path: tuple[str, ...]) -> str:
        return f"{Sayer(str(self._path), self._lines.get(path))}: {'.'.join(path)}"

    def refuse(self, path: tuple[str, ...], value: Any, expected: str) -> ConfigError:
        """Give the fault of a value that cannot be."""
        return ConfigError(f"{self._say(path)}: got {_show(value)}, expected {expected}")

    def _refuse_key(self, key: str, path: tuple[str, ...]) -> ConfigError:
        """Give the fault of a key that is none, with the nearest one."""
        tables = [f"[{SPACE}]"] if len(path) > 1 else [f"[{SPACE}]", f"[{SITES}.NAME]"]
        near = difflib.get_close_matches(key, [*KINDS, SPACE, SITES], 1)
        expected = near[0] if near else f"one of {', '.join([*KINDS, *tables])}"
        return ConfigError(
            f"{self._say(path)}: unknown key, got {_shorten(key)}, expected {expected}; check the "
            "spelling"
        )

    def read_text(self, _key: str, value: Any, path: tuple[str, ...]) -> str:
        """Take text."""
        if not isinstance(value, str):
            raise self.refuse(path, value, "text; mend it")
        return value

    def read_word(self, _key: str, value: Any, path: tuple[str, ...]) -> str:
        """Take text or a whole number: `auto`, `2`."""
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise self.refuse(path, value, "text or a whole number; mend it")
        return str(value)

    def read_whole(self, _key: str, value: Any, path: tuple[str, ...]) -> int:
        """Take a whole number."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(path, value, "a whole number; mend it")
        return value

    def read_number(self, _key: str, value: Any, path: tuple[str, ...]) -> float:
        """Take a number; TOML's whole ones have no end."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(path, value, "a number; mend it")
        try:
            return float(value)
        except OverflowError:
            raise ConfigError(
                f"{self._say(path)}: got a number of {len(str(value))} digits, expected one below "
                "1e308; mend it"
            ) from None

    def read_flag(self, _key: str, value: Any, path: tuple[str, ...]) -> bool:
        """Take true or false."""
        if not isinstance(value, bool):
            raise self.refuse(path, value, "true or false; mend it")
        return value

    def read_files(self, _key: str, value: Any, path: tuple[str, ...]) -> list[str]:
        """Take one path or a list of them."""
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.refuse(path, value, "a list of file names; mend it")
        return [self._place(one) for one in value]

    def read_tracks(self, _key: str, value: Any, path: tuple[str, ...]) -> list[str]:
        """Take trackers, each perhaps with the path of a folder."""
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.refuse(path, value, "a list of trackers; mend it")
        parts = [one.partition(":") for one in value]
        return [f"{name}:{self._place(at)}" if at else name for name, _, at in parts]

    def read_folder(self, key: str, value: Any, path: tuple[str, ...]) -> str:
        """Take a path."""
        return self._place(self.read_text(key, value, path))

    def read_model(self, key: str, value: Any, path: tuple[str, ...]) -> str:
        """Take an architecture, or a path and a class; of several a list, or with commas."""
        listed = value if isinstance(value, list) else [value]
        texts = [self.read_text(key, one, path) for one in listed]
        if len(texts) == 1 and not Path(self._place(texts[0].rpartition(":")[0])).is_file():
            texts = texts[0].split(",")  # else a path that may have commas
        return ",".join(self._place_model(text.strip()) for text in texts)

    def _place_model(self, text: str) -> str:
        file, colon, name = text.rpartition(":")
        return f"{self._place(file)}:{name}" if colon and file.endswith(".py") else text

    def read_storage(self, key: str, value: Any, path: tuple[str, ...]) -> str:
        """Take the address of a database, of SQLite with a path."""
        text = self.read_text(key, value, path)
        found = re.fullmatch(r"(sqlite(?:\+\w+)?:///)([^?]+)(.*)", text)
        return f"{found[1]}{self._place(found[2])}{found[3]}" if found else text

    def _place(self, path: str) -> str:
        """Give a path of the file as one that counts from the folder of the command."""
        return str(self._path.parent / os.path.expanduser(path))

    def _write_dimension(self, value: Any, path: tuple[str, ...]) -> str:
        """Write a value of `[space]` as `--set` takes it, so that its type is read back.

        Text alone is a dimension, as `--set` takes it; within a list it is text.
        """
        if isinstance(value, str):
            return value
        parts = value if isinstance(value, list) else [value]
        expected = "text, a number, true, false or a list of these; mend it"
        if not parts or any(not isinstance(one, bool | int | float | str | list) for one in parts):
            raise self.refuse(path, value, expected)
        try:
            return ",".join(json.dumps(part, ensure_ascii=False) for part in parts)
        except (TypeError, ValueError, RecursionError):
            raise self.refuse(path, value, expected) from None


_TEXT, _WORD, _WHOLE = _Reader.read_text, _Reader.read_word, _Reader.read_whole
_NUMBER, _FLAG, _FILES = _Reader.read_number, _Reader.read_flag, _Reader.read_files
KINDS: Mapping[str, Callable[[_Reader, str, Any, tuple[str, ...]], Any]] = {
    SITE: _TEXT,
    "storage": _Reader.read_storage,
    "artifacts": _Reader.read_folder,
    **dict.fromkeys(("gpus", "per_gpu"), _WORD),
    **dict.fromkeys(("workers", "threads"), _WHOLE),
    **dict.fromkeys(("launcher", "address", "device"), _TEXT),
    "model": _Reader.read_model,
    **dict.fromkeys(("data", "val_data", "test_data"), _FILES),
    **dict.fromkeys(("x_key", "y_key", "variant", "recipe", "profile"), _TEXT),
    **dict.fromkeys(("events", "val_events", "test_events", "epochs", "seed", "trials"), _WHOLE),
    **dict.fromkeys(("sampler", "pruner", "objective", "cost", "sweep"), _TEXT),
    **dict.fromkeys(("max_parameters", "audit", "priority"), _WHOLE),
    **dict.fromkeys(("max_fp", "max_latency_us", "timeout", "trial_timeout"), _NUMBER),
    "track": _Reader.read_tracks,
    **dict.fromkeys(("no_confirm", "stop_when_flat", "trust_code"), _FLAG),
}
"""How each key is read."""


def _list_texts(value: Any) -> Iterator[str]:
    """List all texts of a TOML file, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for part in value.values():
            yield from _list_texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _list_texts(part)


def _show(value: Any) -> str:
    """Write a value out, without a password, short, and whatever it is."""
    try:
        text = repr(value)
    except ValueError:  # of a number with more digits than Python writes
        return "a number without end"
    if "://" in text:
        from sweep.storage.passwords import hide_passwords  # late: it loads SQLAlchemy

        text = hide_passwords(text)
    return _shorten(text)


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
