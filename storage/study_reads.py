"""Reads the rows of Optuna's trials, each table once for as many trials as are asked for.

Private names of Optuna are used here as in `sweep.storage.studies`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial

STUDIES: Any = models.StudyModel.__table__
TRIALS: Any = models.TrialModel.__table__
VALUES: Any = models.TrialValueModel.__table__
PARAMS: Any = models.TrialParamModel.__table__
STEPS: Any = models.TrialIntermediateValueModel.__table__
USER_ATTRIBUTES: Any = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRIBUTES: Any = models.TrialSystemAttributeModel.__table__

Rows = dict[int, list[sa.Row[Any]]]


def make_queries(which: sa.ColumnElement[bool]) -> list[sa.Select[Any]]:
    """Make what reads some trials, in the order of their rows: theirs, then those of each part."""
    parts = (PARAMS, VALUES, STEPS, USER_ATTRIBUTES, SYSTEM_ATTRIBUTES)
    return [
        sa.select(TRIALS).where(which).order_by(TRIALS.c.trial_id),
        *(
            sa.select(table)
            .join(TRIALS, table.c.trial_id == TRIALS.c.trial_id)
            .where(which)
            .order_by(*table.primary_key)
            for table in parts
        ),
    ]


@cache
def make_queries_of_one() -> list[sa.Select[Any]]:
    """Make what reads the trial `one`."""
    return make_queries(TRIALS.c.trial_id == sa.bindparam("one"))


def read_trials(
    connection: sa.Connection, queries: Sequence[sa.Select[Any]], **values: Any
) -> list[FrozenTrial]:
    """Read the trials of `make_queries`.

    Args:
        values: Of what the queries leave open.
    """
    rows = connection.execute(queries[0], values).all()
    if not rows:
        return []
    parts = [_read_part(connection, query, values) for query in queries[1:]]
    return [_build(row, *(part[row.trial_id] for part in parts)) for row in rows]


def _read_part(connection: sa.Connection, query: sa.Select[Any], values: Mapping[str, Any]) -> Rows:
    """Read what one table has of some trials, in the order it was written."""
    found: Rows = defaultdict(list)
    for row in connection.execute(query, values).all():
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
        datetime_start=to_local(row.datetime_start),
        datetime_complete=to_local(row.datetime_complete),
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


def to_local(utc: datetime | None) -> datetime | None:
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
