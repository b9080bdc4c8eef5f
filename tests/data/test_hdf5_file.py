"""HDF5 files: locks, links, filters and holes get their names; fill values are no data."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from sweep.data import sizes
from sweep.data.formats import open_events
from sweep.errors import DataError
from tests.data.test_formats import write_hdf5

NUM_EVENTS = 4
SHAPE = (NUM_EVENTS, 4000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A whole PV-Finder file."""
    write_hdf5(tmp_path / "pv.h5", NUM_EVENTS)
    return tmp_path / "pv.h5"


@contextmanager
def hold(path: Path, *lines: str) -> Iterator[subprocess.Popen[str]]:
    """Let another process open a file as `f`, and hold it."""
    program = "\n".join(["import h5py, sys", *lines, "print('held', flush=True)", "input()"])
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_file_that_a_writer_holds_is_not_damaged(path: Path) -> None:
    """The line names the lock, and the file is read once the writer has gone."""
    with (
        hold(path, "f = h5py.File(sys.argv[1], 'a')"),
        pytest.raises(DataError, match="another program has it open for writing"),
    ):
        open_events([path])
    assert len(open_events([path])) == NUM_EVENTS


def test_a_file_that_is_being_written_is_not_damaged(path: Path) -> None:
    """A writer that lets others read (SWMR) holds no lock, and leaves a mark when it is killed."""
    write = "f = h5py.File(sys.argv[1], 'a', libver='latest')"
    with (
        h5py.File(path, "r") as old,
        h5py.File(path.with_name("new.h5"), "w", libver="latest") as f,
    ):
        for key in old:
            f[key] = old[key][()]
    new = path.with_name("new.h5")
    with (
        hold(new, write, "f.swmr_mode = True"),
        pytest.raises(DataError, match="another program writes it, or was stopped"),
    ):
        open_events([new])
    with pytest.raises(DataError, match="h5clear"):
        open_events([new])


def add_beside(path: Path) -> None:
    """Add what nobody asks for and nobody can read."""
    with h5py.File(path, "a") as file:
        file["dead"] = h5py.SoftLink("/nowhere")
        file["circle"] = h5py.SoftLink("/circle")
        file["elsewhere"] = h5py.ExternalLink("gone.h5", "/a")
        file["nothing"] = h5py.Empty("f4")
        file["type"] = np.dtype("f4")
        file.create_group("pv_loc")
        file.create_dataset("unwritten", SHAPE, "f4")


def test_what_stands_beside_the_arrays_is_left_alone(path: Path) -> None:
    """Dead links, groups and holes in other arrays spoil nothing, and are listed where asked."""
    add_beside(path)
    assert len(open_events([path])) == NUM_EVENTS
    with h5py.File(path, "a") as file:
        del file["pv"]
    with pytest.raises(DataError, match=r"dead \(no array\).*unwritten \(4, 4000\)"):
        open_events([path])


def test_a_user_block_comes_before_a_file(path: Path) -> None:
    """HDF5 may begin behind 512 bytes, or a power of two times them."""
    for size in (512, 4096):
        moved = path.with_name(f"{size}.h5")
        moved.write_bytes(b"#" * size + path.read_bytes())
        assert open_events([moved]).fingerprint == open_events([path]).fingerprint


def replace(key: str, make: Callable[[h5py.File], object]) -> Callable[[Path], None]:
    """Put something else under a key of a file."""

    def change(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file[key]
            found = make(file)
            if found is not None:
                file[key] = found

    return change


def make_unwritten(file: h5py.File) -> None:
    file.create_dataset("kernel", SHAPE, "f2")


def make_half_written(file: h5py.File) -> None:
    array = file.create_dataset("kernel", SHAPE, "f2", chunks=(1, 4000), compression="gzip")
    array[: NUM_EVENTS // 2] = 0.5


def make_external(file: h5py.File) -> None:
    file.create_dataset("kernel", SHAPE, "f2", external=[("raw.bin", 0, h5py.h5f.UNLIMITED)])


def make_virtual(layout: h5py.VirtualLayout) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        file.create_virtual_dataset("kernel", layout)

    return make


def lay_out(name: str, key: str = "kernel", first: int = 0, length: int = NUM_EVENTS):
    """Make a virtual array of some rows of a source of as many."""
    layout = h5py.VirtualLayout(SHAPE, "f2")
    layout[first : first + length] = h5py.VirtualSource(name, key, (length, 4000), "f2")
    return make_virtual(layout)


BAD_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "never written": (replace("kernel", make_unwritten), "kernel: not all values were written"),
    "half written": (replace("kernel", make_half_written), "written, got 2 of 4 chunks"),
    "a group": (replace("pv", lambda file: file.create_group("pv") and None), "pv is no array"),
    "a dead link": (
        replace("pv", lambda file: h5py.SoftLink("/nowhere")),
        "pv is a link that leads nowhere, got /nowhere",
    ),
    "a link to a file that is gone": (
        replace("pv", lambda file: h5py.ExternalLink("gone.h5", "/pv")),
        r"pv: the file that holds its values is gone, got no gone\.h5",
    ),
    "values outside of HDF5": (
        replace("kernel", make_external),
        "kernel: keeps its values outside",
    ),
    "a source that is gone": (
        replace("kernel", lay_out("gone.h5")),
        r"kernel: source 0 \(gone\.h5:kernel\): the file that holds its values is gone",
    ),
    "a source without the array": (
        replace("kernel", lay_out("whole.h5", "kernels")),
        r"whole\.h5: kernels is missing",
    ),
    "a source that is too small": (
        replace("kernel", lay_out("small.h5")),
        r"source 0 \(small\.h5:kernel\): not all values were written, got an array of shape \(2,",
    ),
    "sources that leave a hole": (
        replace("kernel", lay_out("small.h5", length=2)),
        "not all values were written, got sources for 8000 of 16000",
    ),
    "a source that was never written": (
        replace("kernel", lay_out("empty.h5")),
        r"source 0 \(empty\.h5:kernel\): not all values were written",
    ),
    "a source of itself": (replace("kernel", lay_out(".")), "a virtual dataset of itself"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_is_wrong_is_called_by_its_name(name: str, path: Path, cache: Path) -> None:
    """One line that names the fault; zeros that HDF5 makes up are never taken for events."""
    write_hdf5(path.with_name("whole.h5"), NUM_EVENTS)
    write_hdf5(path.with_name("small.h5"), 2)
    with h5py.File(path.with_name("empty.h5"), "w") as file:
        make_unwritten(file)
    change, message = BAD_FILES[name]
    change(path)
    with pytest.raises(DataError, match=message) as caught:
        open_events([path])
    assert "\n" not in str(caught.value) and "damaged" not in str(caught.value)
    assert list((cache / "events").glob("*")) == []


def test_a_million_events_that_were_never_written_are_refused_at_once(
    path: Path, cache: Path
) -> None:
    """A few kilobytes that claim 2^20 events write nothing."""
    with h5py.File(path, "w") as file:
        for key in ("kernel", "Xmax", "Ymax", "pv", "pv_other"):
            file.create_dataset(key, (1 << 20, 4000), "f4", chunks=(64, 4000))
    assert path.stat().st_size < 20_000
    with pytest.raises(DataError, match=r"kernel: not all values were .* 0 of 16384 chunks"):
        open_events([path])
    assert list((cache / "events").glob("*")) == []


def test_zeros_packed_by_the_thousand_are_refused(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written, so no holes, but far more in all than events pack to."""
    monkeypatch.setattr(sizes, "MIN_SUSPECT_BYTES", 10 << 20)
    zeros = np.zeros((400, 4000), "f4")
    with h5py.File(path, "w") as file:
        for key in ("kernel", "Xmax", "Ymax", "pv", "pv_other"):
            file.create_dataset(key, data=zeros, chunks=(200, 4000), compression="gzip")
    with pytest.raises(DataError, match=r"pv.h5: claims more than it can hold, got 32 MB packed"):
        open_events([path])
    assert list((cache / "events").glob("*")) == []


def test_events_packed_together_are_read_together(path: Path) -> None:
    """However many are in a chunk, the events are the same, in the same order."""
    usual = path.with_name("usual.h5")
    arrays = write_hdf5(usual, 150)
    expected = open_events([usual]).fingerprint
    for rows in (1, 3, 100, 150):
        packed = path.with_name(f"packed_{rows}.h5")
        with h5py.File(packed, "w") as file:
            for key, array in arrays.items():
                file.create_dataset(key, data=array.astype("f2"), chunks=(rows, 4000))
        assert open_events([packed]).fingerprint == expected, rows


def test_a_filter_that_is_not_here_is_named(path: Path) -> None:
    """Values packed by a plugin are not damaged; the line tells its number."""
    with h5py.File(path, "a") as file:
        del file["kernel"]
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((1, 4000))
        properties.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        space = h5py.h5s.create_simple(SHAPE)
        made = h5py.h5d.create(file.id, b"kernel", h5py.h5t.IEEE_F16LE, space, properties)
        h5py.Dataset(made)[:] = 0.5
    with pytest.raises(DataError, match=r"kernel: packed by a filter .* got filter 32015"):
        open_events([path])


def test_a_virtual_dataset_is_its_sources(path: Path) -> None:
    """Two files that are joined by one give their events; when one changes it is read again."""
    parts = [path.with_name("a.h5"), path.with_name("b.h5")]
    arrays = [write_hdf5(part, 2) for part in parts]
    with h5py.File(path, "w") as file:
        for key in ("kernel", "Xmax", "Ymax", "pv", "pv_other"):
            layout = h5py.VirtualLayout(SHAPE, "f2")
            for number, part in enumerate(parts):
                layout[2 * number : 2 * number + 2] = h5py.VirtualSource(
                    part.name, key, (2, 4000), "f2"
                )
            file.create_virtual_dataset(key, layout)
    events = open_events([path])
    joined = np.concatenate([array["kernel"] for array in arrays])
    np.testing.assert_array_equal(events.load(range(4))[0][:, 0], joined)
    with h5py.File(parts[1], "a") as file:
        file["kernel"][...] = 0.25
    assert (open_events([path]).load([3])[0][0, 0] == 0.25).all()
    parts[1].unlink()
    with pytest.raises(DataError, match=r"the file that holds its values is gone, got no b\.h5"):
        open_events([path])
