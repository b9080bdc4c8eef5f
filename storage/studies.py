"""The one place that knows how Optuna keeps its studies; nothing else uses its private names.

A trial of ours begins exactly one trial of the study: it is made with the slot it belongs to in a
single write, so that a worker killed right afterwards leaves a trial that its successor finds
again, instead of a zombie and a second one.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import optuna
import sqlalchemy as sa
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import URL

from sweep.storage.engine import get_engine_options, prepare_engine
from sweep.storage.errors import StorageError
from sweep.storage.names import COMPANION_SUFFIX
from sweep.storage.rights import find_missing_right
from sweep.storage.study_cache import FIXED_KEY, StudyCache, tell
from sweep.storage.study_rows import StudyRows
from sweep.storage.transactions import retry

SLOT_KEY = "sweep:slot"
CONSTRAINTS_KEY = "constraints"  # the form that both Optuna 5 and optuna-dashboard 0.21 read
STUDIES = "studies"
STUDY_TRIALS = "trials"
STUDY_SYSTEM_ATTRIBUTES = "study_system_attributes"
TRIAL_SYSTEM_ATTRIBUTES = "trial_system_attributes"
STUDY_TABLES = (
    *(STUDIES, STUDY_TRIALS, STUDY_SYSTEM_ATTRIBUTES, TRIAL_SYSTEM_ATTRIBUTES),
    *("study_directions", "study_user_attributes", "trial_user_attributes", "trial_params"),
    *("trial_values", "trial_intermediate_values", "trial_heartbeats"),
)
"""Optuna's tables that hold something of a study."""
ARTIFACT_PREFIX = "artifacts:"
"""System attributes that begin so name an attached file, by its name in the artifact folder."""

COMPANION_KEY = "copy of the sweep"

Direction = Literal["minimize", "maximize"]

optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_study_storage(url: URL) -> BaseStorage:
    """Open Optuna's side of the database, cached; its tables are made where they are missing.

    Where they are there, it takes no right to write.

    Raises:
        StorageError: when a right is missing, or the database does not answer.
    """
    storage = retry(lambda: _open_study_storage(url))
    prepare_engine(storage.engine)
    return StudyCache(storage)


def _open_study_storage(url: URL) -> StudyRows:
    text = url.render_as_string(hide_password=False)
    try:
        return StudyRows(text, engine_kwargs=get_engine_options(url))
    except (sa.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as exc:
        missing = find_missing_right(exc, url)  # nobody watches the engine before it is made
        if missing is None:
            raise
        raise missing from exc


def prepare_studies(url: URL, names: Sequence[str]) -> None:
    """Make Optuna's tables where they are missing, and room for the studies of new sweeps.

    Raises:
        StorageError: when somebody else's study of such a name is in the database.
    """
    storage: Any = open_study_storage(url)
    try:
        clear_studies(storage, list_studies(names))
    finally:
        storage.remove_session()
        storage._backend.engine.dispose()


def create_study(
    storage: BaseStorage, name: str, *, direction: Direction, metric_name: str
) -> optuna.Study:
    """Create the study of a sweep, or take the empty one that a killed creation left behind.

    Raises:
        StorageError: when somebody else's study of that name is in the database.
    """
    clear_studies(storage, [name])
    study = optuna.create_study(
        storage=storage, study_name=name, direction=direction, load_if_exists=True
    )
    with _quiet():
        study.set_metric_names([metric_name])
    return study


@contextmanager
def _quiet() -> Iterator[None]:
    """Hear no warning of what Optuna calls experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def clear_studies(storage: BaseStorage, names: Sequence[str]) -> None:
    """Remove the empty studies of these names, as killed creations leave them behind.

    Raises:
        StorageError: when one has trials and is somebody else's; none is removed then.
    """
    found = {study.study_name: study._study_id for study in storage.get_all_studies()}
    left = [name for name in names if name in found]
    for name in left:
        num_trials = storage.get_n_trials(found[name])
        if num_trials:
            raise StorageError(
                f"sweep: a study of Optuna has that name, got {name!r} with {num_trials} trials "
                "that belong to no sweep, expected a new name; choose one with --sweep"
            )
    for name in left:
        storage.delete_study(found[name])  # its direction may be another one


def name_companion(name: str) -> str:
    """Name the study that holds a copy of a sweep's good trials, with all their metrics."""
    return f"{name}{COMPANION_SUFFIX}"


def open_companion(
    storage: BaseStorage, name: str, metrics: Mapping[str, Direction]
) -> optuna.Study:
    """Open the companion of a sweep's study, making it where it is missing.

    It has one objective a metric, so that the dashboard draws a Pareto front, histories and
    importances for each. It is a copy: nothing is searched in it, and it can be made anew, as one
    with the objectives of an older version is.

    Args:
        metrics: What is better of each metric, by its name.

    Raises:
        StorageError: when somebody else's study of that name is in the database.
    """
    title, goals = name_companion(name), list(metrics.values())
    study = optuna.create_study(
        storage=storage, study_name=title, directions=goals, load_if_exists=True
    )
    if study.user_attrs.get(COMPANION_KEY) != name and storage.get_n_trials(study._study_id):
        raise StorageError(
            f"sweep: a study of Optuna has the name of its companion, got {study.study_name!r} "
            "with trials of its own, expected a new name; choose one with --sweep"
        )
    if [found.name.lower() for found in study.directions] != goals:
        drop_companion(storage, name)
        study = optuna.create_study(storage=storage, study_name=title, directions=goals)
    study.set_user_attr(COMPANION_KEY, name)
    with _quiet():
        study.set_metric_names(list(metrics))
    return study


def drop_companion(storage: BaseStorage, name: str) -> None:
    """Remove the companion of a sweep's study."""
    storage.delete_study(storage.get_study_id_from_name(name_companion(name)))


def list_studies(names: Sequence[str]) -> list[str]:
    """List the studies of sweeps: a sweep's own, which has its name, and its companion."""
    return [*names, *map(name_companion, names)]


def load_study(
    storage: BaseStorage,
    name: str,
    sampler: optuna.samplers.BaseSampler | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
) -> optuna.Study:
    """Open the study of a sweep with the sampler and pruner that its config asks for.

    Raises:
        StorageError: when there is none, because somebody removed it.
    """
    try:
        return retry(
            lambda: optuna.load_study(
                study_name=name, storage=storage, sampler=sampler, pruner=pruner
            )
        )
    except KeyError as exc:
        raise StorageError(
            f"sweep {name}: its study is gone, got no study of that name, expected the one that "
            "`sweep run` made; bring it back from a backup or start a new sweep with --sweep"
        ) from exc


def find_trial(study: optuna.Study, slot: int, number: int | None = None) -> FrozenTrial | None:
    """Find the study's trial of a slot, or None before it has begun.

    Args:
        number: its number in the study, where that is known: all trials are read otherwise, which
            takes long where many are paused.
    """
    row = _find_row(study, slot, number)
    return None if row is None else retry(lambda: study._storage.get_trial(row))


def _find_row(study: optuna.Study, slot: int, number: int | None) -> int | None:
    """Find the number of the row of a slot's trial; arguments as `find_trial`."""
    if number is not None:
        find = study._storage.get_trial_id_from_study_id_trial_number
        return retry(lambda: find(study._study_id, number))
    found = (t for t in read_study_trials(study) if t.system_attrs.get(SLOT_KEY) == slot)
    return next((t._trial_id for t in found), None)


def begin_trial(
    study: optuna.Study,
    slot: int,
    fixed_params: Mapping[str, Any],
    *,
    is_first: bool = False,
    number: int | None = None,
) -> Trial:
    """Begin the trial of a slot, or go on with the one that was begun for it before.

    Args:
        study: with the sampler that is to choose what is not fixed.
        fixed_params: values by the study's parameter names; the sampler chooses the others.
        is_first: whether nobody can have begun the trial before, which spares looking for it.

    Returns:
        A running trial from which parameters can be suggested; those suggested before stay.

    Raises:
        optuna.exceptions.UpdateFinishedTrialError: when it is finished.
    """
    storage = study._storage
    begun = None if is_first else _find_row(study, slot, number)
    if begun is not None:
        storage.set_trial_state_values(begun, TrialState.RUNNING)
        return Trial(study, begun)
    template = optuna.trial.create_trial(
        state=TrialState.RUNNING,
        system_attrs={SLOT_KEY: slot, FIXED_KEY: dict(fixed_params)},
    )
    study._thread_local.cached_all_trials = None
    return Trial(study, storage.create_new_trial(study._study_id, template_trial=template))


@contextmanager
def gather_writes(trial: Trial) -> Iterator[None]:
    """Write what is written of a running trial at the end of the block, in one transaction.

    Nothing of it is written where the end is not reached. Suggestions take a transaction each
    otherwise, and a worker that is killed between two leaves half of them.
    """
    storage: Any = trial.storage
    with storage.gather(trial._trial_id, trial._cached_frozen_trial.system_attrs):
        yield


def suspend_trial(trial: Trial) -> None:
    """Show a trial that was given back unfinished as waiting, not as running.

    Of a waiting trial the dashboard shows what is fixed: all its parameters are by now.
    """

    def suspend() -> None:
        trial.storage.set_trial_system_attr(trial._trial_id, FIXED_KEY, trial.params)
        trial.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)

    retry(suspend)


def keep_proposal(study: optuna.Study, trial: FrozenTrial, key: str, proposal: Any) -> None:
    """Store what a sampler proposes for a running trial, before any of it is suggested."""
    retry(lambda: study._storage.set_trial_system_attr(trial._trial_id, key, proposal))


def drop_double(study: optuna.Study, trial: Trial, slot: int) -> None:
    """Fail a trial that was begun although another worker had begun one for the slot before."""
    first = find_trial(study, slot)
    if first is not None and first.number < trial.number:
        finish_trial(study, trial, TrialState.FAIL, None)


def report_epochs(
    trial: Trial, values: Mapping[int, float], connection: sa.Connection | None = None
) -> None:
    """Report the objective of epochs; those that were reported before stay as they are.

    Args:
        connection: Of the transaction on the same database to do it in; None for one of its own.
    """
    storage: Any = trial.storage
    if connection is None:
        retry(lambda: storage.write_steps(trial._trial_id, values))
    else:
        storage.write_steps(trial._trial_id, values, connection)
    known = trial._cached_frozen_trial.intermediate_values  # of these the pruner is told
    known.update({step: value for step, value in values.items() if step not in known})


def is_to_prune(trial: Trial) -> bool:
    """Ask the study's pruner whether the trial should end after its last reported epoch."""
    return retry(trial.should_prune)


def set_attributes(trial: Trial, attributes: Mapping[str, Any]) -> None:
    """Write a trial's user attributes: columns and axes of the dashboard."""
    storage: Any = trial.storage
    retry(lambda: storage.write_attributes(trial._trial_id, attributes))
    trial._cached_frozen_trial.user_attrs.update(attributes)


def set_constraints(trial: Trial, feasible: bool, excesses: Sequence[float] = ()) -> None:
    """Tell the sampler and the dashboard whether the trial keeps the sweep's conditions.

    Beside whether the network lives these are how far it is beyond each limit of the sweep, 0 or
    less within it; as many for each trial.
    """
    constraints = [0.0 if feasible else 1.0, *excesses]
    retry(
        lambda: trial.storage.set_trial_system_attr(trial._trial_id, CONSTRAINTS_KEY, constraints)
    )


def finish_trial(study: optuna.Study, trial: Trial, state: TrialState, value: float | None) -> None:
    """Tell the study what came of a trial; a trial that is finished already stays as it is.

    Args:
        state: COMPLETE, PRUNED or FAIL.
        value: the finite objective of a complete trial, None otherwise (Optuna then takes the
            last reported one of a pruned trial).
    """
    told = value if state == TrialState.COMPLETE else None
    retry(lambda: tell(study, trial, told, state))


def read_study_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Read all trials of a study, shared with its cache: do not change them."""
    return retry(lambda: study.get_trials(deepcopy=False))


def link_trial(study: optuna.Study, number: int) -> str:
    """Give the address of a trial's page within the dashboard."""
    return f"/dashboard/studies/{study._study_id}/trials?numbers={number}"


def save_note(study: optuna.Study, text: str) -> None:
    """Replace the study's note (Markdown)."""
    import optuna_dashboard

    with _quiet():
        retry(lambda: optuna_dashboard.save_note(study, text))


def save_figure(study: optuna.Study, figure: Any, figure_id: str) -> None:
    """Put a small Plotly figure on the study's first page, replacing the one of the same id."""
    import optuna_dashboard

    retry(
        lambda: optuna_dashboard.save_plotly_graph_object(study, figure, graph_object_id=figure_id)
    )


def suspend_all(connection: sa.Connection) -> None:
    """Show the running trials of all sweeps as waiting, within a transaction."""
    connection.execute(
        sa.text(
            "UPDATE trials SET state = 'WAITING' WHERE state = 'RUNNING' AND study_id IN (SELECT "
            "study_id FROM studies JOIN sweep_sweeps ON sweep_sweeps.name = studies.study_name)"
        )
    )


def rename_attribute(key: str, trial_ids: Mapping[int, int]) -> str:
    """Give the key of a study's system attribute in a copy whose trials have other ids.

    The dashboard keeps the notes and files of trials under `dashboard:12:note_ver` and
    `dashboard:artifacts:12:...`, where 12 is the id of the trial's row.
    """
    head, colon, rest = key.removeprefix("dashboard:").removeprefix("artifacts:").partition(":")
    if not key.startswith("dashboard:") or not colon or not head.isdigit():
        return key
    before = key[: len(key) - len(head) - 1 - len(rest)]
    return f"{before}{trial_ids.get(int(head), head)}:{rest}"
