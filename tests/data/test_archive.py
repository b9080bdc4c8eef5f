"""Archives are read for what was asked, in bounded memory; what is wrong is called by its name."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sweep.data import archive as archive_module
from sweep.data import sizes
from sweep.data.formats import open_events
from sweep.errors import DataError
from tests.data.conftest import WriteNpz, make_arrays

X, Y = make_arrays(3)


def pack(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    """Give an array as .npy."""
    content = io.BytesIO()
    np.lib.format.write_array(content, array, version=version)
    return content.getvalue()


def claim(shape: str, fortran: bool = False) -> bytes:
    """Give a .npy that has a header and no values."""
    header = f"{{'descr': '<f4', 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def write_zip(path: Path, method: int = zipfile.ZIP_STORED, **members: bytes) -> Path:
    """Write an archive of members as they are."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for key, content in members.items():
            archive.writestr(f"{key}.npy", content)
    return path


def patch_directory(path: Path, change: Callable[[bytearray, int], None]) -> Path:
    """Change the first entry of an archive, here and in its table of contents."""
    content = bytearray(path.read_bytes())
    change(content, content.index(b"PK\x01\x02"))
    path.write_bytes(bytes(content))
    return path


def add_greek(path: Path) -> None:
    """Add an array whose fields have names that only format 3.0 can write."""
    table = np.zeros(3, [("η", "f4"), ("φ", "f4")])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("tracks.npy", pack(table, (3, 0)))


def add_wide(path: Path) -> None:
    """Add an array whose header is longer than numpy reads unasked."""
    table = np.zeros(3, [(f"a_branch_with_a_long_name_{number}", "f4") for number in range(400)])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("branches.npy", pack(table))


def add_objects(path: Path) -> None:
    """Add an array of Python objects."""
    content = io.BytesIO()
    np.lib.format.write_array(content, np.array([{}, None], dtype=object))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("names.npy", content.getvalue())


def add_oddities(path: Path) -> None:
    """Add what a Mac does, a folder, an empty file, a form of the future and brackets."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/._X.npy", b"\0\5\x16\7")
        archive.writestr("folder.npy/", b"")
        archive.writestr("nothing.npy", b"")
        archive.writestr("future.npy", b"\x93NUMPY\x09\x00")
        archive.writestr("deep.npy", claim("-" * 9000 + "1"))
        archive.writestr("huge.npy", claim("(1099511627776, 4, 4000)")[:-5])


@pytest.mark.parametrize("add", [add_greek, add_wide, add_objects, add_oddities])
@pytest.mark.parametrize("names", [("X", "y"), ("features", "target")])
def test_what_stands_beside_the_arrays_is_left_alone(
    write_npz: WriteNpz, add: Callable[[Path], None], names: tuple[str, str]
) -> None:
    """X and y are read by name, or found by shape, whatever else is in the archive."""
    path = write_npz(**dict(zip(names, (X, Y), strict=True)))
    add(path)
    np.testing.assert_array_equal(open_events([path]).load([2])[0][0], X[2])


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_method_that_python_unpacks_is_read(tmp_path: Path, method: int) -> None:
    """numpy.load reads them, so they are read here, in small steps."""
    path = write_zip(tmp_path / "a.npz", method, X=pack(X), y=pack(Y))
    np.testing.assert_array_equal(open_events([path]).load([2])[0][0], X[2])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_header_is_read(tmp_path: Path, version: tuple[int, int]) -> None:
    """A plain array may have a header of any version."""
    path = write_zip(tmp_path / "a.npz", X=pack(X, version), y=pack(Y, version))
    np.testing.assert_array_equal(open_events([path]).load([2])[0][0], X[2])


def encrypt(path: Path) -> Path:
    def change(content: bytearray, entry: int) -> None:
        content[entry + 8] |= 1
        content[6] |= 1

    return patch_directory(write_zip(path, X=pack(X), y=pack(Y)), change)


def pack_otherwise(path: Path) -> Path:
    def change(content: bytearray, entry: int) -> None:
        content[entry + 10] = content[8] = 95

    return patch_directory(write_zip(path, X=pack(X), y=pack(Y)), change)


def write_twice(path: Path) -> Path:
    write_zip(path, X=pack(X), y=pack(Y))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("X.npy", pack(X + 1))
    return path


def lie_about_size(path: Path) -> Path:
    """Make the table of contents agree with a header that claims four gigabytes."""
    member = claim("(65536, 4, 4000)")
    num_bytes = len(member) + 65536 * 64000

    def change(content: bytearray, entry: int) -> None:
        struct.pack_into("<I", content, entry + 24, min(num_bytes, 2**32 - 2))

    write_zip(path, zipfile.ZIP_DEFLATED, X=member, y=claim("(65536, 4000)"))
    return patch_directory(path, change)


BAD_ARCHIVES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "encrypted": (encrypt, "X is encrypted"),
    "packed by a method of other programs": (pack_otherwise, "X: of a form that is not known here"),
    "a header of the future": (
        lambda path: write_zip(path, X=b"\x93NUMPY\x04\x00", y=pack(Y)),
        r"of a form that is not known here, got \.npy format 4\.0",
    ),
    "an array twice": (write_twice, "X is there twice"),
    "a header of minus signs": (
        lambda path: write_zip(path, X=claim("-" * 9000 + "1"), y=pack(Y)),
        "damaged, got a header that is no literal .nested too deep",
    ),
    "a header of brackets": (
        lambda path: write_zip(path, X=claim("(" * 9000 + ")" * 9000), y=pack(Y)),
        "damaged, got a header that is no literal",
    ),
    "a header of other things": (
        lambda path: write_zip(path, X=claim("(True, -4, 4000)"), y=pack(Y)),
        "damaged, got a header whose shape is none",
    ),
    "a claim without values": (
        lambda path: write_zip(path, X=claim("(1048576, 4, 4000)"), y=claim("(1048576, 4000)")),
        "damaged, got .* bytes where its header announces 671088640",
    ),
    "a claim without values in column order": (
        lambda path: write_zip(
            path, X=claim("(1048576, 4, 4000)", True), y=claim("(1048576, 4000)", True)
        ),
        "damaged, got .* bytes where its header announces",
    ),
    "a lie in the table of contents": (lie_about_size, "X: claims more than it can hold"),
    "a pointer of Git LFS": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n") and path,
        "not an archive, got a pointer of Git LFS",
    ),
    "a single array": (
        lambda path: path.write_bytes(pack(X)) and path,
        r"not an archive, got a single array \(\.npy\)",
    ),
    "a file of ROOT": (
        lambda path: path.write_bytes(b"root" + (62600).to_bytes(4, "big")) and path,
        "not an archive, got a ROOT file",
    ),
    "a text that begins like one": (
        lambda path: path.write_text("root:x:0:0") and path,
        "not an archive, got another file",
    ),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_what_is_wrong_is_called_by_its_name(name: str, tmp_path: Path, cache: Path) -> None:
    """One line that names the fault, and damage only where there is some; nothing is written."""
    write, message = BAD_ARCHIVES[name]
    path = write(tmp_path / "bad.npz")
    with pytest.raises(DataError, match=message) as caught:
        open_events([path])
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert list((cache / "events").glob("*")) == []


def test_a_claim_that_no_events_pack_to_is_refused(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zeros that unpack to a thousand times their size are not unpacked, where they are many."""
    monkeypatch.setattr(sizes, "MIN_SUSPECT_BYTES", 10 << 20)
    blank = np.zeros((200, 4, 4000), np.float32)
    path = write_zip(tmp_path / "a.npz", zipfile.ZIP_DEFLATED, X=pack(blank), y=pack(blank[:, 0]))
    with pytest.raises(DataError, match=r"X: claims more than it can hold, got 12.8 MB packed"):
        open_events([path])
    assert list((cache / "events").glob("*")) == []


def test_column_order_is_read_block_by_block(
    write_npz: WriteNpz, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows gathered in several blocks are the same events, and the copy leaves nothing behind."""
    x, y = make_arrays(150)
    monkeypatch.setattr(archive_module, "BLOCK_BYTES", 1)  # one chunk a block
    path = write_npz(X=np.asfortranarray(x), y=np.asfortranarray(y))
    events = open_events([path])
    np.testing.assert_array_equal(events.load(np.arange(150))[0], x)
    np.testing.assert_array_equal(events.load(np.arange(150))[1], y)
    assert {entry.name for entry in cache.iterdir()} == {"events", "locks"}


def test_vertices_that_are_none_are_left_alone(write_npz: WriteNpz) -> None:
    """Lists of another kind, or far too long, under the names of vertices are not read."""
    numbers = np.arange(4)
    path = write_npz(
        X=X, y=Y, pv_z=np.array(["a"]), pv_tracks=numbers, pv_category=numbers, pv_offsets=numbers
    )
    assert open_events([path]).num_generated_vertices is None
