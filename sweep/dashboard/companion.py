"""The companion study `<sweep> (all metrics)`: a copy of the good trials with all their metrics.

The sweep's own study has one objective, because pruning needs that. The copy has several, and so
the dashboard draws its Pareto front, histories and importances for each; the other metrics are
attributes, which are columns and axes. It is never searched and never counted, and it can be made
anew.
"""

from __future__ import annotations

from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from sweep.metrics.table import METRICS, MIRRORED
from sweep.results.status import Status
from sweep.storage import studies

SOURCE_KEY = "source_trial"
GOALS = {label: metric.goal for label, metric in MIRRORED.items()}
NUM_AT_ONCE = 100
"""Trials copied in one go, 13 ms each or more, so that a lease is renewed in time."""


def mirror_trials(storage: BaseStorage, study: optuna.Study, status: Status) -> bool:
    """Bring the companion of a sweep's study up to date, at most NUM_AT_ONCE trials further.

    Copied are the trials that may be called the best: complete and feasible. Where the copy holds
    anything else, or a trial twice, it is made anew.

    Returns:
        Whether the copy is complete.

    Raises:
        StorageError: when somebody else's study of that name is in the database.
    """
    name = study.study_name
    companion = studies.open_companion(storage, name, GOALS)
    end_s = {trial.number: trial.finished_s or 0.0 for trial in status.ranked}
    held = [trial.user_attrs.get(SOURCE_KEY) for trial in studies.read_study_trials(companion)]
    if len(set(held)) != len(held) or not end_s.keys() >= set(held):
        studies.drop_companion(storage, name)
        companion, held = studies.open_companion(storage, name, GOALS), []
    missing = sorted(end_s.keys() - set(held), key=lambda number: end_s[number])
    now = set(missing[:NUM_AT_ONCE])
    for trial in studies.read_study_trials(study):
        if trial.number in now:
            companion.add_trial(_copy_trial(trial))
    return len(missing) == len(now)


def _widen(distribution: BaseDistribution, value: Any) -> BaseDistribution:
    """Widen a range so that it holds a value: a starting point may lie outside of the space."""
    if isinstance(distribution, FloatDistribution):
        low, high = min(distribution.low, value), max(distribution.high, value)
        return FloatDistribution(low, high, distribution.log, distribution.step)
    if isinstance(distribution, IntDistribution):
        low, high = min(distribution.low, value), max(distribution.high, value)
        return IntDistribution(int(low), int(high), distribution.log, distribution.step)
    return distribution


def _copy_trial(source: FrozenTrial) -> FrozenTrial:
    """Copy one trial: its settings, its times, and its metrics: the objectives as values."""
    return FrozenTrial(
        number=-1,  # the storage gives it one
        trial_id=-1,
        state=TrialState.COMPLETE,
        value=None,
        values=[source.user_attrs[metric.key] for metric in MIRRORED.values()],
        datetime_start=source.datetime_start,
        datetime_complete=source.datetime_complete,
        params=source.params,
        distributions={
            name: _widen(distribution, source.params[name])
            for name, distribution in source.distributions.items()
        },
        user_attrs={SOURCE_KEY: source.number, **_list_others(source)},
        system_attrs={},
        intermediate_values={},
    )


def _list_others(source: FrozenTrial) -> dict[str, Any]:
    """List the metrics of a trial that are no objectives here; an older version kept fewer."""
    others = (metric.key for metric in METRICS if not metric.is_main)
    return {key: source.user_attrs[key] for key in others if key in source.user_attrs}
