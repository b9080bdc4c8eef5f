"""A server of the system, reached over the network with a password, which is never shown."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from servers import run_system_postgres
from sweep.storage import studies
from sweep.storage.engine import open_engine, parse_url
from sweep.storage.errors import StorageError
from sweep.storage.sweeps import list_sweeps

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "se:cr@t/ %é"


@pytest.fixture(scope="module")
def server() -> Iterator[sa.URL]:
    """The address of a server that asks for a password."""
    with run_system_postgres(PASSWORD) as url:
        yield url


def write(url: sa.URL) -> str:
    """Write an address as a person does, with its password."""
    return url.render_as_string(hide_password=False)


def test_claims_keep_their_contract_over_the_network(server: sa.URL) -> None:
    """A part of the tests of claims, with this server for theirs: `SWEEP_TEST_POSTGRES_URL`."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    chosen = "postgres and (expired or late or finished_trial)"
    ran = subprocess.run(
        [
            *command,
            "tests/storage/test_claims.py",
            "-k",
            chosen,
        ],
        cwd=ROOT,
        env={**os.environ, "SWEEP_TEST_POSTGRES_URL": write(server)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout
    assert "skipped" not in ran.stdout


def test_wrong_password_is_one_line_that_does_not_show_it(
    server: sa.URL, call: Callable[..., Any]
) -> None:
    """At once: a password does not become right by waiting."""
    wrong = server.set(password="wr@ng/0ne")
    with pytest.raises(StorageError, match="password authentication failed"):
        open_engine(parse_url(write(wrong)))
    answer = call("status", "--storage", write(wrong))
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert "password authentication failed for user" in answer.err
    assert "wr" not in answer.err
    assert "0ne" not in answer.err


def test_password_is_not_printed_by_a_copy(
    source: sa.Engine, server: sa.URL, call: Callable[..., Any], tmp_path: Path
) -> None:
    """Nor by the refusal of a second one; the copy itself is there."""
    where = f"sqlite:///{tmp_path / 'a'}", write(server)
    for code in (0, 1):
        answer = call("storage", "copy", *where)
        assert (answer.code, answer.out) == (code, "")
        assert f"sweeper:***@127.0.0.1:{server.port}/postgres" in answer.err
        assert not any(part in answer.err for part in ("se:", "cr@", "cr%40", "%é"))
    engine = open_engine(parse_url(write(server)))
    assert [sweep.name for sweep in list_sweeps(engine)] == ["cnn", "mlp"]
    engine.dispose()


def test_server_that_vanishes_is_noticed_within_a_minute(server: sa.URL) -> None:
    """The system watches both connections, ours and Optuna's, as a pulled cable sends no word."""
    url = parse_url(write(server))
    engine = open_engine(url)
    study_storage = studies.open_study_storage(url)
    for opened in (engine, study_storage._backend.engine):
        with opened.connect() as connection:
            handle = connection.connection.dbapi_connection.fileno()
            with socket.socket(fileno=os.dup(handle)) as line:
                assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
                assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 30
    study_storage.remove_session()
    engine.dispose()
