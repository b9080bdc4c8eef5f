"""What a person asked of a sweep: the options of `sweep run` laid over a `sweep.toml`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from sweep.config import SweepConfig, Value
from sweep.errors import ConfigError
from sweep.foreign import parse_toml, read_text

NOT_IN_FILES = ("dimensions", "fixed", "curve")
"""Parts of a request that a TOML file does not name so."""


@dataclass(frozen=True)
class Origin:
    """The trial of another sweep, with that sweep's config, whose hyperparameters are taken.

    `note` says what is to be known of how it was chosen, if anything is.
    """

    sweep: str
    trial: int
    config: SweepConfig
    params: Mapping[str, Value]
    note: str = ""


@dataclass(frozen=True)
class CurveRequest:
    """What a person asked of a sample-size curve; None or empty where they did not say."""

    sizes: tuple[int, ...] = ()
    repeats: int | None = None
    equal: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True)
class Request:
    """What a person asked; None or empty where they did not say.

    `dimensions` and `fixed` are texts `name=dimension`, as `--set` and `--fix` take them;
    `curve` is there where a sample-size curve is asked for instead of a search.
    """

    model: str | None = None
    data: tuple[str, ...] = ()
    val_data: tuple[str, ...] = ()
    test_data: tuple[str, ...] = ()
    x_key: str | None = None
    y_key: str | None = None
    variant: str | None = None
    events: int | None = None
    val_events: int | None = None
    test_events: int | None = None
    epochs: int | None = None
    recipe: str | None = None
    sampler: str | None = None
    pruner: str | None = None
    objective: str | None = None
    max_fp: float | None = None
    max_parameters: int | None = None
    max_latency_us: float | None = None
    seed: int | None = None
    profile: str | None = None
    dimensions: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    curve: CurveRequest | None = None


def read_request(path: Path) -> tuple[Request, dict[str, Any]]:
    """Read a `sweep.toml`.

    Its keys are the options of `sweep run`; the table `[space]` holds what `--set` and `--fix`
    would.

    Returns:
        The request, and the keys that are not part of it (trials, workers, timeout, ...).

    Raises:
        ConfigError: when the file is missing, no TOML, or a value has the wrong kind.
    """
    try:
        content = parse_toml(read_text(path))
    except FileNotFoundError as exc:
        raise ConfigError(
            f"{path}: no such file, got a missing path, expected a TOML file; check --config"
        ) from exc
    except (ValueError, OSError) as exc:
        raise ConfigError(f"{path}: not TOML, got {exc}, expected key = value; mend it") from exc
    for text in _list_texts(content):
        if not text.isprintable():
            raise ConfigError(
                f"{path}: a text holds what cannot be printed, got {text!r}, expected letters "
                "alone; mend it"
            )
    space = content.pop("space", {})
    if not isinstance(space, dict):
        raise ConfigError(f"{path}: space: got {space!r}, expected a table; write [space]")
    known = {field.name for field in fields(Request)}.difference(NOT_IN_FILES)
    asked = {key: _read_value(path, key, content.pop(key)) for key in list(content) if key in known}
    dimensions = tuple(f"{name}={_write_dimension(path, name, space[name])}" for name in space)
    return Request(**asked, dimensions=dimensions), content


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


def _read_value(path: Path, key: str, value: Any) -> Any:
    if key in ("data", "val_data", "test_data"):
        value = (value,) if isinstance(value, str) else value
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
            raise ConfigError(f"{path}: {key}: got {value!r}, expected a list of file names")
        return tuple(value)
    if key in ("max_fp", "max_latency_us"):
        return read_number(path, key, value)
    whole = key in ("events", "val_events", "test_events", "epochs", "seed", "max_parameters")
    if isinstance(value, bool) or not isinstance(value, int if whole else str):
        kind = "a whole number" if whole else "text"
        raise ConfigError(f"{path}: {key}: got {value!r}, expected {kind}; mend it")
    return value


def read_number(path: Path, key: str, value: Any) -> float:
    """Read a number of a TOML file, whose whole numbers have no end.

    Raises:
        ConfigError: when it is none, or too large.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{path}: {key}: got {value!r}, expected a number; mend it")
    try:
        return float(value)
    except OverflowError:
        raise ConfigError(
            f"{path}: {key}: got a number of {len(str(value))} digits, expected one below 1e308; "
            "mend it"
        ) from None


def _write_dimension(path: Path, name: str, value: Any) -> str:
    """Write a value of `[space]` as `--set` takes it, so that its type is read back.

    Text alone is a dimension, as `--set` takes it; within a list it is text.
    """
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else [value]
    if not parts or not all(isinstance(part, bool | int | float | str | list) for part in parts):
        raise ConfigError(
            f"{path}: space.{name}: got {value!r}, expected text, a number, true, false or a list "
            "of these; mend it"
        )
    try:
        return ",".join(json.dumps(part, ensure_ascii=False) for part in parts)
    except TypeError as exc:
        raise ConfigError(
            f"{path}: space.{name}: got {value!r}, expected numbers, text, true and false; mend it"
        ) from exc


def merge_requests(over: Request, under: Request) -> Request:
    """Lay one request over another; dimensions of both apply, the upper one's last."""
    chosen = {
        field.name: getattr(over, field.name)
        for field in fields(Request)
        if getattr(over, field.name) not in (None, ())
    }
    return replace(
        under,
        **chosen
        | {
            "dimensions": (*under.dimensions, *over.dimensions),
            "fixed": (*under.fixed, *over.fixed),
        },
    )
