"""The header of a stored array (`.npy`), written, and read without trusting it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from sweep.files.foreign import parse_literal

MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 1 << 16
"""An array of floats needs a hundred; a table of a thousand named columns less than this."""

LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
"""Bytes that give the header's length, by version of the format (numpy.lib.format)."""


@dataclass(frozen=True)
class ArrayHeader:
    """What a stored array says about itself.

    Attributes:
        fortran_order: Whether its first index runs fastest.
        num_header_bytes: Length of all that stands before the values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    num_header_bytes: int

    @property
    def num_value_bytes(self) -> int:
        """Bytes of the values, as claimed; of pickled objects nobody knows."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes]) -> ArrayHeader:
    """Read a header and leave the stream at the first value.

    Raises:
        NotImplementedError: when it is of a version or a length that is not read here.
        ValueError: when it is none, or nested too deep.
        EOFError: when the stream ends first.
    """
    start = _read(stream, len(MAGIC) + 2)
    if not start.startswith(MAGIC):
        raise ValueError("no array: it does not begin as .npy does")
    version = (start[-2], start[-1])
    if version not in LENGTH_BYTES:
        raise NotImplementedError(f".npy format {version[0]}.{version[1]}")
    length_bytes = LENGTH_BYTES[version]
    length = int.from_bytes(_read(stream, length_bytes), "little")
    if length > MAX_HEADER_BYTES:
        raise NotImplementedError(f"a header of {length} bytes")
    text = _read(stream, length).decode("utf-8" if version == (3, 0) else "latin-1")
    return ArrayHeader(*_interpret(text), len(start) + length_bytes + length)


def write_header(stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Write the header of an array whose values follow in C order."""
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(stream, header)


def _read(stream: IO[bytes], num_bytes: int) -> bytes:
    content = stream.read(num_bytes)
    if len(content) < num_bytes:
        raise EOFError("it ends within its header")
    return content


def _interpret(text: str) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    try:
        fields = parse_literal(text)
    except ValueError as exc:
        raise ValueError(f"a header that is no literal ({exc})") from exc
    if not isinstance(fields, dict) or fields.keys() != {"descr", "fortran_order", "shape"}:
        raise ValueError("a header without descr, fortran_order and shape")
    shape, fortran_order = fields["shape"], fields["fortran_order"]
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("a header whose shape is none")
    if not isinstance(fortran_order, bool):
        raise ValueError("a header whose fortran_order is none")
    try:
        dtype = np.lib.format.descr_to_dtype(fields["descr"])
    except Exception as exc:  # whatever numpy makes of what stands there
        raise ValueError(f"a header whose descr is none ({exc})") from exc
    return shape, dtype, fortran_order
