"""What the tests of the deploy files begin with."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from deployment import NUM_EPOCHS, ROOT, Project, Stage
from jobs import NAME, Job
from sweep.trial.session import Session


@pytest.fixture(scope="session")
def compose() -> Path:
    """The real Compose, which reads and checks files without an engine."""
    found = importlib.util.find_spec("compose")
    if found is None or not found.submodule_search_locations:
        pytest.skip("no Compose: install pv-sweep[test]")
    return Path(found.submodule_search_locations[0]) / "docker-compose"


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, compose: Path) -> Project:
    """The project as it is after the first command of the compose file's head."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("docker-compose.yml", "Dockerfile"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "deploy" / "compose", folder / "deploy" / "compose")
    subprocess.run(["sh", folder / "deploy" / "compose" / "prepare.sh"], check=True)
    return Project(folder, compose)


@pytest.fixture(scope="session")
def services(project: Project) -> Mapping[str, Any]:
    """The services as Compose reads them, which no test adds to: others come after it."""
    return MappingProxyType(project.read()["services"])


@pytest.fixture(scope="session")
def stages() -> list[Stage]:
    """The Dockerfile's stages; what stands before the first one is left out."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    words = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    instructions = [(kind, " ".join(rest.split())) for kind, rest in words]
    starts = [index for index, (kind, _rest) in enumerate(instructions) if kind == "FROM"]
    ends = [*starts[1:], len(instructions)]
    return [Stage(tuple(instructions[a:b])) for a, b in zip(starts, ends, strict=True)]


@pytest.fixture
def make_held(make_session: Callable[..., Session]) -> Iterator[Callable[..., Job]]:
    """Make a sweep of one trial that will be held in mid-epoch."""
    made = []

    def make(folder: Path, storage: str) -> Job:
        make_session(storage, NAME, name=NAME, trials=1, epochs=NUM_EPOCHS)
        made.append(Job(folder, storage, []))
        made[-1].close_gate()
        return made[-1]

    yield make
    for job in made:
        job.open_gate()
