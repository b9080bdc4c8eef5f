"""The locks: every package that is asked for, in files whose hashes are known."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deployment import ROOT, read_locks

RUN = ("constraints.txt",)
DOCS = (*RUN, "constraints-docs.txt")
TEST = (*DOCS, "constraints-test.txt")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(ROOT.glob("constraints*.txt")), ids=lambda path: path.name)
def test_every_file_has_a_hash(path: object) -> None:
    """What lies at a package index counts for nothing where it is another file."""
    lines = (ROOT / str(path)).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert pinned
    assert [
        line for line in pinned if not re.search(r"==.* --hash=sha256:[0-9a-f]{64}", line)
    ] == []


@pytest.mark.parametrize(
    ("extra", "locks"), [(None, RUN), ("export", RUN), ("docs", DOCS), ("test", TEST)]
)
def test_what_the_project_asks_for_is_pinned(extra: str | None, locks: tuple[str, ...]) -> None:
    """In a version that it allows: whoever changes pyproject.toml makes the locks anew."""
    project = PROJECT["project"]
    asked = project["optional-dependencies"][extra] if extra else project["dependencies"]
    pinned = read_locks(*locks)
    for requirement in map(Requirement, asked):
        if requirement.name != project["name"]:
            assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("locks", [RUN, DOCS, TEST], ids=["run", "docs", "test"])
def test_what_a_pinned_package_needs_is_pinned(locks: tuple[str, ...]) -> None:
    """Nothing but the locks is installed, so what they forget is missing."""
    pinned = read_locks(*locks, "constraints-cuda.txt")
    needed = {
        canonicalize_name(requirement.name)
        for name in read_locks(*locks)
        for requirement in map(Requirement, _list_needs(name))
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    assert needed - set(pinned) == set()


def _list_needs(name: str) -> list[str]:
    is_absent = name == "colorama"  # only Windows has it
    return [] if is_absent else requires(name) or []


def test_what_builds_a_package_has_a_hash() -> None:
    """In isolation pip would take the newest of what builds one, and look at no hash."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    (options,) = re.findall(r"^INSTALL := (.*)$", makefile, re.MULTILINE)
    assert "--no-build-isolation" in options.split()
    builders = {*read_locks("constraints-build.txt"), *read_locks(*RUN)}
    assert {"poetry-core", "setuptools"} <= builders
    for file in ("build", "docs", "test"):
        assert f"--require-hashes -r constraints-{file}.txt" in makefile


def test_pytorch_without_cuda_is_of_the_same_version() -> None:
    """Its line is written by hand."""
    assert read_locks("constraints-cpu.txt")["torch"] == read_locks(*RUN)["torch"]
