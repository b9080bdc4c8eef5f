"""All rows that belong to sweeps, read from one database and written to another.

They hang, by foreign keys, from two rows a sweep: its own and that of its study. Only ids become
other ones; every other value is written as it was read, column by column. The tables are read
from the databases themselves, so that a new column is copied without being named here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from sweep.storage import studies
from sweep.storage.path_parts import check_artifact_id
from sweep.storage.tables import attempts, edits, epochs, sources, sweeps, trials

PARENTS = (sweeps.name, trials.name, studies.STUDIES, studies.STUDY_TRIALS)
OWN_TABLES = (sweeps, trials, attempts, epochs, sources, edits)
TABLES = (*(table.name for table in OWN_TABLES), *studies.STUDY_TABLES)
STALE = {"publisher": None, "publisher_until_s": None, "published_s": None, "published": None}
"""Of a copied sweep: its pages in the dashboard link to rows by id, and are to be written anew."""
NUM_ROWS = 1000
"""How many rows are held in memory at a time."""


class SweepRows:
    """The rows of some sweeps.

    Args:
        reader: of a transaction that sees one state of the database until it ends.
    """

    def __init__(self, reader: sa.Connection, names: Sequence[str]) -> None:
        self._reader = reader
        self._names = {
            sweeps.name: ("name", list(names)),
            studies.STUDIES: ("study_name", studies.list_studies(names)),
        }
        # Parents before children; a study's attributes last, whose keys may name its trials.
        self._tables = sorted(
            _reflect(reader).sorted_tables,
            key=lambda table: table.name == studies.STUDY_SYSTEM_ATTRIBUTES,
        )

    def count(self) -> int:
        """Count the rows of all tables."""
        queries = (sa.select(sa.func.count()).where(self._belongs(t)) for t in self._tables)
        return sum(self._reader.execute(query).scalar_one() for query in queries)

    def list_attached(self) -> list[str]:
        """List the attached files of the sweeps' studies and trials, by name in their folder.

        Raises:
            StorageError: when a name could lead out of that folder.
        """
        found: list[str] = []
        for table in self._tables:
            if table.name in (studies.STUDY_SYSTEM_ATTRIBUTES, studies.TRIAL_SYSTEM_ATTRIBUTES):
                is_file = table.c.key.startswith(studies.ARTIFACT_PREFIX, autoescape=True)
                query = sa.select(table.c.key).where(self._belongs(table), is_file)
                keys = self._reader.execute(query.order_by(table.c.key)).scalars()
                ids = (key.removeprefix(studies.ARTIFACT_PREFIX) for key in keys)
                found += map(check_artifact_id, ids)
        return found

    def write(self, writer: sa.Connection, say: Callable[[int], None]) -> None:
        """Write all rows in the order of their ids, which is that of a study's trial numbers.

        Args:
            writer: of a transaction on a database that has the tables and none of the sweeps.
        """
        targets = _reflect(writer).tables
        ids: dict[str, dict[int, int]] = defaultdict(dict)
        num_written = 0
        for table in self._tables:
            query = sa.select(table).where(self._belongs(table)).order_by(*table.primary_key)
            result = self._reader.execute(query, execution_options={"yield_per": NUM_ROWS})
            for part in result.mappings().partitions():
                rows = [dict(row) for row in part]
                _insert(writer, targets[table.name], rows, ids)
                num_written += len(rows)
                say(num_written)

    def _belongs(self, table: sa.Table) -> sa.ColumnElement[bool]:
        """Say of a table's rows whether they hang from one of the sweeps."""
        for key in table.foreign_keys:
            parents = sa.select(key.column).where(self._belongs(key.column.table))
            return key.parent.in_(parents)
        column, names = self._names[table.name]
        return table.c[column].in_(names)


def _reflect(connection: sa.Connection) -> sa.MetaData:
    metadata = sa.MetaData()
    metadata.reflect(connection, only=TABLES)
    return metadata


def _insert(
    writer: sa.Connection,
    table: sa.Table,
    rows: list[dict[str, Any]],
    ids: dict[str, dict[int, int]],
) -> None:
    """Insert rows under the new ids of their parents, and keep their own new ids."""
    for key in table.foreign_keys:
        for row in rows:
            row[key.parent.name] = ids[key.column.table.name][row[key.parent.name]]
    if table.name == sweeps.name:
        for row in rows:
            row.update(STALE)
    if table.name == studies.STUDY_SYSTEM_ATTRIBUTES:
        for row in rows:
            row["key"] = studies.rename_attribute(row["key"], ids[studies.STUDY_TRIALS])
    own = list(table.primary_key)
    if len(own) > 1:  # the parent's id and a number: no id of its own
        writer.execute(table.insert(), rows)
        return
    old = [row.pop(own[0].name) for row in rows]
    if table.name in PARENTS:
        statement = table.insert().returning(own[0], sort_by_parameter_order=True)
        ids[table.name].update(zip(old, writer.execute(statement, rows).scalars(), strict=True))
    else:
        writer.execute(table.insert(), rows)
