"""With what a sweep was made: versions of this project and its libraries, machine, commit."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path

DISTRIBUTION = "pv-sweep"
LIBRARIES = ("torch", "optuna", "numpy", "sqlalchemy")


def describe_versions() -> dict[str, str]:
    """Describe the software and the machine.

    Returns:
        Version of each library, of Python and of this project; the operating system and kind of
        processor; and `commit` where the code runs from a git checkout.
    """
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    versions["python"] = platform.python_version()
    versions["platform"] = f"{platform.system()} {platform.machine()}"
    try:
        versions["sweep"] = importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        versions["sweep"] = "not installed"
    commit = _read_commit()
    return versions | ({"commit": commit} if commit else {})


def _read_commit() -> str | None:
    """Read the commit of the checkout that this file is part of, `+` where it was changed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
