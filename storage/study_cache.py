"""Reads the trials of a study as they change, and each no more often than that.

Optuna's own cache reads every unfinished trial anew, each time that anybody asks. In a sweep whose
trials pause these are most of them, so that a suggestion would take longer with each trial.

Private names of Optuna are used here as in `sweep.storage.studies`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage, _StudyInfo
from optuna.storages._rdb import models
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

FIXED_KEY = "fixed_params"  # Optuna's own name for values that the sampler must not choose

TRIALS: Any = models.TrialModel.__table__
VALUES: Any = models.TrialValueModel.__table__
PARAMS: Any = models.TrialParamModel.__table__
STEPS: Any = models.TrialIntermediateValueModel.__table__
USER_ATTRIBUTES: Any = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRIBUTES: Any = models.TrialSystemAttributeModel.__table__
PART = 500
"""Trials that one statement names; a database takes only so many."""

Rows = dict[int, list[sa.Row[Any]]]


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


class StudyCache(_CachedStorage):
    """Optuna's storage, which keeps the trials it has read until they change.

    A trial that waits, as a paused one does, is as it was while it waits and has no epoch more. One
    that runs is read anew.
    """

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._read_up_to: dict[int, int] = {}

    def delete_study(self, study_id: int) -> None:
        """Delete a study; its number may be another one's later."""
        super().delete_study(study_id)
        self._read_up_to.pop(study_id, None)

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        """Read what is new and what has changed.

        A study's trials are made one after another, so that none with a lower number appears once
        a higher one was read.
        """
        with self._lock:
            study = self._studies.setdefault(study_id, _StudyInfo())
            newest = self._read_up_to.get(study_id, -1)
            with self._backend.engine.connect() as connection:
                changed = _list_changed(connection, study_id, study.trials.values(), newest)
                trials = _read_trials(connection, study_id, TRIALS.c.trial_id > newest)
                for first in range(0, len(changed), PART):
                    part = TRIALS.c.trial_id.in_(changed[first : first + PART])
                    trials += _read_trials(connection, study_id, part)
            self._add_trials_to_cache(study_id, trials)
            self._read_up_to[study_id] = max([newest, *(trial._trial_id for trial in trials)])


def get_row_id(trial: FrozenTrial) -> int:
    """Give the number of a trial's row: its own among all studies of a database."""
    return trial._trial_id


def get_choice(trial: FrozenTrial, name: str) -> Any:
    """Give a trial's value of a parameter that is fixed when it begins; None where it has none."""
    return trial.params.get(name, trial.system_attrs.get(FIXED_KEY, {}).get(name))


See = Callable[[FrozenTrial], FrozenTrial | None]
"""How a trial is seen; None where it is not."""


class _SeenStudy(Study):
    """A study whose trials are seen otherwise, or not at all."""

    def __init__(self, study: Study, see: See) -> None:
        vars(self).update(vars(study))
        self._whole, self._see = study, see

    def _get_trials(self, *args: Any, **options: Any) -> list[FrozenTrial]:
        found = map(self._see, self._whole._get_trials(*args, **options))
        return [trial for trial in found if trial is not None]


def show_study(study: Study, see: See) -> Study:
    """Give a study as a sampler is to see it; what it writes is written into the study itself."""
    return _SeenStudy(study, see)


def narrow_study(study: Study, name: str, value: Any) -> Study:
    """Give a study as a sampler sees it that is to know a part of the trials alone.

    Args:
        name, value: A parameter that is fixed when a trial begins, and what it is in that part.
    """
    return show_study(study, lambda trial: trial if get_choice(trial, name) == value else None)


def _list_changed(
    connection: sa.Connection, study_id: int, cached: Collection[FrozenTrial], newest: int
) -> list[int]:
    """List the trials of those that were read before which are not as they were."""
    unfinished = [t for t in cached if not t.state.is_finished() and t._trial_id <= newest]
    if not unfinished:
        return []
    num_steps = sa.func.count(STEPS.c.step)
    waiting = (
        sa.select(TRIALS.c.trial_id, num_steps)
        .outerjoin(STEPS, STEPS.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.WAITING)
        .group_by(TRIALS.c.trial_id)
    )
    now = {trial_id: number for trial_id, number in connection.execute(waiting)}
    return [
        trial._trial_id
        for trial in unfinished
        if trial.state != TrialState.WAITING
        or now.get(trial._trial_id) != len(trial.intermediate_values)
    ]


def _read_trials(
    connection: sa.Connection, study_id: int, which: sa.ColumnElement[bool]
) -> list[FrozenTrial]:
    """Read some trials of a study, in their order."""
    which = sa.and_(TRIALS.c.study_id == study_id, which)
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
