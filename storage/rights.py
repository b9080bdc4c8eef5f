"""Which right is missing, told by the codes of the drivers: the one gate for such faults.

Every engine hands its faults through here. What a role or a user may not do becomes a `RightsError`
at once, before anybody waits for it to pass; every other fault stays what it is.
"""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from sweep.storage.database_file import find_closed_path, is_allowed, name_user
from sweep.storage.errors import RightsError
from sweep.storage.passwords import hide_keywords, show_url
from sweep.storage.sqlite import has_log

MISSING_RIGHT, READ_ONLY_SERVER, NO_SCHEMA = "42501", "25006", "3F000"
"""SQLSTATE of PostgreSQL: insufficient_privilege, read_only_sql_transaction, and
invalid_schema_name, which is what a role hears that may use no schema of its search path."""
SQLITE_CANTOPEN, SQLITE_READONLY = 14, 8
READING, WRITING = "SELECT", "SELECT, INSERT, UPDATE, DELETE"


def watch_rights(engine: sa.Engine) -> None:
    """Have an engine raise `RightsError` where a right is missing, not a driver's error."""

    @sa.event.listens_for(engine, "handle_error")
    def _translate(context: Any) -> RightsError | None:
        schema = engine.dialect.default_schema_name
        return _describe(context.original_exception, engine.url, schema, context.statement or "")


def find_missing_right(exc: BaseException | None, engine_url: URL) -> RightsError | None:
    """Find the missing right behind a fault of an engine that nobody watched yet, or None."""
    while exc is not None:
        if isinstance(exc, RightsError):
            return exc
        if isinstance(exc, sa.exc.DBAPIError) and exc.orig is not None:
            return _describe(exc.orig, engine_url, None, exc.statement or "")
        exc = exc.__cause__
    return None


def _describe(
    exc: BaseException, url: URL, schema: str | None, statement: str
) -> RightsError | None:
    if isinstance(exc, sqlite3.Error):
        return _describe_file(exc, Path(str(url.database)))
    state = getattr(exc, "sqlstate", None)
    said = getattr(getattr(exc, "diag", None), "message_primary", None) or str(exc)
    said = hide_keywords(" ".join(said.split()))
    if state == MISSING_RIGHT:
        return _describe_grant(said, url, schema or "public", statement)
    if state == NO_SCHEMA:
        return _describe_grant("permission denied for schema public", url, "public", statement)
    if state == READ_ONLY_SERVER:
        return RightsError(
            f"storage: {show_url(url)} may only be read, got {said!r}, expected a server and a "
            "role that may write; name the primary server, or a role without "
            "default_transaction_read_only"
        )
    refused = re.search(r"FATAL:\s*(permission denied for database \"(.*?)\")", said)
    if state is None and refused:  # libpq gives no code for what it hears before it is let in
        return _describe_grant(refused[1].replace('"', ""), url, "public", "CONNECT")
    return None


def _describe_grant(said: str, url: URL, schema: str, statement: str) -> RightsError:
    """Say which right a role of PostgreSQL lacks, and the statement that gives it."""
    role = url.username or url.query.get("user") or name_user().removeprefix("user ")
    if "row-level security" in said:
        return RightsError(
            f"storage: a row policy stops role {role} in {show_url(url)}, got {said!r}, expected a "
            "policy that lets it read and write all rows; its owner disables row-level security "
            "on the tables of sweep"
        )
    kind, name = _name_object(said)
    right, cure = _choose_cure(kind, name, schema, statement)
    of = f" {'on' if cure else 'of'} {kind} {name}" if kind else ""
    grants = "; ".join(f"{grant} TO {_quote(str(role))}" for grant in cure)
    return RightsError(
        f"storage: role {role} lacks a right in {show_url(url)}, got {said!r}, expected {right}"
        f"{of}; " + (f"its owner gives it: {grants}" if grants else "use the role that owns it")
    )


def _name_object(said: str) -> tuple[str, str]:
    """Read from a server's message of what a right is missing; nothing where it is not English."""
    found = re.search(r"\b(?:for|of) (table|relation|sequence|schema|database|view) (.+)$", said)
    return (found[1], found[2]) if found else ("", "")


def _choose_cure(kind: str, name: str, schema: str, statement: str) -> tuple[str, list[str]]:
    """Give the right that a statement needs, and the beginnings of the GRANTs that mend it."""
    verb = (statement.split() or ["?"])[0].upper()
    sequences = f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {_quote(schema)}"
    if verb in ("ALTER", "DROP"):
        return "ownership", []
    if kind == "database":
        right = verb if verb in ("CONNECT", "CREATE") else "TEMPORARY"
        return right, [f"GRANT {right} ON DATABASE {_quote(name)}"]
    if kind == "schema":
        right = "USAGE, CREATE" if verb == "CREATE" else "USAGE"
        return right, [f"GRANT {right} ON SCHEMA {_quote(name)}"]
    if kind == "sequence":
        return "USAGE", [sequences]
    is_read = verb == "SELECT" and "FOR UPDATE" not in statement
    tables = f"GRANT {READING if is_read else WRITING} ON ALL TABLES IN SCHEMA {_quote(schema)}"
    right = "UPDATE" if verb == "SELECT" and not is_read else verb
    return right, [tables] if is_read else [tables, sequences]


def _quote(name: str) -> str:
    if re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _describe_file(exc: sqlite3.Error, path: Path) -> RightsError | None:
    code = exc.sqlite_errorcode & 0xFF
    if code == SQLITE_READONLY:
        return RightsError(
            f"storage: {path} may only be read, got {str(exc)!r}, expected the right of "
            f"{name_user()} to write the file and its folder; ask the owner, or work on a copy"
        )
    return _explain_unopened(path) if code == SQLITE_CANTOPEN else None


def _explain_unopened(path: Path) -> RightsError | None:
    """Say why a SQLite file cannot be opened, or None where the rights are there."""
    folder = Path(os.path.realpath(path)).parent
    if closed := find_closed_path(path):
        return closed
    if is_allowed(folder, os.W_OK) or not is_allowed(folder, os.F_OK):
        return None
    if not is_allowed(path, os.F_OK):
        return RightsError(
            f"storage: {path} cannot be made, got a folder that is closed to "
            f"{name_user()}, expected one that may be written; name another with --storage"
        )
    if has_log(path):
        return RightsError(
            f"storage: the log {path}-wal cannot be read, got no {path.name}-shm that may be read "
            "and a folder that may not be written, expected one of them; copy the file and its "
            "log together into a folder of your own"
        )
    return None
