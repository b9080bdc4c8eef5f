"""Whether a database file lies on a network file system, where SQLite's locks may not hold."""

from __future__ import annotations

import re
from pathlib import Path, PurePath, PurePosixPath

from sqlalchemy.engine import URL

from sweep.storage.engine import find_path

NETWORK_KINDS = (
    *("9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs"),
    *("gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs"),
    *("panfs", "smb3", "smbfs", "wekafs"),
)
MOUNT_TABLE = Path("/proc/self/mountinfo")


def describe_network_file(url: URL) -> str | None:
    """Say in one line what is wrong with a SQLite file on a network file system.

    Returns:
        The warning with its cure; None for another database, for a file on a local disk, and
        where the system (another one than Linux) does not say.
    """
    file = find_path(url)
    if file is None or not MOUNT_TABLE.is_file():
        return None
    path = file.resolve()
    kind = find_file_system(path, MOUNT_TABLE.read_text(encoding="utf-8", errors="replace"))
    if kind not in NETWORK_KINDS:
        return None
    return (
        f"storage: {path} lies on a network file system ({kind}), where SQLite may lose or corrupt "
        "what several machines write; use postgresql://, or a file on a local disk with all "
        "workers on this machine"
    )


def find_file_system(path: PurePath, table: str) -> str | None:
    """Find the kind of file system that a path lies on.

    Args:
        path: absolute, without links.
        table: what `/proc/self/mountinfo` says (proc(5)): the fifth field is the mount point, the
            first after the dash the kind. Of two mounts on one point the later counts.

    Returns:
        The kind, such as `ext4` or `nfs4`; None when no mount holds the path.
    """
    found: tuple[int, str] | None = None
    for line in table.splitlines():
        head, _, tail = line.partition(" - ")
        if len(head.split()) < 5 or not tail:
            continue
        name = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), head.split()[4])
        point = PurePosixPath(name)
        if path.is_relative_to(point) and (found is None or len(point.parts) >= found[0]):
            found = len(point.parts), tail.split()[0]
    return found[1] if found else None
