"""Make the locks anew: exactly which files of which packages `make` and the image install.

    make lock                             after a change of pyproject.toml; keeps what is pinned
    make lock LOCK_ARGUMENTS=--upgrade    the newest of everything

A lock is a pip requirements file with the packages of all platforms, a marker where some do not
need one, and the hashes of all its files on PyPI. `constraints.txt` is what the program runs with,
`constraints-docs.txt` what `make docs` adds, `constraints-test.txt` what the tests add to both,
`constraints-build.txt` what builds those of them that have no wheel, `constraints-cuda.txt` what
PyPI's PyTorch needs beside it on Linux. In place of that one, `constraints-cpu.txt` names a PyTorch
without CUDA, which is not on PyPI: it is written by hand, for one Python, that of the image.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILDERS = ("poetry-core",)
"""Build packages that come without a wheel; setuptools is among what the program runs with."""
CUDA = ("cuda-", "nvidia-", "triton")
"""What the names of packages begin with that only a PyTorch for NVIDIA's GPUs needs."""


def resolve(extra: str, pinned: Iterable[Path], *arguments: str) -> dict[str, str]:
    """Resolve the project with an extra for all platforms and Pythons that it supports.

    Args:
        extra: Name of the extra.
        pinned: Locks whose versions are kept.
        arguments: More of them for `uv pip compile`.

    Returns:
        By the name of a package: its lines in a lock.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
    command += ["--python-version", "3.11", "--generate-hashes", "--no-annotate", "--no-header"]
    command += ["--fork-strategy", "fewest"]  # one version of a package for all Pythons
    command += [f"--constraints={path}" for path in pinned] + [*arguments]
    answer = subprocess.run(
        [*command, f"--extra={extra}", "pyproject.toml", "-"],
        cwd=ROOT,
        input="\n".join(("setuptools", *BUILDERS)),  # setuptools builds the project itself
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    blocks = re.split(r"^(?=\S)", answer.stdout, flags=re.MULTILINE)[1:]
    return {block.partition("==")[0]: block for block in blocks}


def write(name: str, purpose: str, blocks: Iterable[str]) -> Path:
    """Write a lock, with a line that says what it is for."""
    path = ROOT / name
    path.write_text(f"# {purpose} Made by `make lock`.\n{''.join(blocks)}", encoding="utf-8")
    return path


def main() -> None:
    """Resolve, and write the five locks."""
    names = (
        "constraints.txt",
        "constraints-cuda.txt",
        "constraints-test.txt",
        "constraints-build.txt",
        "constraints-docs.txt",
    )
    pinned = [] if "--upgrade" in sys.argv else [ROOT / name for name in names]
    run = resolve("export", pinned)
    cuda = {name: lines for name, lines in run.items() if name.startswith(CUDA)}
    build = [run.pop(name) for name in BUILDERS]
    others = {name: lines for name, lines in run.items() if name not in cuda}
    locks = [
        write(names[0], "What the program runs with.", others.values()),
        write(names[1], "What PyPI's PyTorch needs on Linux.", cuda.values()),
    ]
    write(names[3], "What builds packages without a wheel.", build)
    known = {*run, *BUILDERS}
    for extra, path, purpose in (
        ("docs", names[4], "What `make docs` needs beside constraints.txt."),
        ("test", names[2], "What the tests need beside constraints.txt and constraints-docs.txt."),
    ):
        found = resolve(extra, [*pinned, *locks])
        more = [lines for name, lines in found.items() if name not in known]
        locks.append(write(path, purpose, more))
        known |= set(found)


if __name__ == "__main__":
    main()
