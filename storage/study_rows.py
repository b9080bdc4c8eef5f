"""Writes the rows of Optuna's trials, in as few statements as that takes.

Optuna's own storage goes through objects that look up each other's rows one by one: nine statements
to read a trial, four to write an epoch's value. That was most of what a trial cost beside its
training.

Private names of Optuna are used here as in `sweep.storage.studies`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _VersionManager
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.dialects import postgresql, sqlite

from sweep.storage.study_reads import (
    PARAMS,
    STEPS,
    STUDIES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    USER_ATTRIBUTES,
    VALUES,
    make_queries_of_one,
    read_trials,
    to_local,
)
from sweep.storage.transactions import open_reader

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

PARTS: dict[str, tuple[Any, str]] = {
    "trial_params": (PARAMS, "param_name"),
    "trial_values": (VALUES, "objective"),
    "trial_intermediate_values": (STEPS, "step"),
    "trial_user_attributes": (USER_ATTRIBUTES, "key"),
    "trial_system_attributes": (SYSTEM_ATTRIBUTES, "key"),
}
"""Tables of what trials consist of, each with the column that tells a trial's rows apart."""


@cache
def read_migrations() -> ScriptDirectory:
    """Read Optuna's migrations, once in a process: they make more classes than all else needs."""
    from alembic.script import ScriptDirectory

    found = ScriptDirectory(Path(models.__file__).with_name("alembic"))
    found.get_heads()  # reads them
    return found


# Optuna reads them twice for a new database, and whenever it looks at the version of its tables.
_VersionManager._create_alembic_script = (  # type: ignore[method-assign]
    lambda self: read_migrations()  # noqa: ARG005 - so it is called there
)


@dataclass
class _Held:
    """What is to be written of a trial: rows by the statement that writes them.

    Attributes:
        attributes: All that the search reads of the trial, with what is held.
    """

    attributes: dict[str, Any]
    rows: dict[tuple[str, str | None], list[dict[str, Any]]] = field(default_factory=dict)


class StudyRows(RDBStorage):
    """Optuna's storage, in which trials of one study may have a parameter of different spaces.

    The space of a sweep may change while it lives. Optuna refuses other choices for a parameter
    that an earlier trial has; it learns of these from nobody but a sampler, which is asked here.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._held: dict[int, _Held] = {}

    @contextmanager
    def gather(self, trial_id: int, attributes: Mapping[str, Any]) -> Iterator[None]:
        """Hold back what is written of a running trial, and write it in one transaction at the end.

        Nothing is written where that is not reached.

        Args:
            attributes: All that the search reads of the trial.
        """
        held = self._held[trial_id] = _Held(dict(attributes))
        try:
            yield
        finally:
            del self._held[trial_id]
        if held.rows:
            with self._open(trial_id) as (connection, _state):
                for (name, replaced), rows in held.rows.items():
                    connection.execute(
                        _make_statement(self.engine.dialect.name, name, replaced), rows
                    )

    def _create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> FrozenTrial:
        if template_trial is None or _has_more(template_trial):
            return super()._create_new_trial(study_id, template_trial)
        now = datetime.now(UTC).replace(tzinfo=None)
        lock, begin = _make_beginning()
        new = {"study_id": study_id, "state": template_trial.state, "datetime_start": now}
        this = {"of_study": study_id}
        with self.engine.begin() as connection:
            # Who counts holds the study, or two trials have one number.
            if connection.execute(lock, this).first() is None:
                raise KeyError(f"no study has the number {study_id}")
            trial_id, number = connection.execute(begin, new | this).one()
            rows = [
                {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
                for key, value in template_trial.system_attrs.items()
            ]
            connection.execute(SYSTEM_ATTRIBUTES.insert(), rows)
        trial = copy.deepcopy(template_trial)
        trial.number, trial._trial_id, trial.datetime_start = number, trial_id, to_local(now)
        return trial

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Write a trial's state and its values; False where one is to run that does not wait."""
        convert = models.TrialValueModel.value_to_stored_repr
        names = ("objective", "value", "value_type")
        rows = [
            {"trial_id": trial_id, **dict(zip(names, (place, *convert(value)), strict=True))}
            for place, value in enumerate(values or ())
        ]
        columns: dict[str, Any] = {"state": state}
        now = datetime.now(UTC).replace(tzinfo=None)
        if state == TrialState.RUNNING:
            columns["datetime_start"] = now
        if state.is_finished():
            columns["datetime_complete"] = now
        with self._open(trial_id, is_locked=True) as (connection, stored):
            if rows:
                connection.execute(
                    _make_statement(self.engine.dialect.name, "trial_values", None), rows
                )
            if state == TrialState.RUNNING and stored != TrialState.WAITING:
                return False
            connection.execute(_make_change(), {"of_trial": trial_id, **columns})
        return True

    def get_study_id_from_name(self, study_name: str) -> int:
        """Find a study's number.

        Raises:
            KeyError: when there is none of that name.
        """
        with open_reader(self.engine) as connection:
            found = connection.execute(_ask_study(), {"name": study_name}).scalar()
        if found is None:
            raise KeyError(f"no study has the name {study_name}")
        return int(found)

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """Read what the search reads of a trial, and what is held back of that."""
        held = self._held.get(trial_id)
        return super().get_trial_system_attrs(trial_id) if held is None else held.attributes

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
        self._write("trial_params", None, trial_id, [row])

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Read one trial.

        Raises:
            KeyError: when there is none of that number.
        """
        with open_reader(self.engine) as connection:
            found = read_trials(connection, make_queries_of_one(), one=trial_id)
        if not found:
            raise KeyError(f"no trial has the number {trial_id}")
        return found[0]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write one attribute that the search reads."""
        rows = [{"key": key, "value_json": json.dumps(value)}]
        self._write("trial_system_attributes", "value_json", trial_id, rows)
        if (held := self._held.get(trial_id)) is not None:
            held.attributes[key] = value

    def write_attributes(self, trial_id: int, attributes: Mapping[str, Any]) -> None:
        """Write attributes that a person sees, over those of the same names.

        Raises:
            KeyError: when there is no such trial.
            optuna.exceptions.UpdateFinishedTrialError: when it is finished.
        """
        rows = [{"key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]
        self._write("trial_user_attributes", "value_json", trial_id, rows)

    def write_steps(
        self, trial_id: int, values: Mapping[int, float], connection: sa.Connection | None = None
    ) -> None:
        """Write the values of epochs that have none yet; raises as `write_attributes`.

        Args:
            connection: Of the transaction to do it in; None for one of its own.
        """
        convert = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
        names = ("step", "intermediate_value", "intermediate_value_type")
        rows = [
            dict(zip(names, (step, *convert(value)), strict=True)) for step, value in values.items()
        ]
        self._write("trial_intermediate_values", None, trial_id, rows, connection)

    def _write(
        self,
        name: str,
        replaced: str | None,
        trial_id: int,
        rows: Sequence[Mapping[str, Any]],
        connection: sa.Connection | None = None,
    ) -> None:
        """Write rows of a trial that is not finished, or hold them back.

        Args:
            name: Of their table.
            replaced: Which column a row takes that is there already; it stays as it is where None.
        """
        whole = [{"trial_id": trial_id, **row} for row in rows]
        if not whole:
            return
        held = self._held.get(trial_id)
        if held is not None:
            held.rows.setdefault((name, replaced), []).extend(whole)
            return
        with self._open(trial_id, connection) as (opened, _state):
            opened.execute(_make_statement(self.engine.dialect.name, name, replaced), whole)

    @contextmanager
    def _open(
        self, trial_id: int, given: sa.Connection | None = None, *, is_locked: bool = False
    ) -> Iterator[tuple[sa.Connection, TrialState]]:
        """Open a transaction that changes a trial, or take a given one; gives the trial's state.

        Raises:
            KeyError: when there is no such trial.
            optuna.exceptions.UpdateFinishedTrialError: when it is finished.
        """
        query = _make_query_of_state(is_locked)
        with nullcontext(given) if given is not None else self.engine.begin() as connection:
            state = connection.execute(query, {"one": trial_id}).scalar_one_or_none()
            if state is None:
                raise KeyError(f"no trial has the number {trial_id}")
            self.check_trial_is_updatable(trial_id, state)
            yield connection, state


@cache
def _ask_study() -> sa.Select[Any]:
    return sa.select(STUDIES.c.study_id).where(STUDIES.c.study_name == sa.bindparam("name"))


@cache
def _make_beginning() -> tuple[sa.Select[Any], Any]:
    """Make what locks a study, and what begins a trial of it with the next number."""
    this: sa.BindParameter[int] = sa.bindparam("of_study")
    lock = sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id == this).with_for_update()
    count = sa.select(sa.func.count()).where(TRIALS.c.study_id == this).scalar_subquery()
    begin = TRIALS.insert().values(number=count).returning(TRIALS.c.trial_id, TRIALS.c.number)
    return lock, begin


@cache
def _make_change() -> sa.Update:
    """Make what writes columns of the trial `of_trial`."""
    change: sa.Update = TRIALS.update().where(TRIALS.c.trial_id == sa.bindparam("of_trial"))
    return change


@cache
def _make_query_of_state(is_locked: bool) -> sa.Select[Any]:
    query = sa.select(TRIALS.c.state).where(TRIALS.c.trial_id == sa.bindparam("one"))
    return query.with_for_update() if is_locked else query


@cache
def _make_statement(dialect: str, name: str, replaced: str | None) -> Any:
    """Make what writes rows into a table of trials' parts: arguments as `StudyRows._write`."""
    table, key = PARTS[name]
    insert = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    unique = ["trial_id", key]
    if replaced is None:
        return insert.on_conflict_do_nothing(index_elements=unique)
    new = {replaced: insert.excluded[replaced]}
    return insert.on_conflict_do_update(index_elements=unique, set_=new)


def _has_more(trial: FrozenTrial) -> bool:
    """Say whether a trial that is to be begun is more than one that runs, with what is read of it
    by the search.
    """
    parts = (trial.params, trial.values, trial.user_attrs, trial.intermediate_values)
    return trial.state != TrialState.RUNNING or not trial.system_attrs or any(parts)
