"""The Dockerfile: by hadolint, by what must be in it, and its build run in a clean folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deployment import ROOT, Stage, read_locks

TORCH_LINKS = "https://download.pytorch.org/whl/cpu/torch/"


def test_hadolint_finds_nothing() -> None:
    """Not even a matter of style."""
    checker = Path(sys.executable).parent / "hadolint"
    if not checker.exists():
        pytest.skip("no hadolint: install pv-sweep[test]")
    found = subprocess.run([checker, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_base_is_pinned_and_of_the_tested_python() -> None:
    """A release of the Python that the packages are pinned for."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^ARG BASE=python:3\.11\.\d+-slim-\w+$", text, re.MULTILINE)
    assert found is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["requires-python"] == ">=3.11,<3.15"


def test_image_is_the_second_stage_and_runs_as_nobody_special(stages: list[Stage]) -> None:
    """What builds stays in the first stage: only the environment is taken over."""
    build, final = stages
    assert build.list("FROM") == ["${BASE} AS build"]
    assert final.list("FROM") == ["${BASE}"]
    assert final.list("COPY") == ["--from=build /opt/sweep /opt/sweep"]
    assert final.list("USER") == ["10001:10001"]
    assert not [text for text in final.list("RUN") if "pip" in text or "apt" in text]
    assert "--without-pip" in build.list("RUN")[0]


def test_only_what_is_copied_reaches_the_build(stages: list[Stage]) -> None:
    """The list of what is let in and the list of what is used are one."""
    copied = {name for text in stages[0].list("COPY") for name in text.split()[:-1]}
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_build_makes_a_working_environment(stages: list[Stage], tmp_path: Path) -> None:
    """The lines of the build stage, in order, in an empty folder; then the program they made.

    Paths of the image become those of the test. It installs PyTorch anew, with CUDA, or without
    it from the place that SWEEP_TEST_TORCH_LINKS names, which takes minutes.
    """
    build, final = stages
    base = tmp_path / "base"
    subprocess.run([sys.executable, "-m", "venv", base], check=True)
    here = {"/opt/sweep": str(tmp_path / "opt"), "/build": str(tmp_path / "build")}
    links = os.environ.get("SWEEP_TEST_TORCH_LINKS")
    here |= {TORCH_LINKS: links} if links else {}
    folder = Path(here["/build"])
    arguments = dict(text.split("=", 1) for text in build.list("ARG"))
    arguments |= {"TORCH": "cpu"} if links else {}
    arguments |= dict(text.split("=", 1) for line in build.list("ENV") for text in line.split())
    kept = {
        key: os.environ[key] for key in ("HOME", "PIP_CERT", "PIP_INDEX_URL") if key in os.environ
    }
    environment = kept | arguments | {"PATH": f"{base / 'bin'}:/usr/bin:/bin"}
    for kind, text in build.instructions:
        assert kind in ("FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN"), f"not translated: {kind}"
        if kind == "WORKDIR":
            folder.mkdir()
        elif kind == "COPY":
            copy_sources(text.split(), folder)
        elif kind == "RUN":
            for inside, outside in here.items():
                text = text.replace(inside, outside)
            subprocess.run(["sh", "-c", text], cwd=folder, env=environment, check=True)

    (path,) = re.findall(r"PATH=(\S+):\$PATH", " ".join(final.list("ENV")))
    clean = {"PATH": path.replace("/opt/sweep", here["/opt/sweep"]), "HOME": str(tmp_path)}
    clean |= {"SWEEP_CACHE": str(tmp_path / "cache")}
    models = subprocess.run(
        ["sweep", "models", "--json"], env=clean, cwd=tmp_path, capture_output=True, text=True
    )
    assert models.returncode == 0, models.stderr
    assert "rcnn" in models.stdout
    check_pins(clean)
    assert not (Path(here["/opt/sweep"]) / "bin" / "pip").exists()
    words = "sweep run --model cnn --trials 1 --events 60 --val-events 20 --epochs 1 --workers 1"
    subprocess.run(words.split(), env=clean, cwd=tmp_path, check=True, capture_output=True)


def copy_sources(words: list[str], folder: Path) -> None:
    """Copy what a COPY line names, without what `.dockerignore` keeps out."""
    *names, target = words
    for name in names:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / target, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, folder / target)


def check_pins(environment: dict[str, str]) -> None:
    """All that is installed is as it is pinned."""
    code = (
        "from importlib.metadata import distributions as all_of\nfor one in all_of():\n"
        "    print(one.metadata['Name'].lower().replace('_', '-'), one.version.split('+')[0])"
    )
    listed = subprocess.run(
        ["python", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    installed = dict(line.split() for line in listed.stdout.splitlines())
    assert installed.pop("pv-sweep")
    pinned = read_locks("constraints.txt", "constraints-cuda.txt")
    assert {name: version for name, version in installed.items() if pinned[name] != version} == {}
