"""Processes of this program: how one is started, what a worker is called, whether it is gone.

A process's number means something only on one boot of one machine, and within one container there.
The name therefore holds a digest of both: after a reboot, or seen from another container, the same
number belongs to somebody else.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import uuid
from pathlib import Path

COMMAND = (sys.executable, "-P", "-m", "sweep")
"""How this program is started again as another process. Without `-P` Python would look for packages
in the person's folder first, and take a `models.py` that lies there for ours."""


def name_worker() -> str:
    """Name this process: `host:process:machine-random`, unique for ever."""
    return f"{describe_process(os.getpid())}{uuid.uuid4().hex[:6]}"


def describe_process(process: int) -> str:
    """Give what the name of a process of this machine begins with, where it is a worker."""
    return f"{socket.gethostname()}:{process}:{_describe_machine()}-"


def is_gone(worker: str) -> bool:
    """Say whether a worker is known to be gone: it ran here and its process has ended.

    Args:
        worker: Its name. Of a worker elsewhere nothing is known, so False.
    """
    _host, _, rest = worker.partition(":")
    process, _, tail = rest.partition(":")
    if not process.isdigit() or tail.partition("-")[0] != _describe_machine():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _describe_machine() -> str:
    """Give the digest of what this process's number belongs to."""
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:  # another system than Linux
        parts.append(str(uuid.getnode()))
    return hashlib.blake2b("".join(parts).encode(), digest_size=4).hexdigest()
