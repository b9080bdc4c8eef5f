"""What a file claims to hold, compared with its size and with the room on the disk.

A few kilobytes can announce a million events. Nothing is unpacked or written before these checks.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sweep.errors import DataError

MAX_EXPANSION = 100
MIN_SUSPECT_BYTES = 1 << 30
"""Events pack to a half or a tenth. What unpacks to more than a gigabyte and to more than a hundred
times its size is nothing but repetition."""


def check_expansion(where: str, num_bytes: int, num_packed_bytes: int) -> None:
    """Refuse values that would unpack to a multiple of their file that no events do.

    Raises:
        DataError: when they are more than a gigabyte and more than a hundred times as large.
    """
    if num_bytes > MIN_SUSPECT_BYTES and num_bytes > MAX_EXPANSION * num_packed_bytes:
        raise DataError(
            f"{where}: claims more than it can hold, got {format_bytes(num_bytes)} packed into "
            f"{format_bytes(num_packed_bytes)}, expected at most {MAX_EXPANSION} times as much; "
            "such a file holds no events, or store them uncompressed"
        )


def check_room(directory: Path, num_bytes: int, what: str) -> None:
    """Make sure before anything is written that it fits on the disk.

    Raises:
        DataError: when less is free.
    """
    free = shutil.disk_usage(directory).free
    if num_bytes > free:
        raise DataError(
            f"{directory}: not enough room for {what}, got {format_bytes(free)} free, expected "
            f"{format_bytes(num_bytes)}; make room or set SWEEP_CACHE to another directory"
        )


def format_bytes(num_bytes: int) -> str:
    """Write a number of bytes for people: 5 bytes, 2.5 kB, 12 GB."""
    if num_bytes < 1000:
        return f"{num_bytes} bytes"
    value, units = float(num_bytes), iter(("kB", "MB", "GB", "TB"))
    unit = ""
    while value >= 1000 and (following := next(units, None)):
        value, unit = value / 1000, following
    return f"{value:.3g} {unit}"
