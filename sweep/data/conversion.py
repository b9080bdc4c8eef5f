"""Write events as a course archive, the one format that every other program can read."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Literal

import numpy as np

from sweep.data.events import EventSet
from sweep.data.geometry import NUM_BINS, NUM_FEATURES
from sweep.data.npy import write_header
from sweep.data.progress import Progress
from sweep.errors import DataError
from sweep.files.output_file import check_output, write_output

CHUNK_EVENTS = 256
ARCHIVES = (".npz",)
FileType = Literal["float16", "float32"]


def convert_events(
    events: EventSet,
    path: Path,
    *,
    dtype: FileType = "float16",
    progress: Progress | None = None,
) -> None:
    """Write events as one compressed archive with `X` and `y`, whole or not at all.

    Generated vertices are not written. The same events in the same type give the same bytes.

    Args:
        dtype: Type of both arrays; float16 keeps three digits.

    Raises:
        DataError: When the name does not end in .npz, the directory cannot be written, the disk is
            full, or a value is too large for the type.
    """
    check_output(path, ARCHIVES, is_new=True)

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as handle:
            _write_archive(handle, events, np.dtype(dtype), str(path), progress)

    write_output(path, write)


def _write_archive(
    handle: IO[bytes],
    events: EventSet,
    dtype: np.dtype[np.floating],
    where: str,
    progress: Progress | None,
) -> None:
    """Write both members in chunks; each loads both arrays, which the page cache makes cheap."""
    num_events = len(events)
    shapes = {"X": (num_events, NUM_FEATURES, NUM_BINS), "y": (num_events, NUM_BINS)}
    with zipfile.ZipFile(handle, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for position, (key, shape) in enumerate(shapes.items()):
            entry = zipfile.ZipInfo(f"{key}.npy")  # its date is fixed: same events, same bytes
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member:
                write_header(member, dtype, shape)
                for chunk in events.iterate(CHUNK_EVENTS, progress):
                    values = chunk[position]
                    with np.errstate(over="ignore"):
                        stored = values.astype(dtype)
                    if np.isinf(stored).any():
                        raise DataError(
                            f"{where}: {key}: value too large, got {np.nanmax(np.abs(values))}, "
                            f"expected at most {np.finfo(dtype).max} for {dtype}; write float32"
                        )
                    member.write(stored.data)
