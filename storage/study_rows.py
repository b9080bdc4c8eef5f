"""Reads and writes the rows of Optuna's trials, in as few statements as that takes.

Optuna's own storage goes through objects that look up each other's rows one by one: nine statements
to read a trial, four to write an epoch's value. That was most of what a trial cost beside its
training.

Private names of Optuna are used here as in `sweep.storage.studies`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _VersionManager
from optuna.trial import FrozenTrial
from sqlalchemy.dialects import postgresql, sqlite

from sweep.storage.engine import open_reader

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

TRIALS: Any = models.TrialModel.__table__
VALUES: Any = models.TrialValueModel.__table__
PARAMS: Any = models.TrialParamModel.__table__
STEPS: Any = models.TrialIntermediateValueModel.__table__
USER_ATTRIBUTES: Any = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRIBUTES: Any = models.TrialSystemAttributeModel.__table__

Rows = dict[int, list[sa.Row[Any]]]


@cache
def _read_migrations() -> ScriptDirectory:
    """Read Optuna's migrations, once in a process: they make more classes than all else needs."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(Path(models.__file__).with_name("alembic"))


# Optuna reads them twice for a new database, and whenever it looks at the version of its tables.
_VersionManager._create_alembic_script = (  # type: ignore[method-assign]
    lambda self: _read_migrations()  # noqa: ARG005 - so it is called there
)


class StudyRows(RDBStorage):
    """Optuna's storage, in which trials of one study may have a parameter of different spaces.

    The space of a sweep may change while it lives. Optuna refuses other choices for a parameter
    that an earlier trial has; it learns of these from nobody but a sampler, which is asked here.
    """

    def _set_trial_param_without_commit(self, *given: Any) -> None:
        session, trial_id, name, value, distribution = given[:5]
        super()._set_trial_param_without_commit(
            session, trial_id, name, value, distribution, previous_distribution=distribution
        )

    def _set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None,  # noqa: ARG002 - may be another one
    ) -> None:
        row = {
            "param_name": param_name,
            "param_value": param_value_internal,
            "distribution_json": distribution_to_json(distribution),
        }
        self._write(PARAMS, "param_name", None, trial_id, [row])

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Read one trial.

        Raises:
            KeyError: when there is none of that number.
        """
        with open_reader(self.engine) as connection:
            found = read_trials(connection, TRIALS.c.trial_id == trial_id)
        if not found:
            raise KeyError(f"no trial has the number {trial_id}")
        return found[0]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write one attribute that the search reads."""
        rows = [{"key": key, "value_json": json.dumps(value)}]
        self._write(SYSTEM_ATTRIBUTES, "key", "value_json", trial_id, rows)

    def write_attributes(self, trial_id: int, attributes: Mapping[str, Any]) -> None:
        """Write attributes that a person sees, over those of the same names.

        Raises:
            KeyError: when there is no such trial.
            optuna.exceptions.UpdateFinishedTrialError: when it is finished.
        """
        rows = [{"key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]
        self._write(USER_ATTRIBUTES, "key", "value_json", trial_id, rows)

    def write_steps(self, trial_id: int, values: Mapping[int, float]) -> None:
        """Write the values of epochs that have none yet; raises as `write_attributes`."""
        convert = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
        names = ("step", "intermediate_value", "intermediate_value_type")
        rows = [
            dict(zip(names, (step, *convert(value)), strict=True)) for step, value in values.items()
        ]
        self._write(STEPS, "step", None, trial_id, rows)

    def _write(
        self,
        table: Any,
        key: str,
        replaced: str | None,
        trial_id: int,
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        """Write rows of a trial that is not finished.

        Args:
            key: Which column tells them apart.
            replaced: Which one a row takes that is there already; it stays as it is where None.
        """
        if not rows:
            return
        insert = (sqlite if self.engine.dialect.name == "sqlite" else postgresql).insert(table)
        unique = ["trial_id", key]
        if replaced is None:
            statement = insert.on_conflict_do_nothing(index_elements=unique)
        else:
            new = {replaced: insert.excluded[replaced]}
            statement = insert.on_conflict_do_update(index_elements=unique, set_=new)
        of_trial = sa.select(TRIALS.c.state).where(TRIALS.c.trial_id == trial_id)
        with self.engine.begin() as connection:
            state = connection.execute(of_trial).scalar_one_or_none()
            if state is None:
                raise KeyError(f"no trial has the number {trial_id}")
            self.check_trial_is_updatable(trial_id, state)
            connection.execute(statement, [{"trial_id": trial_id, **row} for row in rows])


def read_trials(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[FrozenTrial]:
    """Read some trials, in the order of their rows."""
    rows = connection.execute(sa.select(TRIALS).where(which).order_by(TRIALS.c.trial_id)).all()
    if not rows:
        return []
    parts = [
        _read_part(connection, table, which)
        for table in (PARAMS, VALUES, STEPS, USER_ATTRIBUTES, SYSTEM_ATTRIBUTES)
    ]
    return [_build(row, *(part[row.trial_id] for part in parts)) for row in rows]


def _read_part(connection: sa.Connection, table: Any, which: sa.ColumnElement[bool]) -> Rows:
    """Read what one table has of some trials, in the order it was written."""
    query = (
        sa.select(table)
        .join(TRIALS, table.c.trial_id == TRIALS.c.trial_id)
        .where(which)
        .order_by(*table.primary_key)
    )
    found: Rows = defaultdict(list)
    for row in connection.execute(query):
        found[row.trial_id].append(row)
    return found


def _build(
    row: sa.Row[Any],
    params: list[sa.Row[Any]],
    values: list[sa.Row[Any]],
    steps: list[sa.Row[Any]],
    user_attributes: list[sa.Row[Any]],
    system_attributes: list[sa.Row[Any]],
) -> FrozenTrial:
    """Build a trial of its rows, as Optuna's storage does."""
    distributions = {p.param_name: _parse_distribution(p.distribution_json) for p in params}
    by_objective = sorted(values, key=lambda value: int(value.objective))
    read_value = models.TrialValueModel.stored_repr_to_value
    read_step = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
    return FrozenTrial(
        number=row.number,
        state=row.state,
        value=None,
        values=[read_value(v.value, v.value_type) for v in by_objective] or None,
        datetime_start=_to_local(row.datetime_start),
        datetime_complete=_to_local(row.datetime_complete),
        params={
            p.param_name: distributions[p.param_name].to_external_repr(p.param_value)
            for p in params
        },
        distributions=distributions,
        user_attrs=_parse(user_attributes),
        system_attrs=_parse(system_attributes),
        intermediate_values={
            s.step: read_step(s.intermediate_value, s.intermediate_value_type) for s in steps
        },
        trial_id=row.trial_id,
    )


def _to_local(utc: datetime | None) -> datetime | None:
    """Give a time as Optuna shows it: local, and without saying so."""
    if utc is None:
        return None
    return utc.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


def _parse(attributes: Iterable[sa.Row[Any]]) -> dict[str, Any]:
    return {attribute.key: json.loads(attribute.value_json) for attribute in attributes}


@lru_cache(maxsize=1000)
def _parse_distribution(text: str) -> BaseDistribution:
    """Read a distribution; all trials of a study have the same few."""
    return json_to_distribution(text)
