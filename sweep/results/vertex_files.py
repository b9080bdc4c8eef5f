"""Files of found vertices: a row each in CSV and Parquet, arrays in npz, and PV-Finder's own HDF5.

PV-Finder's programs read positions as jagged arrays that its library awkward (version 0) wrote, and
histograms as plain ones; a file here has the same names and the same bytes (uc-lhcb/pv-finder,
model/origdata*.py; scikit-hep/awkward-0.x, awkward0/persist.py).

Shapes: B event of a batch, L bin, N event of all, V vertex.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.geometry import NUM_BINS
from sweep.files.output_file import check_output, check_parquet, telling_faults
from sweep.storage.files import flush, open_scratch

if TYPE_CHECKING:
    from sweep.metrics.decode import Decode

COLUMNS = ("event", "z_mm", "height", "width_mm", "integral")
TYPES = ("int64", "float64", "float32", "float64", "float32")
"""Of the columns, in their order."""
AWKWARD_VERSION = "0.15.5"


@dataclass(frozen=True)
class Finder:
    """What found vertices: the network, in how many events, and what counts as a peak."""

    model: str
    num_events: int
    decode: Decode

    def describe(self) -> dict[str, str | int | float]:
        """Give what a file says of it, by name."""
        return {
            "model": self.model,
            "num_events": self.num_events,
            "threshold": self.decode.threshold,
            "integral_threshold": self.decode.integral,
            "min_width": self.decode.min_width,
        }


@dataclass(frozen=True)
class VertexBatch:
    """Vertices of some events, ordered by event and then along the beam line.

    Attributes:
        first_event: Number of the first of the events, from 0.
        histogram_BL: What the network predicts for them.
        event_V: Number of each vertex's event.
        z_mm_V: Position along the beam line.
        height_V: Highest bin.
        width_mm_V: Width of the bins above the threshold.
        integral_V: Sum of their heights.
    """

    first_event: int
    histogram_BL: NDArray[np.float32]
    event_V: NDArray[np.int64]
    z_mm_V: NDArray[np.float64]
    height_V: NDArray[np.float32]
    width_mm_V: NDArray[np.float64]
    integral_V: NDArray[np.float32]

    def list_columns(self) -> tuple[NDArray[Any], ...]:
        """Give the columns of `COLUMNS`."""
        return self.event_V, self.z_mm_V, self.height_V, self.width_mm_V, self.integral_V


class VertexFile:
    """A file being written: vertices are gathered until it is finished, some 40 bytes each.

    An event's features are 64 kB.
    """

    def __init__(self, path: Path, finder: Finder) -> None:
        self._path, self._finder = path, finder
        self._parts: list[tuple[NDArray[Any], ...]] = []

    def add(self, batch: VertexBatch) -> None:
        """Add the vertices of the next events."""
        self._parts.append(batch.list_columns())

    def finish(self) -> None:
        """Write what is left, once all events were added."""

    def close(self) -> None:
        """Close what is open, whatever happened."""

    def join(self) -> dict[str, NDArray[Any]]:
        """Give all vertices by column."""
        return {
            name: np.concatenate([part[index] for part in self._parts]).astype(kind)
            for index, (name, kind) in enumerate(zip(COLUMNS, TYPES, strict=True))
        }


class _CsvFile(VertexFile):
    def __init__(self, path: Path, finder: Finder) -> None:
        super().__init__(path, finder)
        self._handle = open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115 - close()
        self._handle.write(",".join(COLUMNS) + "\n")

    def add(self, batch: VertexBatch) -> None:
        for event, z_mm, *others in zip(*batch.list_columns(), strict=True):
            numbers = ",".join(f"{value:.7g}" for value in others)
            self._handle.write(f"{event},{z_mm:.6f},{numbers}\n")

    def close(self) -> None:
        self._handle.close()


class _ParquetFile(VertexFile):
    def finish(self) -> None:
        import pandas as pd

        frame = pd.DataFrame(self.join())
        frame.attrs.update(self._finder.describe())
        frame.to_parquet(self._path, engine="pyarrow", index=False)


class _NpzFile(VertexFile):
    def finish(self) -> None:
        columns = self.join()
        events = np.arange(self._finder.num_events + 1)
        arrays: Mapping[str, Any] = {
            **columns,
            "offsets": np.searchsorted(columns["event"], events),
            **self._finder.describe(),
        }
        with open(self._path, "wb") as handle:
            np.savez_compressed(handle, **arrays)


class _PvFinderFile(VertexFile):
    def __init__(self, path: Path, finder: Finder) -> None:
        import h5py

        super().__init__(path, finder)
        self._file = h5py.File(path, "w")
        self._file.attrs.update(finder.describe())
        self._pv = self._file.create_dataset(
            "pv",
            (finder.num_events, NUM_BINS),
            "float16",
            chunks=(min(64, finder.num_events), NUM_BINS),
            compression="lzf",
        )

    def add(self, batch: VertexBatch) -> None:
        super().add(batch)
        most = float(np.finfo(np.float16).max)
        rows = slice(batch.first_event, batch.first_event + len(batch.histogram_BL))
        self._pv[rows] = np.minimum(batch.histogram_BL, most).astype(np.float16)

    def finish(self) -> None:
        columns = self.join()
        counts = np.bincount(columns["event"], minlength=self._finder.num_events)
        named = {
            "pv_loc": "z_mm",
            "pv_height": "height",
            "pv_width": "width_mm",
            "pv_integral": "integral",
        }
        for name, column in named.items():
            self._write_jagged(name, counts, columns[column])

    def close(self) -> None:
        self._file.close()

    def _write_jagged(self, name: str, counts_N: NDArray[Any], values_V: NDArray[Any]) -> None:
        """Write a list of lists as awkward 0 does: bytes of both arrays, and how to read them."""
        buffers = {"1": counts_N.astype("int64"), "3": values_V}

        def read(number: str, length: dict[str, int]) -> dict[str, Any]:
            return {
                "call": ["awkward", "numpy", "frombuffer"],
                "args": [{"read": number}, {"dtype": str(buffers[number].dtype)}, length],
                "id": int(number),
            }

        schema = {
            "awkward": AWKWARD_VERSION,
            "schema": {
                "call": ["awkward", "JaggedArray", "fromcounts"],
                "args": [read(number, {"json": len(values)}) for number, values in buffers.items()],
                "id": 0,
            },
            "prefix": f"{name}/",
        }
        group = self._file.create_group(name)
        contents = {number: values.tobytes() for number, values in buffers.items()}
        for key, content in {**contents, "schema.json": json.dumps(schema).encode()}.items():
            group[key] = np.frombuffer(content, dtype=np.uint8)


FORMS: Mapping[str, type[VertexFile]] = {
    ".csv": _CsvFile,
    ".parquet": _ParquetFile,
    ".npz": _NpzFile,
    ".h5": _PvFinderFile,
    ".hdf5": _PvFinderFile,
}
"""By the ending of the name."""


def check_vertex_path(path: Path) -> None:
    """Refuse, before anything heavy is loaded, a name that no vertices can be written under.

    Raises:
        DataError: when its ending is unknown, its folder does not exist, something has the name
            already, or a package is missing.
    """
    check_output(path, FORMS, is_new=True)
    if path.suffix == ".parquet":
        check_parquet()


@contextlib.contextmanager
def open_vertex_file(path: Path, finder: Finder) -> Iterator[Callable[[VertexBatch], None]]:
    """Write a file of vertices, whole or not at all; yields what adds those of the next events.

    Raises:
        DataError: as `check_vertex_path`, and when the disk is full or the folder not writable.
    """
    check_vertex_path(path)
    with contextlib.ExitStack() as stack:
        with telling_faults(path):
            scratch = stack.enter_context(open_scratch(path.parent))
            temporary = scratch / f"file{path.suffix}"
            file = FORMS[path.suffix](temporary, finder)
        stack.callback(file.close)

        def add(batch: VertexBatch) -> None:
            with telling_faults(path):  # faults of whoever finds the vertices are not the file's
                file.add(batch)

        yield add
        with telling_faults(path):
            file.finish()
            file.close()
            flush(temporary)
            temporary.replace(path)
            flush(path.parent)
