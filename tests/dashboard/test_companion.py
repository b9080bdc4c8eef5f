"""The copy of a sweep's good trials with all three metrics as objectives."""

from __future__ import annotations

import json
from collections.abc import Callable

import optuna
import pytest
from optuna.storages import BaseStorage

from sweep.dashboard import companion
from sweep.dashboard.companion import mirror_trials
from sweep.errors import ConfigError
from sweep.plan.preparation import prepare_sweep
from sweep.plan.profile import CPU
from sweep.plan.request import Request
from sweep.results.status import read_status
from sweep.storage import studies
from sweep.storage.engine import parse_url
from sweep.storage.errors import StorageError
from sweep.storage.sweeps import list_sweeps
from sweep.trial.session import Session
from tests.conftest import Answer
from tests.dashboard.conftest import FinishTrial


def mirror(session: Session) -> bool:
    """Bring the copy up to date."""
    study = studies.load_study(session.study_storage, session.sweep.name)
    return mirror_trials(session.study_storage, study, read_status(session.engine, session.sweep))


def read_copy(storage: BaseStorage, name: str) -> optuna.Study:
    """Open the copy as the dashboard does."""
    return optuna.load_study(study_name=f"{name} (all metrics)", storage=storage)


def test_good_trials_are_copied_with_their_times(
    make_session: Callable[..., Session], finish_trial: FinishTrial, database_url: str
) -> None:
    """Neither pruned nor dead ones; each says which trial it is, and when it ran."""
    session = make_session(database_url, trials=5)
    finish_trial(session, 0.3, "pruned")
    finish_trial(session, 0.1, "dead")
    number = finish_trial(session, 0.03)
    assert mirror(session)
    copy = read_copy(session.study_storage, session.sweep.name)
    (copied,) = copy.trials
    source = studies.load_study(session.study_storage, session.sweep.name).trials[number]
    assert copied.values == [0.03, 0.9, 0.05]
    assert copied.user_attrs == {"source_trial": number}
    assert (copied.params, copied.distributions) == (source.params, source.distributions)
    assert (copied.datetime_start, copied.datetime_complete) == (
        source.datetime_start,
        source.datetime_complete,
    )
    assert copy.metric_names == ["validation loss", "efficiency", "FP / event"]
    assert [direction.name for direction in copy.directions] == ["MINIMIZE", "MAXIMIZE", "MINIMIZE"]


@pytest.mark.filterwarnings("ignore:Fixed parameter:UserWarning")
def test_starting_point_outside_of_the_space_is_copied(
    session: Session, finish_trial: FinishTrial
) -> None:
    """The hand-tuned settings are tried wherever they lie, and may be good."""
    finish_trial(session, 0.03, lr=1.0)
    assert mirror(session)
    (copied,) = read_copy(session.study_storage, session.sweep.name).trials
    assert copied.params == {"lr": 1.0}


def test_copy_grows_step_by_step(
    session: Session, finish_trial: FinishTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no step outlives its lease; what is there already is not copied again."""
    monkeypatch.setattr(companion, "NUM_AT_ONCE", 2)
    numbers = [finish_trial(session, loss) for loss in (0.03, 0.05, 0.04)]
    assert [mirror(session), mirror(session), mirror(session)] == [False, True, True]
    copied = read_copy(session.study_storage, session.sweep.name).trials
    assert [trial.user_attrs["source_trial"] for trial in copied] == numbers


@pytest.mark.parametrize("fault", ["twice", "foreign"])
def test_spoilt_copy_is_made_anew(session: Session, finish_trial: FinishTrial, fault: str) -> None:
    """It is derived: a trial that stands there twice, or is none of the sweep's, is no loss."""
    finish_trial(session, 0.03)
    mirror(session)
    copy = read_copy(session.study_storage, session.sweep.name)
    twin = copy.trials[0]
    if fault == "foreign":
        twin = optuna.trial.create_trial(values=[0.0, 1.0, 0.0])
    copy.add_trial(twin)
    assert mirror(session)
    (copied,) = read_copy(session.study_storage, session.sweep.name).trials
    assert copied.user_attrs == {"source_trial": 0}


def test_study_of_somebody_else_is_not_touched(session: Session) -> None:
    """Although it has the copy's name."""
    name = f"{session.sweep.name} (all metrics)"
    study = optuna.create_study(storage=session.study_storage, study_name=name)
    study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(StorageError, match="has the name of its companion"):
        mirror(session)
    assert len(study.trials) == 1


def test_sweep_begins_with_its_copy(sqlite_url: str, events_file, own_network) -> None:  # type: ignore[no-untyped-def]
    """The dashboard lists the newest study first: that is to be the sweep, not its copy."""
    request = Request(
        model=f"{own_network}:MyNet", data=(str(events_file),), events=24, val_events=12
    )
    engine, _sweep, _notes = prepare_sweep(request, sqlite_url, "net", 3, CPU)
    names = [
        summary.study_name
        for summary in studies.open_study_storage(parse_url(sqlite_url)).get_all_studies()
    ]
    assert names == ["net (all metrics)", "net"]
    assert [found.name for found in list_sweeps(engine)] == ["net"]
    with pytest.raises(ConfigError, match="names a copy of a sweep"):
        prepare_sweep(request, sqlite_url, "net (all metrics)", 3, CPU)
    engine.dispose()


def test_copy_is_never_counted(
    make_session: Callable[..., Session],
    finish_trial: FinishTrial,
    call: Callable[..., Answer],
    sqlite_url: str,
) -> None:
    """`sweep list` and `sweep status` know the sweep alone."""
    session = make_session(sqlite_url, trials=2)
    finish_trial(session, 0.03)
    mirror(session)
    listed = call("list", "--storage", sqlite_url, "--json")
    assert [status["sweep"] for status in json.loads(listed.out)] == [session.sweep.name]
    shown = call("status", "--storage", sqlite_url)
    assert shown.code == 0
    assert "all metrics" not in shown.out
