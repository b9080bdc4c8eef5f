"""A database file on a network file system is noticed, and the person told once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

import sweep.storage.mounts
from sweep.storage.engine import parse_url
from sweep.storage.mounts import describe_network_file, find_file_system

TABLE = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard,errors=remount-ro
41 27 0:37 / /home rw,nosuid,relatime shared:140 - nfs4 server:/home rw,vers=4.2,proto=tcp
42 41 0:38 / /home/me/my\040disk rw,relatime shared:141 - xfs /dev/sdb1 rw
43 27 0:39 / /scratch rw,relatime - lustre 10.0.0.1@o2ib:/scratch rw,flock
44 27 0:40 / /afs rw - afs AFS rw
45 27 0:41 / /mnt/share rw,relatime - cifs //server/share rw,username=me
46 27 0:42 / /mnt/laptop rw,nosuid,nodev - fuse.sshfs me@laptop:/ rw,user_id=1000
47 27 0:43 /sub /srv rw - nfs server:/srv rw
48 27 254:0 /srv /srv rw - ext4 /dev/vda rw
this line is none
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/sweep.db", "ext4"),
        ("/homes/sweep.db", "ext4"),
        ("/home/me/sweep.db", "nfs4"),
        ("/home/me/my disk/sweep.db", "xfs"),
        ("/scratch/sweep.db", "lustre"),
        ("/afs/cern.ch/sweep.db", "afs"),
        ("/mnt/share/a/b/sweep.db", "cifs"),
        ("/mnt/laptop/sweep.db", "fuse.sshfs"),
        ("/srv/sweep.db", "ext4"),
    ],
)
def test_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    """Of two mounts on one point the later one hides the other."""
    assert find_file_system(PurePosixPath(path), TABLE) == kind


def test_no_mount_is_no_file_system() -> None:
    """An empty table says nothing."""
    assert find_file_system(PurePosixPath("/data/sweep.db"), "") is None


@pytest.fixture
def on_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test's folder be a network file system, as far as the mount table says."""
    table = tmp_path / "mountinfo"
    table.write_text(f"{TABLE}49 27 0:44 / {tmp_path} rw - nfs server:/x rw\n", encoding="utf-8")
    monkeypatch.setattr(sweep.storage.mounts, "MOUNT_TABLE", table)


def test_warning_names_the_cure(on_network: None, tmp_path: Path) -> None:
    """In one line; there is none for another place, another database or another system."""
    warning = describe_network_file(parse_url(f"sqlite:///{tmp_path / 'sweep.db'}"))
    assert warning is not None
    assert "lies on a network file system (nfs)" in warning
    assert "use postgresql://, or a file on a local disk" in warning
    assert "\n" not in warning
    assert describe_network_file(parse_url("sqlite:////data/sweep.db")) is None
    assert describe_network_file(parse_url("postgresql://host/sweeps")) is None
    (tmp_path / "mountinfo").unlink()
    assert describe_network_file(parse_url(f"sqlite:///{tmp_path / 'sweep.db'}")) is None


@pytest.mark.parametrize(("parent", "num_warnings"), [((), 1), (("--parent", "1"), 0)])
def test_worker_warns_unless_its_supervisor_did(
    on_network: None,
    call: Callable[..., Any],
    make_session: Callable[..., Any],
    sqlite_url: str,
    parent: tuple[str, ...],
    num_warnings: int,
) -> None:
    """One warning for a sweep, however many workers it starts."""
    make_session(sqlite_url)
    answer = call("worker", "--device", "cuda:99", *parent)
    assert answer.code == 1
    assert answer.err.count("warning: storage: ") == num_warnings
    assert "error: device: " in answer.err


def test_run_warns(on_network: None, call: Callable[..., Any], tmp_path: Path) -> None:
    """And goes on: what ends it here is the network's file."""
    (tmp_path / "broken.py").write_text("raise ValueError('broken')\n")
    answer = call("run", "--model", f"{tmp_path}/broken.py:Net")
    assert answer.err.count("warning: storage: ") == 1
    assert "broken" in answer.err.splitlines()[-1]
