"""Rights that are missing: of another user, and of a role of PostgreSQL."""

from __future__ import annotations

import codecs
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from servers import open_server

NOBODY = 65534


@contextmanager
def as_plain_user() -> Iterator[None]:
    """Act as a user whom permissions stop: another one where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    codecs.lookup("utf-8-sig")  # what cannot be read now is called unknown for ever
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@contextmanager
def make_open_folder() -> Iterator[Path]:
    """Make a folder that other users can enter, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="open-"))
    folder.chmod(0o755)
    with as_plain_user():
        is_reached = os.access(folder, os.X_OK, effective_ids=True)
    try:
        if not is_reached:
            pytest.skip(f"{folder} is closed to other users: set TMPDIR to an open folder")
        yield folder
    finally:
        for path in (folder, *folder.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755)
        shutil.rmtree(folder)


@contextmanager
def make_role(server: sa.Engine, address: str) -> Iterator[str]:
    """Make a role that may log in and nothing else; gives the database's address for it."""
    name = f"r_{uuid.uuid4().hex[:12]}"
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'role'")
    url = sa.make_url(address).set(username=name, password="role")
    try:
        yield url.render_as_string(hide_password=False)
    finally:
        run_sql(address, f"DROP OWNED BY {name}")
        with server.connect() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {name}")
            connection.exec_driver_sql(f"DROP ROLE {name}")


def run_sql(address: str, *statements: str) -> None:
    """Run statements as the owner of a database."""
    with open_server(address).connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
