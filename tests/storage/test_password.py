"""A server of the system, reached over the network with a password, which is never shown."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from servers import make_database, open_server, run_system_postgres
from sweep.storage import studies
from sweep.storage.engine import open_engine, parse_url
from sweep.storage.errors import StorageError
from sweep.storage.sweeps import list_sweeps
from tests.storage import test_claims

PASSWORD = "se:cr@t/ %é"


@pytest.fixture(scope="module")
def server() -> Iterator[sa.URL]:
    """The address of a server that asks for a password."""
    with run_system_postgres(PASSWORD) as url:
        yield url


def write(url: sa.URL) -> str:
    """Write an address as a person does, with its password."""
    return url.render_as_string(hide_password=False)


class TestClaimsOverTheNetwork:
    """Claims keep their contract: a part of its tests, with this server for theirs."""

    @pytest.fixture
    def database_url(self, server: sa.URL) -> Iterator[str]:
        """The address of a fresh database on the server."""
        with make_database(open_server(server)) as address:
            yield address

    test_expired = test_claims.TestClaims.test_expired_lease_is_taken_over_as_the_same_trial
    test_expired_alone = test_claims.TestClaims.test_expired_lease_that_nobody_took_still_finishes
    test_finished = test_claims.TestClaims.test_finished_trial_is_never_claimed_again
    test_late = test_claims.TestClaims.test_late_worker_writes_nothing


def test_wrong_password_is_one_line_that_does_not_show_it(
    server: sa.URL, call: Callable[..., Any]
) -> None:
    """At once: a password does not become right by waiting."""
    wrong = server.set(password="wr@ng/0ne")
    with pytest.raises(StorageError, match="password authentication failed"):
        open_engine(parse_url(write(wrong)))
    answer = call("status", "--storage", write(wrong))
    assert "password authentication failed for user" in answer.fault
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
