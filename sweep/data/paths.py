"""How many events are asked for, and where their files lie: told before what reads them loads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sweep.errors import DataError


def check_counts(num_train: int | None, num_validation: int | None, num_test: int | None) -> None:
    """Refuse numbers of events that are too low; None where none is asked for."""
    counts = {"events": num_train, "val-events": num_validation, "test-events": num_test}
    for option, count in counts.items():
        if count is not None and count < 1:
            raise DataError(
                f"{option}: too few, got {count}, expected at least 1; raise --{option}"
            )


def check_paths(paths: Sequence[Path]) -> None:
    """Refuse paths at which no file is."""
    for path in paths:
        try:
            path.stat()
        except OSError as exc:
            raise DataError(
                f"{path}: cannot be read, got {exc.strerror}, expected a file; check the path"
            ) from exc
        if not path.is_file():
            raise DataError(
                f"{path}: not a file, got a directory or device, expected .npz or HDF5; "
                "name the file itself"
            )


def name_files(names: Sequence[str]) -> tuple[str, ...]:
    """Give files the names under which any worker finds them, wherever it was started."""
    return tuple(str(Path(name).resolve()) for name in names)


def find_files(names: Sequence[str]) -> tuple[str, ...]:
    """Find the files of a stored sweep: where they were, or in the folders of `SWEEP_DATA`.

    Whether they hold the sweep's events is for their fingerprint to say.

    Raises:
        DataError: when one is in none of these places.
    """
    return tuple(_find_file(Path(name)) for name in names)


def _find_file(path: Path) -> str:
    folders = [Path(name) for name in os.environ.get("SWEEP_DATA", "").split(os.pathsep) if name]
    for place in (path, *(folder / path.name for folder in folders)):
        if place.exists():
            return str(place)
    raise DataError(
        f"{path}: the events of the sweep are not there, got a missing file, expected it there or "
        "in a folder of SWEEP_DATA; say where it lies now with `sweep run ... --data FILE`"
    )
