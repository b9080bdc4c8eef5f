"""Reads the trials of a study as they change, and each no more often than that.

Optuna's own cache reads every unfinished trial anew, each time that anybody asks. In a sweep whose
trials pause these are most of them, so that a suggestion would take longer with each trial.

Private names of Optuna are used here as in `sweep.storage.studies`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from optuna.storages._cached_storage import _CachedStorage, _StudyInfo
from optuna.study import Study
from optuna.study._tell import _tell_with_warning
from optuna.trial import FrozenTrial, Trial, TrialState

from sweep.storage.study_reads import STEPS, TRIALS, make_queries, read_trials
from sweep.storage.study_rows import StudyRows
from sweep.storage.transactions import open_reader

FIXED_KEY = "fixed_params"  # Optuna's own name for values that the sampler must not choose
PART = 500
"""Trials that one statement names; a database takes only so many."""
NUM_TOGETHER = 30
"""Trials of which is asked as one whether they wait: bits of a number."""
NONE_AFTER = 2**31 - 1
"""No trial's row has a higher number."""


class _Step(NamedTuple):
    """The value of an epoch: the number of its row, its trial's row, the epoch."""

    row: int
    trial: int
    step: int


_NO_STEP = _Step(0, 0, 0)


@dataclass
class _Known:
    """What is known of the trials of a study as they were read, by the numbers of their rows.

    Attributes:
        newest: The last of them.
        running: Those that ran.
        waiting: Those that waited, by groups of NUM_TOGETHER, a bit for each.
        last: Of all values of epochs the last one, before it was asked who waits.
    """

    newest: int = -1
    running: set[int] = field(default_factory=set)
    waiting: dict[int, int] = field(default_factory=dict)
    last: _Step = _NO_STEP

    def is_waiting(self, trial: int) -> bool:
        """Say whether a trial waited."""
        group, bit = divmod(trial, NUM_TOGETHER)
        return bool(self.waiting.get(group, 0) >> bit & 1)

    def note(self, trial: int, state: TrialState) -> None:
        """Note the state in which a trial was read."""
        group, bit = divmod(trial, NUM_TOGETHER)
        others = self.waiting.get(group, 0) & ~(1 << bit)
        self.waiting[group] = others | ((state == TrialState.WAITING) << bit)
        (self.running.add if state == TrialState.RUNNING else self.running.discard)(trial)
        self.newest = max(self.newest, trial)


class StudyCache(_CachedStorage):
    """Optuna's storage, which keeps the trials it has read until they change.

    A trial that waits, as a paused one does, is as it was while it waits and has no epoch more. One
    that runs is read anew.
    """

    _backend: StudyRows

    def __init__(self, backend: StudyRows) -> None:
        super().__init__(backend)
        self._known: dict[int, _Known] = {}
        self._fresh: dict[int, FrozenTrial] = {}
        """Trials as they were begun a moment ago, for who looks at them next."""

    def delete_study(self, study_id: int) -> None:
        """Delete a study; its number may be another one's later."""
        super().delete_study(study_id)
        self._known.pop(study_id, None)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Give the trials of a study in order; who gets no copies does not change them."""
        self._read_trials_from_remote_storage(study_id)
        with self._lock:
            trials = self._studies[study_id].trials
            found = [trials[number] for number in sorted(trials)]
        if states is not None:
            found = [trial for trial in found if trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

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
            self._studies.setdefault(study_id, _StudyInfo())
            known = self._known.setdefault(study_id, _Known())
            with open_reader(self._backend.engine) as connection:
                last = _find_last_step(connection)
                changed = _list_changed(connection, study_id, known)
                this = {"study": study_id, "newest": known.newest}
                trials = read_trials(connection, _ask_trials(), part=changed[:PART], **this)
                this = {"study": study_id, "newest": NONE_AFTER}
                for start in range(PART, len(changed), PART):
                    part = changed[start : start + PART]
                    trials += read_trials(connection, _ask_trials(), part=part, **this)
            self._add_trials_to_cache(study_id, trials)
            for trial in trials:
                known.note(trial._trial_id, trial.state)
            known.last = last


def tell(study: Study, trial: Trial, value: float | None, state: TrialState) -> None:
    """Finish a trial that is not finished, as `Study.tell`, which reads it once more at the end."""
    _tell_with_warning(study, trial, value, state, skip_if_finished=True)


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


def _find_last_step(connection: sa.Connection) -> _Step:
    """Find the value of an epoch that was written last, of all studies."""
    row = connection.execute(_ask_last_step()).first()
    return _NO_STEP if row is None else _Step(*row)


def _list_changed(connection: sa.Connection, study_id: int, known: _Known) -> list[int]:
    """List the trials of those that were read before which are not as they were.

    One that waits may have had an epoch since it was read. Whoever wrote it had let it run before:
    so it ran, or waits by now and its epoch is there, after who waits was asked. (The values'
    numbers alone would not do: PostgreSQL gives them before others see the value.)
    """
    if not known.waiting and not known.running:
        return []
    waiting = dict(map(tuple, connection.execute(_ask_waiting(), {"study": study_id})))
    steps = [_Step(*row) for row in connection.execute(_ask_steps(), {"first": known.last.row})]
    changed = set(known.running)
    for group, before in known.waiting.items():
        gone = before & ~waiting.get(group, 0)
        if known.last != _NO_STEP and steps[:1] != [known.last]:  # SQLite gives numbers again
            gone = before
        changed |= _list_bits(group, gone)
    changed |= {step.trial for step in steps if known.is_waiting(step.trial)}
    return sorted(changed)


def _list_bits(group: int, bits: int) -> set[int]:
    """List the trials of a group whose bits are set."""
    return {group * NUM_TOGETHER + bit for bit in range(NUM_TOGETHER) if bits >> bit & 1}


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
    """Ask which trials of a study wait, by groups, a bit for each."""
    group = TRIALS.c.trial_id // NUM_TOGETHER
    bit = sa.literal_column("1").bitwise_lshift(TRIALS.c.trial_id % NUM_TOGETHER)
    return (
        sa.select(group, sa.func.sum(bit))
        .where(TRIALS.c.study_id == sa.bindparam("study"), TRIALS.c.state == TrialState.WAITING)
        .group_by(group)
    )


_STEP = (STEPS.c.trial_intermediate_value_id, STEPS.c.trial_id, STEPS.c.step)


@cache
def _ask_last_step() -> sa.Select[Any]:
    return sa.select(*_STEP).order_by(_STEP[0].desc()).limit(1)


@cache
def _ask_steps() -> sa.Select[Any]:
    """Ask for the values of epochs from the row `first` on, of all studies."""
    return sa.select(*_STEP).where(_STEP[0] >= sa.bindparam("first")).order_by(_STEP[0])
