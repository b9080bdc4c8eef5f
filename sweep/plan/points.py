"""A person's own points for a sweep: read from what they type or from a CSV file, and checked."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from sweep.config import MODEL
from sweep.errors import ConfigError
from sweep.files.foreign import read_text
from sweep.models.space import Dimension, Fixed
from sweep.models.space_text import parse_dimension
from sweep.models.value import Value

Space = Mapping[str, Dimension]


def read_point(
    texts: Sequence[str], space: Space, parts: Mapping[str, Space] = MappingProxyType({})
) -> dict[str, Value]:
    """Read a point as it is typed.

    Args:
        texts: `name=value` each; the sampler chooses what is not named.
        parts: Of a sweep of several architectures the space of each, by its label: the point says
            by MODEL which one it is of.

    Raises:
        ConfigError: when one is not readable, is named twice, or is not in the space.
    """
    cells: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not value:
            raise ConfigError(f"point: not readable, got {text!r}, expected name=value; as lr=1e-3")
        if name in cells:
            raise ConfigError(f"point.{name}: named twice, got {text!r}, expected it once")
        cells[name] = value
    own = _choose_space("point", cells, space, parts)
    return {name: _read_value(f"point.{name}", name, text, own) for name, text in cells.items()}


def read_points(
    path: Path, space: Space, parts: Mapping[str, Space] = MappingProxyType({})
) -> list[dict[str, Value]]:
    """Read points from a CSV file: a hyperparameter a column, a point a row.

    The sampler chooses where a cell is empty.

    Args:
        path: Of the file; its first line are the names.
        space, parts: As for `read_point`.

    Raises:
        ConfigError: when it cannot be read, holds no point, or a value is not in the space.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_text(path)), strict=True)
        names, rows = list(reader.fieldnames or ()), list(reader)
    except FileNotFoundError as exc:
        raise ConfigError(
            f"{path}: no such file, got a missing path, expected a CSV file; check --csv"
        ) from exc
    except (ValueError, OSError, csv.Error) as exc:
        raise ConfigError(
            f"{path}: not CSV, got {exc}, expected names, then values; mend it"
        ) from exc
    points = []
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values() or len(set(names)) < len(names):
            raise ConfigError(
                f"{path}: row {number}: other cells than names, got {len(names)} names, expected "
                "each once, and a cell for each; mend it"
            )
        where = f"{path}: row {number}"
        cells = {name.strip(): text.strip() for name, text in row.items() if text.strip()}
        own = _choose_space(where, cells, space, parts) if cells else {}
        points.append(
            {name: _read_value(f"{where}: {name}", name, text, own) for name, text in cells.items()}
        )
    if not any(points):
        raise ConfigError(f"{path}: no point, got {len(rows)} rows, expected values; add some")
    return points


def _choose_space(
    where: str, cells: Mapping[str, str], space: Space, parts: Mapping[str, Space]
) -> Space:
    """Choose the space of a point: in a sweep of several that of the architecture it names."""
    if not parts:
        return space
    label = cells.get(MODEL, "")
    if label not in parts:
        raise ConfigError(
            f"{where}: of no architecture, got {label or 'none'}, expected {MODEL}=NAME with "
            f"{' or '.join(parts)}; add it"
        )
    return {MODEL: Fixed(label), **parts[label]}


def _read_value(where: str, name: str, text: str, space: Mapping[str, Dimension]) -> Value:
    if name not in space:
        raise ConfigError(
            f"{where}: no such hyperparameter, got {name!r}, expected one of {', '.join(space)}; "
            "check the spelling"
        )
    try:
        read = parse_dimension(text, space[name])
    except ValueError as exc:
        raise ConfigError(f"{where}: {exc}") from exc
    if not isinstance(read, Fixed) or not space[name].contains(read.value):
        raise ConfigError(
            f"{where}: not in the space, got {text}, expected a value of {space[name]}; change it"
        )
    return read.value
