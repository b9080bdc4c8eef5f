"""Files and folders are whole or not there."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from sweep.storage.artifacts import TrialFolder
from sweep.storage.files import remove_leftovers, write_file, write_folder
from sweep.storage.sweeps import Sweep

SWEEP = Sweep(1, "cnn", {}, {}, 5, 1_700_000_000.5, False, None)


def break_off(path: Path) -> None:
    """Write half of something, then fail."""
    path.mkdir(exist_ok=True) if path.is_dir() else path.write_bytes(b"half")
    raise RuntimeError("disk full")


def start_to_write(path: Path) -> int:
    """Write half of a file in another process, which then waits; gives its number."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

        def write_half(temporary: Path) -> None:
            temporary.write_bytes(b"half")
            os.write(writing, b".")
            signal.pause()

        write_file(path, write_half)
    assert os.read(reading, 1) == b"."
    os.close(reading)
    os.close(writing)
    return process


def kill(process: int) -> None:
    """Kill a process and wait for its end."""
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """Whatever the next one writes there; of a writer that lives nothing is touched."""
    living = start_to_write(tmp_path / "a")
    killed = start_to_write(tmp_path / "b")
    assert len(os.listdir(tmp_path)) == 2
    kill(killed)
    write_file(tmp_path / "c", lambda temporary: temporary.write_bytes(b""))
    assert len(os.listdir(tmp_path)) == 2
    kill(living)
    write_folder(tmp_path / "d", lambda temporary: None)
    assert sorted(os.listdir(tmp_path)) == ["c", "d"]


def test_what_another_machine_left_is_removed_when_it_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its locks may not be seen on a shared disk, so it must also have been quiet for an hour."""
    with monkeypatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "elsewhere")
        kill(start_to_write(tmp_path / "a"))
    (left,) = tmp_path.iterdir()
    remove_leftovers(tmp_path)
    assert left.is_dir()
    for path in (*left.iterdir(), left):
        os.utime(path, (0, 0))
    remove_leftovers(tmp_path)
    assert not left.exists()


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
    for name in ("checkpoint.pt", "weights.safetensors"):
        (folder.path / name).write_bytes(b"x")
    kill(start_to_write(folder.checkpoint))
    folder.drop_checkpoint()
    assert os.listdir(folder.path) == ["weights.safetensors"]
    folder.drop()
    assert not folder.path.exists()
    folder.drop()


def test_folder_that_another_worker_removes_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several tidy up at the end of a sweep; one may go between two looks at it."""
    folder = TrialFolder(tmp_path, SWEEP, 3)
    folder.path.mkdir(parents=True)
    real = os.scandir

    def come_second(path: Path) -> object:
        monkeypatch.undo()
        folder.drop()
        return real(path)

    monkeypatch.setattr("os.scandir", come_second)
    folder.drop_checkpoint()
    assert not folder.path.exists()
