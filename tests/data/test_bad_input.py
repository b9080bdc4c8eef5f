"""Every fault of a file is one clear line before anything trains and leaves no cache entry."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sweep.data.formats import open_events
from sweep.data.splits import pair_events, split_events
from sweep.data.toy import open_toy_events
from sweep.errors import DataError
from tests.data.conftest import WriteNpz, make_arrays
from tests.data.test_formats import write_hdf5


class Exploit:
    """Proves by a file that it was unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, (str(self.witness), "w")


def change(**values: Any) -> Callable[[Path], Path]:
    """Make a file whose X and y are changed at one place each, or replaced."""

    def write(directory: Path) -> Path:
        arrays: dict[str, Any] = dict(zip(("X", "y"), make_arrays(70), strict=True))
        for key, value in values.items():
            if callable(value):
                arrays[key] = value(arrays[key])
            elif value is None:
                del arrays[key]
            else:
                arrays[key] = value
        np.savez_compressed(directory / "bad.npz", **arrays)
        return directory / "bad.npz"

    return write


def put(value: float, place: tuple[int, ...]) -> Callable[[np.ndarray], np.ndarray]:
    """Set one value."""

    def apply(array: np.ndarray) -> np.ndarray:
        array[place] = value
        return array

    return apply


def write_bytes(content: bytes) -> Callable[[Path], Path]:
    """Write a file that is no archive."""

    def write(directory: Path) -> Path:
        (directory / "bad.npz").write_bytes(content)
        return directory / "bad.npz"

    return write


def cut(share: float) -> Callable[[Path], Path]:
    """Write an archive that ends too early."""

    def write(directory: Path) -> Path:
        path = change()(directory)
        content = path.read_bytes()
        path.write_bytes(content[: max(10, int(share * len(content)))])
        return path

    return write


def flip_byte(directory: Path) -> Path:
    """Write an archive with one wrong byte in the middle of X."""
    path = change()(directory)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    return path


def shorten_member(directory: Path) -> Path:
    """Write a whole archive whose X has fewer bytes than its header says."""
    path = change()(directory)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", members["X.npy"][:-1000])
        archive.writestr("y.npy", members["y.npy"])
    return path


def pickle_objects(directory: Path) -> Path:
    """Write an archive whose X would run code when unpickled."""
    objects = np.array([Exploit(directory / "witness")] * 2, dtype=object)
    np.savez(directory / "bad.npz", X=objects, y=make_arrays(2)[1])
    return directory / "bad.npz"


def open_bracket(directory: Path) -> Path:
    """Write a whole archive whose X has a header that does not end as it began."""
    path = change()(directory)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.replace(b"4000)", b"4000 "))
    return path


def change_hdf5(key: str, content: Any) -> Callable[[Path], Path]:
    """Make an HDF5 file with something else under a key."""

    def write(directory: Path) -> Path:
        path = directory / "bad.h5"
        write_hdf5(path, 4)
        with h5py.File(path, "a") as file:
            del file[key]
            file[key] = content
        return path

    return write


def damage_hdf5(directory: Path) -> Path:
    """Write an HDF5 file whose table of contents is not where it should be."""
    path = directory / "bad.h5"
    write_hdf5(path, 4)
    path.write_bytes(path.read_bytes().replace(b"SNOD", b"NODS"))
    return path


def cut_hdf5(directory: Path) -> Path:
    """Write an HDF5 file that ends too early."""
    path = directory / "bad.h5"
    write_hdf5(path, 4)
    path.write_bytes(path.read_bytes()[:5000])
    return path


def strip_hdf5(directory: Path) -> Path:
    """Write an HDF5 file without the other vertices."""
    path = directory / "bad.h5"
    write_hdf5(path, 4)
    with h5py.File(path, "a") as file:
        del file["pv_other"]
    return path


X, Y = make_arrays(2)
BAD_FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda directory: directory / "none.npz", "No such file"),
    "a directory": (lambda directory: directory, "not a file"),
    "not an archive": (write_bytes(b"event,bin,value\n" * 99), "not an archive"),
    "empty file": (write_bytes(b""), "not an archive"),
    "cut to 90 %": (cut(0.9), "cut short or damaged"),
    "cut to 10 bytes": (cut(0.0), "cut short or damaged"),
    "one byte flipped": (flip_byte, "cut short or damaged"),
    "fewer bytes than announced": (shorten_member, "cut short or damaged"),
    "pickled objects": (pickle_objects, "pickled objects"),
    "X of three features": (change(X=X[:, :3]), r"X: wrong shape, got \(2, 3, 4000\)"),
    "X of two dimensions": (change(X=X[:, 0]), "X: wrong shape"),
    "X of integers": (change(X=X.astype("i4"), y=Y), "X: wrong type, got int32"),
    "y of 3999 bins": (change(y=Y[:, :-1]), r"y: wrong shape, got \(2, 3999\)"),
    "lengths differ": (change(y=Y), "got 70 and 2 events"),
    "no events": (change(X=X[:0], y=Y[:0]), "no events"),
    "NaN in X": (change(X=put(np.nan, (68, 2, 7))), "got nan at event 68 feature 2 bin 7"),
    "inf in X": (change(X=put(-np.inf, (3, 0, 0))), "got -inf at event 3 feature 0 bin 0"),
    "X beyond float32": (
        change(X=X.astype("f8") * 1e300, y=Y),
        "X: NaN or inf, got",
    ),
    "inf in y": (change(y=put(np.inf, (69, 5))), "y: inf, got inf at event 69 bin 5"),
    "all-NaN y": (change(y=lambda y: y * np.nan), "every bin of every event is NaN"),
    "negative target": (change(y=put(-0.25, (69, 5))), "negative target, got -0.25 at event 69"),
    "no such keys": (change(X=None), r"unknown keys, got y \(70, 4000\)"),
    "two that fit": (change(X=None, a=X, b=X), "unknown keys"),
    "an open bracket in a header": (open_bracket, "cut short or damaged"),
    "HDF5 that links to nothing": (
        change_hdf5("pv_other", h5py.SoftLink("/nowhere")),
        r"pv_other is a link that leads nowhere, got /nowhere",
    ),
    "HDF5 with damaged contents": (damage_hdf5, "HDF5 file is cut short or damaged"),
    "HDF5 whose square float32 cannot hold": (
        change_hdf5("kernel", np.full((4, 4000), 1e30, "f4")),
        "got inf at event 0 feature 1 bin 0",
    ),
    "HDF5 whose square its own type cannot hold": (
        change_hdf5("kernel", np.full((4, 4000), 300, "f2")),
        "got inf at event 0 feature 1 bin 0",
    ),
    "HDF5 beyond float32": (
        change_hdf5("kernel", np.full((4, 4000), 1e300)),
        "got inf at event 0 feature 0 bin 0",
    ),
    "HDF5 cut short": (cut_hdf5, "HDF5 file is cut short or damaged"),
    "HDF5 without a key": (strip_hdf5, "unknown keys, got Xmax"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(name: str, tmp_path: Path, cache: Path) -> None:
    """The line names the file and the fault; neither a store nor a temporary one is left behind."""
    directory = tmp_path / "data"
    directory.mkdir()
    write, message = BAD_FILES[name]
    path = write(directory)
    with pytest.raises(DataError, match=message) as caught:
        open_events([path])
    line = str(caught.value)
    assert "\n" not in line and str(path) in line and "expected" in line
    assert list((cache / "events").glob("*")) == []
    assert not (directory / "witness").exists()


@pytest.mark.parametrize("option", ["x_key", "y_key"])
def test_a_key_that_is_not_there_is_refused(write_npz: WriteNpz, option: str) -> None:
    """A key named by option must exist; the keys that do are listed with their shapes."""
    with pytest.raises(DataError, match=r"got Z, expected one of X \(6, 4, 4000\), y \(6, 4000\)"):
        open_events([write_npz()], **{option: "Z"})


def test_a_key_name_for_hdf5_is_refused(tmp_path: Path) -> None:
    """Key names mean nothing for PV-Finder files and are not ignored in silence."""
    write_hdf5(tmp_path / "pv.h5", 2)
    with pytest.raises(DataError, match="--variant"):
        open_events([tmp_path / "pv.h5"], x_key="kernel")


def test_no_file_at_all_is_refused() -> None:
    """An empty list of files is a fault of the caller's input."""
    with pytest.raises(DataError, match="no file given"):
        open_events([])


@pytest.mark.parametrize(("num_train", "num_validation"), [(5, 2), (1, 6), (None, 6), (1, 7)])
def test_fewer_events_than_asked_is_refused(
    write_npz: WriteNpz, num_train: int | None, num_validation: int
) -> None:
    """Six events give no more than six, and at least one to train on."""
    events = open_events([write_npz()])
    with pytest.raises(DataError, match="fewer events than asked, got 6"):
        split_events(events, num_train=num_train, num_validation=num_validation)


@pytest.mark.parametrize(("num_train", "num_validation"), [(0, 1), (1, 0), (-3, 1)])
def test_a_count_below_one_is_refused(
    write_npz: WriteNpz, num_train: int, num_validation: int
) -> None:
    """Nothing can be learned from or judged by no events."""
    events = open_events([write_npz()])
    with pytest.raises(DataError, match="expected at least 1"):
        split_events(events, num_train=num_train, num_validation=num_validation)


def test_the_same_event_on_both_sides_is_refused(write_npz: WriteNpz) -> None:
    """Overlap between given files is counted, with an example, also across float types."""
    x, y = make_arrays(6)
    train = open_events([write_npz("train.npz", X=x[:5], y=y[:5])])
    other_y = np.zeros_like(y[3:])
    validation = open_events([write_npz("val.npz", X=x[3:].astype("f2"), y=other_y)])
    with pytest.raises(DataError, match=r"got 2 validation .*event 0 is event 3 of train.npz"):
        pair_events(train, validation)


@pytest.mark.parametrize(("num_events", "seed"), [(0, 1), (-1, 1), (1, -1)])
def test_toy_events_refuse_impossible_numbers(num_events: int, seed: int, cache: Path) -> None:
    """Neither no events nor a negative seed."""
    with pytest.raises(DataError, match="expected"):
        open_toy_events(num_events, seed)
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_named(
    write_npz: WriteNpz, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in the place of the cache directory gives one line with the way out."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="set SWEEP_CACHE"):
        open_events([write_npz()])
