"""The files of a person's own network, kept with its sweep so that any worker has them.

Here they are bytes: what they mean, and whether they may run, is for others to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from sweep.storage.tables import sources
from sweep.storage.transactions import read_rows


def read_files(engine: sa.Engine, sweep_id: int) -> dict[str, bytes]:
    """Read the files of a sweep's network by their paths; none for the project's own networks."""
    query = sa.select(sources.c.path, sources.c.content).where(sources.c.sweep_id == sweep_id)
    return {row.path: bytes(row.content) for row in read_rows(engine, query)}


def write_files(connection: sa.Connection, sweep_id: int, files: Mapping[str, bytes]) -> None:
    """Keep files in place of those that were kept."""
    connection.execute(sources.delete().where(sources.c.sweep_id == sweep_id))
    rows: list[dict[str, Any]] = [
        {"sweep_id": sweep_id, "path": path, "content": content} for path, content in files.items()
    ]
    if rows:
        connection.execute(sources.insert(), rows)
