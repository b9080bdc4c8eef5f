"""A right that is missing is told in one line, at once, and reading needs no right to write."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import sweep.storage.transactions
from rights import as_plain_user, make_role, run_sql
from servers import make_database
from sweep.storage import studies
from sweep.storage.backup import back_up
from sweep.storage.engine import close_after, create_engine, open_engine, parse_url
from sweep.storage.errors import RightsError
from sweep.storage.migrations import create_tables
from sweep.storage.sweeps import find_sweep, list_sweeps, request_stop, set_priority
from sweep.storage.tables import check_tables, check_writable, has_tables
from sweep.storage.transfer import copy_sweeps

READING = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
WRITING = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A right does not come by waiting."""
    monkeypatch.setattr(sweep.storage.transactions, "_wait", pytest.fail)


@pytest.fixture(scope="module")
def shared(postgres_server: sa.Engine, filled: Path) -> Iterator[str]:
    """The name of a database of PostgreSQL with the sweeps cnn and mlp, to be copied."""
    source = parse_url(f"sqlite:///{filled / 'a'}")
    with make_database(postgres_server) as address:
        copy_sweeps(source, parse_url(address), [], None, lambda _done, _total: None)
        yield str(parse_url(address).database)


@pytest.fixture
def shared_url(postgres_server: sa.Engine, shared: str) -> Iterator[str]:
    """The address of such a database of its own, for its owner."""
    with make_database(postgres_server, shared) as address:
        yield address


@pytest.fixture
def role_url(shared_url: str, postgres_server: sa.Engine) -> Iterator[str]:
    """The address of that database for a role without rights."""
    with make_role(postgres_server, shared_url) as address:
        yield address


@pytest.fixture
def read_only_file(open_folder: Path, filled: Path) -> Path:
    """A database with the sweeps cnn and mlp in a folder that a plain user may only read."""
    path = open_folder / "sweep.db"
    shutil.copy(filled / "a", path)
    path.chmod(0o444)
    open_folder.chmod(0o555)
    return path


def stop(url: str) -> None:
    """Do what takes the right to change rows."""
    with close_after(open_engine(parse_url(url))) as engine:
        check_tables(engine)
        request_stop(engine, find_sweep(engine, "cnn").id)


def read_names(url: str) -> list[str]:
    """Do what takes the right to read, with our tables and with Optuna's."""
    with close_after(open_engine(parse_url(url))) as engine:
        check_tables(engine)
        names = [sweep.name for sweep in list_sweeps(engine)]
    study_storage: Any = studies.open_study_storage(parse_url(url))
    for name in names:
        studies.read_study_trials(studies.load_study(study_storage, name))
    study_storage.remove_session()
    study_storage._backend.engine.dispose()
    return names


def refuse(work: Callable[[str], object], url: str) -> str:
    """Give the line with which something is refused."""
    with pytest.raises(RightsError) as caught:
        work(url)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "work", "named"),
    [
        ((), read_names, "expected SELECT on table sweep_versions"),
        ((READING,), stop, "expected UPDATE on table sweep_sweeps"),
        ((READING, "REVOKE SELECT ON studies FROM {role}"), read_names, "on table studies"),
    ],
)
def test_line_gives_the_statement_that_mends_it(
    role_url: str, shared_url: str, given: tuple[str, ...], work: Callable[[str], Any], named: str
) -> None:
    """The right and the table are named; what the owner is told to run is enough."""
    role = sa.make_url(role_url).username
    run_sql(shared_url, *(statement.format(role=role) for statement in given))
    line = refuse(work, role_url)
    assert named in line
    run_sql(shared_url, *line.partition("gives it: ")[2].split("; "))
    work(role_url)


def test_role_that_may_not_create_is_told_so(postgres_url: str, postgres_server: sa.Engine) -> None:
    """As any role but the owner since PostgreSQL 15; with the right given the tables are made."""

    def make(url: str) -> None:
        with close_after(create_engine(parse_url(url))) as engine:
            create_tables(engine)
        studies.prepare_studies(parse_url(url), [])

    with make_role(postgres_server, postgres_url) as address:
        line = refuse(make, address)
        assert "expected USAGE, CREATE on schema public" in line
        run_sql(postgres_url, line.partition("gives it: ")[2])
        make(address)
        assert read_names(address) == []


def test_sequence_without_usage_is_named(role_url: str, shared_url: str) -> None:
    """A role that may write rows but has no numbers for them."""
    role = sa.make_url(role_url).username
    run_sql(shared_url, WRITING.format(role=role))
    line = refuse(make_study, role_url)
    assert "expected USAGE on sequence studies_study_id_seq" in line
    run_sql(shared_url, line.partition("gives it: ")[2])
    make_study(role_url)


def make_study(url: str) -> None:
    """Do what takes a number of a sequence."""
    study_storage: Any = studies.open_study_storage(parse_url(url))
    try:
        studies.create_study(study_storage, "new", direction="minimize", metric_name="loss")
    finally:
        study_storage.remove_session()
        study_storage._backend.engine.dispose()


def test_schema_out_of_reach_is_named(role_url: str, shared_url: str) -> None:
    """Without its USAGE the tables cannot even be seen; the line does not say there are none."""
    role = sa.make_url(role_url).username
    run_sql(shared_url, WRITING.format(role=role), "REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    line = refuse(read_names, role_url)
    assert "expected USAGE on schema public" in line
    run_sql(shared_url, line.partition("gives it: ")[2])
    assert read_names(role_url) == ["cnn", "mlp"]


def test_role_that_may_not_connect_is_told_so(role_url: str, shared_url: str) -> None:
    """The server says that before it lets anybody in."""
    name, role = sa.make_url(shared_url).database, sa.make_url(role_url).username
    run_sql(shared_url, f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC", READING.format(role=role))
    line = refuse(read_names, role_url)
    assert f"expected CONNECT on database {name}" in line
    run_sql(shared_url, line.partition("gives it: ")[2])
    assert read_names(role_url) == ["cnn", "mlp"]


def test_role_that_may_only_read_transactions_can_read(role_url: str, shared_url: str) -> None:
    """With `default_transaction_read_only`, as on a standby server."""
    role = sa.make_url(role_url).username
    run_sql(
        shared_url,
        WRITING.format(role=role),
        f"ALTER ROLE {role} SET default_transaction_read_only = on",
    )
    assert read_names(role_url) == ["cnn", "mlp"]
    assert "may only be read, got 'cannot execute UPDATE" in refuse(stop, role_url)


def test_row_policy_is_told_of_as_such(role_url: str, shared_url: str) -> None:
    """No GRANT mends it."""
    role = sa.make_url(role_url).username
    run_sql(
        shared_url,
        WRITING.format(role=role),
        "CREATE POLICY reading ON sweep_versions FOR SELECT USING (true)",
        "ALTER TABLE sweep_versions ENABLE ROW LEVEL SECURITY",
    )

    def insert(url: str) -> None:
        with close_after(open_engine(parse_url(url))) as engine, engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO sweep_versions SELECT * FROM sweep_versions")

    line = refuse(insert, role_url)
    assert "a row policy stops role" in line
    assert "GRANT" not in line


def test_right_to_make_tables_is_asked_for_before_work(
    postgres_url: str, postgres_server: sa.Engine
) -> None:
    """Who has it makes none by being asked."""
    with (
        make_role(postgres_server, postgres_url) as address,
        close_after(open_engine(parse_url(address))) as engine,
    ):
        assert "on schema public" in refuse(lambda _url: check_writable(engine), address)
    with close_after(open_engine(parse_url(postgres_url))) as engine:
        check_writable(engine)
        assert not has_tables(engine)


def test_rights_to_write_are_asked_for_before_work(role_url: str, shared_url: str) -> None:
    """One that may change rows but add none learns it without a row being touched."""
    role = sa.make_url(role_url).username
    run_sql(
        shared_url, READING.format(role=role), f"GRANT UPDATE, DELETE ON sweep_versions TO {role}"
    )
    with close_after(open_engine(parse_url(role_url))) as engine, pytest.raises(RightsError):
        check_writable(engine)
    with close_after(open_engine(parse_url(shared_url))) as engine:
        check_writable(engine)
    assert read_names(shared_url) == ["cnn", "mlp"]


def test_reading_commands_need_no_right_to_write(
    role_url: str, shared_url: str, call: Callable[..., Any]
) -> None:
    """A backup, too; nothing is written to the database."""
    run_sql(shared_url, READING.format(role=sa.make_url(role_url).username))
    answer = call("storage", "backup", "copy.db", "--storage", role_url)
    assert (answer.code, answer.err.count("cnn, mlp backed up")) == (0, 1)
    answer = call("stop", "--sweep", "cnn", "--storage", role_url)
    assert "GRANT" in answer.fault
    with close_after(open_engine(parse_url(role_url))) as engine, pytest.raises(RightsError):
        set_priority(engine, 1, 2)


def test_file_in_a_read_only_folder_is_read(read_only_file: Path, tmp_path: Path) -> None:
    """With write-ahead logging, whose files cannot be made there; nothing appears beside it."""
    url = f"sqlite:///{read_only_file}"
    read_names(url)  # as the owner: what is loaded then need not be readable for others
    assert os.listdir(read_only_file.parent) == ["sweep.db"]
    with as_plain_user():
        assert read_names(url) == ["cnn", "mlp"]
        assert "may only be read, got 'attempt to write a readonly" in refuse(stop, url)
        back_up(parse_url(url), Path("/dev/shm") / tmp_path.name, lambda _done, _total: None)
    (Path("/dev/shm") / tmp_path.name).unlink()
    assert os.listdir(read_only_file.parent) == ["sweep.db"]


def test_reader_sees_what_a_writer_elsewhere_has_logged(read_only_file: Path) -> None:
    """The writer's log is read as long as it is there; a log alone is not believed to be empty."""
    url = f"sqlite:///{read_only_file}"
    read_names(url)  # as the owner: what is loaded then need not be readable for others
    with as_plain_user():
        reader = open_engine(parse_url(url))
        assert not find_sweep(reader, "cnn").stop_requested
    read_only_file.chmod(0o644)
    read_only_file.parent.chmod(0o755)
    writer = create_engine(parse_url(url))
    request_stop(writer, find_sweep(writer, "cnn").id)
    read_only_file.parent.chmod(0o555)
    read_only_file.chmod(0o444)
    with as_plain_user():
        assert find_sweep(reader, "cnn").stop_requested
        reader.dispose()
    alone = read_only_file.with_name("alone")
    read_only_file.parent.chmod(0o755)
    alone.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{read_only_file}{suffix}", alone)
    alone.chmod(0o555)
    writer.dispose()
    with as_plain_user():
        assert "the log" in refuse(read_names, f"sqlite:///{alone / 'sweep.db'}")


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_what_may_not_be_read_is_named(open_folder: Path, filled: Path, closed: str) -> None:
    """A file of another user, or one in a folder that only its owner enters."""
    folder = open_folder / "inner"
    folder.mkdir()
    shutil.copy(filled / "a", folder / "sweep.db")
    (folder / "sweep.db" if closed == "file" else folder).chmod(0)
    with as_plain_user():
        line = refuse(read_names, f"sqlite:///{folder / 'sweep.db'}")
    assert f"got a {closed} " in line
    assert "closed to user" in line


def test_file_without_a_log_is_read_with_locks(open_folder: Path, filled: Path) -> None:
    """Only a file with write-ahead logging is ever taken for one that does not change."""
    path = open_folder / "sweep.db"
    shutil.copy(filled / "a", path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    path.chmod(0o444)
    open_folder.chmod(0o555)
    with as_plain_user(), close_after(open_engine(parse_url(f"sqlite:///{path}"))) as engine:
        with engine.connect() as opened:
            name = opened.exec_driver_sql("PRAGMA database_list").one()[2]
        assert name == str(path)
        assert [sweep.name for sweep in list_sweeps(engine)] == ["cnn", "mlp"]
