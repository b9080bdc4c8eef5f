"""The source package and the wheel: whole, and installable beside what a project has of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A fresh environment with the wheel, which was built from the source package.

    What the program depends on is that of these tests, which is not installed again.
    """
    folder = tmp_path_factory.mktemp("package")
    subprocess.run([sys.executable, ROOT / "deploy" / "package.py", folder], check=True)
    (wheel,) = folder.glob("*.whl")
    python = folder / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    command = [sys.executable, "-m", "pip", "--quiet", "--python", python, "install", "--no-deps"]
    subprocess.run([*command, wheel], check=True)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path = f"{folder / 'venv' / 'bin'}:{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": sysconfig.get_path("purelib")}


def test_installed_program_runs(environment: dict[str, str], tmp_path: Path) -> None:
    """Its version is its own, and what it reads beside its code came along."""
    code = (
        "import importlib.metadata, pathlib, sweep\n"
        "folder = pathlib.Path(sweep.__file__).parent\n"
        "assert folder.parts[-2] == 'site-packages', folder\n"
        "assert {'page.html', 'page.css', 'page.js'} <= {p.name for p in folder.glob('report/*')}\n"
        "assert {'sweep.html', 'page.css'} <= {p.name for p in folder.glob('dashboard/*')}\n"
        "assert (folder / 'py.typed').is_file()\n"
        "print(importlib.metadata.version('pv-sweep'))"
    )
    calls = (["python", "-c", code], ["sweep", "--version"])
    said = [
        subprocess.run(call, env=environment, cwd=tmp_path, capture_output=True, text=True)
        for call in calls
    ]
    assert [done.returncode for done in said] == [0, 0], [done.stderr for done in said]
    assert said[1].stdout == f"sweep {said[0].stdout}"


PROJECT = {"models/__init__.py": "OWNER = 'project'\n", "storage.py": "OWNER = 'project'\n"}
BOTH = """
import models, storage, sweep
from sweep.models import ARCHITECTURES
from sweep.storage.engine import parse_url
print(models.OWNER, storage.OWNER, ARCHITECTURES["cnn"].name, parse_url("sqlite:///a.db").database)
"""


@pytest.mark.parametrize("form", ["wheel", "editable"])
def test_project_keeps_its_models_and_storage(
    form: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """A program beside which both lie imports its own, and `sweep` finds those of `sweep`."""
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "program.py").write_text(BOTH)
    python = {"wheel": "python", "editable": sys.executable}[form]
    done = subprocess.run(
        [python, "program.py"], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("project project cnn a.db\n", 0), done.stderr


def test_command_takes_nothing_from_the_folder(environment: dict[str, str], tmp_path: Path) -> None:
    """Not even a `sweep.py` or `torch.py` that lies where it is called."""
    for name in ("models", "storage", "sweep", "torch"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the project's')\n")
    listed = subprocess.run(
        ["sweep", "models", "--json"], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert listed.returncode == 0, listed.stderr
    assert '"cnn"' in listed.stdout
