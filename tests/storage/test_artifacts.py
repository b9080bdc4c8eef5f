"""Files and folders are whole or not there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from storage.artifacts import TrialFolder
from storage.files import write_file, write_folder
from storage.sweeps import Sweep

SWEEP = Sweep(1, "cnn", {}, {}, 5, 1_700_000_000.5, False, None)


def break_off(path: Path) -> None:
    """Write half of something, then fail."""
    path.mkdir(exist_ok=True) if path.is_dir() else path.write_bytes(b"half")
    raise RuntimeError("disk full")


def test_file_is_written_with_its_folder(tmp_path: Path) -> None:
    """Missing folders are made; nothing else is left, and others may read it as the umask says."""
    path = tmp_path / "trials" / "0" / "checkpoint.pt"
    write_file(path, lambda temporary: temporary.write_bytes(b"whole") and None)
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert path.stat().st_mode == plain.stat().st_mode


def test_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """A writer that fails half way leaves the old file and no temporary one."""
    path = tmp_path / "checkpoint.pt"
    write_file(path, lambda temporary: temporary.write_bytes(b"old") and None)
    with pytest.raises(RuntimeError, match="disk full"):
        write_file(path, break_off)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["checkpoint.pt"]
    write_file(path, lambda temporary: temporary.write_bytes(b"new") and None)
    assert path.read_bytes() == b"new"


def test_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A writer that fails leaves nothing; one that succeeds leaves its files."""
    path = tmp_path / "export"

    def fail(temporary: Path) -> None:
        (temporary / "weights").write_bytes(b"half")
        raise RuntimeError("disk full")

    def fill(temporary: Path) -> None:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "weights").write_bytes(b"whole")

    with pytest.raises(RuntimeError, match="disk full"):
        write_folder(path, fail)
    assert os.listdir(tmp_path) == []
    write_folder(path, fill)
    assert (path / "sub" / "weights").read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["export"]


def test_folder_that_exists_is_not_touched(tmp_path: Path) -> None:
    """Not even an empty one."""
    (tmp_path / "export").mkdir()
    with pytest.raises(FileExistsError):
        write_folder(tmp_path / "export", lambda temporary: None)


def test_sweeps_of_one_name_keep_their_files_apart(tmp_path: Path) -> None:
    """A sweep of another database, or one made after the database was removed, is another one."""
    first = TrialFolder(tmp_path, SWEEP, 3)
    again = TrialFolder(tmp_path, SWEEP, 3)
    other = TrialFolder(tmp_path, replace(SWEEP, created_s=SWEEP.created_s + 1), 3)
    assert first.checkpoint == again.checkpoint
    assert first.checkpoint != other.checkpoint
    assert first.path != TrialFolder(tmp_path, SWEEP, 4).path


def test_dropped_checkpoint_leaves_the_weights(tmp_path: Path) -> None:
    """What a killed writer left half written goes with it."""
    folder = TrialFolder(tmp_path, SWEEP, 0)
    folder.path.mkdir(parents=True)
    for name in ("checkpoint.pt", ".checkpoint.pt.123", "weights.safetensors"):
        (folder.path / name).write_bytes(b"x")
    folder.drop_checkpoint()
    assert os.listdir(folder.path) == ["weights.safetensors"]
    folder.drop()
    assert not folder.path.exists()
    folder.drop()
