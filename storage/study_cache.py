"""Reads the trials of a study as they change, and each no more often than that.

Optuna's own cache reads every unfinished trial anew, each time that anybody asks. In a sweep whose
trials pause these are most of them, so that a suggestion would take longer with each trial.

Private names of Optuna are used here as in `sweep.storage.studies`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import sqlalchemy as sa
from optuna.storages._cached_storage import _CachedStorage, _StudyInfo
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweep.storage.study_reads import STEPS, TRIALS, make_queries, read_trials
from sweep.storage.study_rows import StudyRows
from sweep.storage.transactions import open_reader

FIXED_KEY = "fixed_params"  # Optuna's own name for values that the sampler must not choose
PART = 500
"""Trials that one statement names; a database takes only so many."""
NONE_AFTER = 2**31 - 1
"""No trial's row has a higher number."""


class StudyCache(_CachedStorage):
    """Optuna's storage, which keeps the trials it has read until they change.

    A trial that waits, as a paused one does, is as it was while it waits and has no epoch more. One
    that runs is read anew.
    """

    _backend: StudyRows

    def __init__(self, backend: StudyRows) -> None:
        super().__init__(backend)
        self._read_up_to: dict[int, int] = {}
        self._fresh: dict[int, FrozenTrial] = {}
        """Trials as they were begun a moment ago, for who looks at them next."""

    def delete_study(self, study_id: int) -> None:
        """Delete a study; its number may be another one's later."""
        super().delete_study(study_id)
        self._read_up_to.pop(study_id, None)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Begin a trial; gives the number of its row."""
        trial_id = super().create_new_trial(study_id, template_trial)
        if template_trial is not None and template_trial.state == TrialState.RUNNING:
            with self._lock:
                study, number = self._trial_id_to_study_id_and_number[trial_id]
                self._fresh[trial_id] = copy.deepcopy(self._studies[study].trials[number])
        return trial_id

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Read one trial."""
        return self._fresh.pop(trial_id, None) or super().get_trial(trial_id)

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """As `StudyRows.get_trial_system_attrs`."""
        return self._backend.get_trial_system_attrs(trial_id)

    def gather(self, trial_id: int, attributes: Mapping[str, Any]) -> AbstractContextManager[None]:
        """As `StudyRows.gather`."""
        return self._backend.gather(trial_id, attributes)

    def write_steps(
        self, trial_id: int, values: Mapping[int, float], connection: sa.Connection | None = None
    ) -> None:
        """As `StudyRows.write_steps`."""
        self._backend.write_steps(trial_id, values, connection)

    def write_attributes(self, trial_id: int, attributes: Mapping[str, Any]) -> None:
        """As `StudyRows.write_attributes`."""
        self._backend.write_attributes(trial_id, attributes)

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        """Read what is new and what has changed.

        A study's trials are made one after another, so that none with a lower number appears once
        a higher one was read.
        """
        with self._lock:
            study = self._studies.setdefault(study_id, _StudyInfo())
            newest = self._read_up_to.get(study_id, -1)
            with open_reader(self._backend.engine) as connection:
                changed = _list_changed(connection, study_id, study.trials.values(), newest)
                this = {"study": study_id, "newest": newest}
                trials = read_trials(connection, _ask_trials(), part=changed[:PART], **this)
                this = {"study": study_id, "newest": NONE_AFTER}
                for start in range(PART, len(changed), PART):
                    part = changed[start : start + PART]
                    trials += read_trials(connection, _ask_trials(), part=part, **this)
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
    waiting = connection.execute(_ask_waiting(), {"study": study_id})
    now = {trial_id: number for trial_id, number in waiting}
    return [
        trial._trial_id
        for trial in unfinished
        if trial.state != TrialState.WAITING
        or now.get(trial._trial_id) != len(trial.intermediate_values)
    ]


@cache
def _ask_trials() -> list[sa.Select[Any]]:
    """Ask for the trials of a study after the `newest`, and for a `part` of the others."""
    is_new = sa.and_(
        TRIALS.c.study_id == sa.bindparam("study"), TRIALS.c.trial_id > sa.bindparam("newest")
    )
    is_named = TRIALS.c.trial_id.in_(sa.bindparam("part", expanding=True))
    return make_queries(sa.or_(is_new, is_named))


@cache
def _ask_waiting() -> sa.Select[Any]:
    """Ask for the trials of a study that wait, and how many epochs each has."""
    return (
        sa.select(TRIALS.c.trial_id, sa.func.count(STEPS.c.step))
        .outerjoin(STEPS, STEPS.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == sa.bindparam("study"), TRIALS.c.state == TrialState.WAITING)
        .group_by(TRIALS.c.trial_id)
    )
