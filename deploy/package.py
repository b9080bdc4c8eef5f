"""Builds the source package, from it the wheel, and checks that both hold the whole program.

    python deploy/package.py [FOLDER]

Without isolation, with the setuptools that is pinned. What is compared is what git tracks.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
BUILD = "import sys; from setuptools import build_meta; print(build_meta.{}(sys.argv[1]))"
OTHERS = {"LICENSE", "README.md", "pyproject.toml"}


def main(folder: Path) -> None:
    """Build both into a folder, and say what they are.

    Raises:
        SystemExit: when one lacks a file of the program, or holds what is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = set(list_program())
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "checkout"  # setuptools writes beside what it builds
        for path in program | OTHERS:
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_bytes((ROOT / path).read_bytes())
        source = build("build_sdist", copy, folder)
        with tarfile.open(source) as archive:
            archive.extractall(name, filter="data")
        unpacked = Path(name) / source.name.removesuffix(".tar.gz")
        wheel = build("build_wheel", unpacked, folder)
    check(source, {str(PurePosixPath(path)) for path in list_source(source)}, program | OTHERS)
    check(wheel, set(zipfile.ZipFile(wheel).namelist()), program)
    for path in (source, wheel):
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, {len(program)} files of the program")


def list_program() -> Iterator[str]:
    """List the files of the package, those of the folders that are linked into it, too."""
    tracked = ["git", "ls-files", "sweep", "models", "storage"]
    found = subprocess.run(tracked, cwd=ROOT, check=True, capture_output=True, text=True)
    for path in found.stdout.split():
        if not (ROOT / path).is_symlink():
            yield path if path.startswith("sweep/") else f"sweep/{path}"


def build(kind: str, folder: Path, target: Path) -> Path:
    """Build one of the two; setuptools speaks of every file on the way."""
    command = [sys.executable, "-c", BUILD.format(kind), str(target.resolve())]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{kind}: {done.stderr}")
    return target / done.stdout.splitlines()[-1]


def list_source(path: Path) -> list[str]:
    """List the files of a source package, without its own folder."""
    with tarfile.open(path) as archive:
        return [name.partition("/")[2] for name in archive.getnames() if "/" in name]


def check(path: Path, found: set[str], program: set[str]) -> None:
    """Compare what a package holds with the program; its own notes aside."""
    missing = program - found
    others = {
        name for name in found - program if name.startswith(("sweep/", "models/", "storage/"))
    }
    others = {name for name in others if Path(name).suffix}
    if missing or others:
        sys.exit(f"{path}: missing {sorted(missing)}, not of the program {sorted(others)}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist"))
