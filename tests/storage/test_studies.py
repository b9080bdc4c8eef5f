"""The adapter to Optuna: one trial of the study for each slot, whatever ends in between."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import optuna
import optuna_dashboard
import plotly.graph_objects
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from servers import make_database
from sweep.storage import studies
from sweep.storage.attachments import attach_file
from sweep.storage.engine import parse_url
from sweep.storage.errors import StorageError

NAME = "cnn"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(
    request: pytest.FixtureRequest, empty_database: Path, tmp_path: Path
) -> Iterator[str]:
    """The address of a database of its own with all tables, of either kind in turn."""
    if request.param == "sqlite":
        shutil.copy(empty_database, tmp_path / "sweep.db")
        yield f"sqlite:///{tmp_path / 'sweep.db'}"
        return
    server = request.getfixturevalue("postgres_server")
    with make_database(server, request.getfixturevalue("empty_postgres")) as address:
        yield address


@pytest.fixture
def study_storage(database_url: str) -> Iterator[optuna.storages.BaseStorage]:
    """Optuna's side of such a database."""
    opened = studies.open_study_storage(parse_url(database_url))
    yield opened
    opened.remove_session()


@pytest.fixture
def study(study_storage: optuna.storages.BaseStorage) -> optuna.Study:
    """A study that is to be minimised."""
    return studies.create_study(
        study_storage, NAME, direction="minimize", metric_name="validation loss"
    )


def reopen(database_url: str) -> optuna.Study:
    """Open the study as another process does: with an empty cache."""
    return studies.load_study(studies.open_study_storage(parse_url(database_url)), NAME)


def test_study_names_its_metric(study: optuna.Study, database_url: str) -> None:
    """The dashboard labels its axes with it."""
    again = reopen(database_url)
    assert again.metric_names == ["validation loss"]
    assert again.direction.name == "MINIMIZE"


def test_empty_study_of_a_killed_creation_is_made_anew(
    study: optuna.Study, study_storage: optuna.storages.BaseStorage, database_url: str
) -> None:
    """Its direction may have been another one, which Optuna would keep silently."""
    studies.create_study(study_storage, NAME, direction="maximize", metric_name="efficiency")
    again = reopen(database_url)
    assert (again.direction.name, again.metric_names) == ("MAXIMIZE", ["efficiency"])


def test_study_of_somebody_else_is_refused(
    study: optuna.Study, study_storage: optuna.storages.BaseStorage
) -> None:
    """Trials that belong to no sweep are not taken for a sweep's."""
    study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(StorageError, match="a study of Optuna has that name"):
        studies.create_study(study_storage, NAME, direction="minimize", metric_name="loss")
    assert len(study.trials) == 1


def test_slot_begins_one_trial(study: optuna.Study, database_url: str) -> None:
    """Beginning again, here or in another process, finds the trial that was begun."""
    begun = studies.begin_trial(study, 3, {})
    assert studies.begin_trial(study, 3, {}).number == begun.number
    assert studies.begin_trial(reopen(database_url), 3, {}).number == begun.number
    again = studies.begin_trial(reopen(database_url), 3, {}, number=begun.number)
    assert again.number == begun.number
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING]


def test_slots_begin_trials_of_their_own(study: optuna.Study) -> None:
    """Another slot is another trial, and each is found by its slot."""
    numbers = [studies.begin_trial(study, slot, {}).number for slot in (5, 0)]
    found = [studies.find_trial(study, slot) for slot in (5, 0)]
    assert [trial.number for trial in found if trial] == numbers
    assert len(set(numbers)) == 2
    assert studies.find_trial(study, 1) is None


def test_fixed_params_survive_a_kill_before_the_first_suggestion(
    study: optuna.Study, database_url: str
) -> None:
    """The successor suggests the same starting point, and samples what is not fixed."""
    studies.begin_trial(study, 0, {"lr": 0.125})
    trial = studies.begin_trial(reopen(database_url), 0, {})
    assert trial.suggest_float("lr", 1e-3, 1.0, log=True) == 0.125
    assert 8 <= trial.suggest_int("hidden_size", 8, 64) <= 64


def test_suggested_params_stay(study: optuna.Study, database_url: str) -> None:
    """A trial that goes on has the values it began with, whatever the sampler would say now."""
    begun = studies.begin_trial(study, 0, {})
    value = begun.suggest_float("lr", 0.0, 1.0)
    again = studies.begin_trial(reopen(database_url), 0, {})
    assert again.suggest_float("lr", 0.0, 1.0) == value


def test_suggestions_that_are_broken_off_leave_nothing(
    study: optuna.Study, database_url: str
) -> None:
    """Their successor has no half of a point; what reached its end is there, all of it."""
    trial = studies.begin_trial(study, 0, {})
    with pytest.raises(KeyboardInterrupt), studies.gather_writes(trial):
        trial.suggest_float("lr", 0.0, 1.0)
        raise KeyboardInterrupt
    again = studies.begin_trial(reopen(database_url), 0, {})
    assert again.params == {}
    with studies.gather_writes(again):
        again.suggest_float("lr", 0.0, 1.0)
        studies.set_attributes(again, {"beta1": 0.9})
    (found,) = reopen(database_url).trials
    assert (found.params, found.user_attrs) == (again.params, {"beta1": 0.9})


def test_suspended_trial_waits_and_goes_on(study: optuna.Study, database_url: str) -> None:
    """It is not shown as running meanwhile, and its reports stay."""
    begun = studies.begin_trial(study, 0, {})
    studies.report_epochs(begun, {1: 0.5})
    studies.suspend_trial(begun)
    other = reopen(database_url)
    assert [trial.state for trial in other.trials] == [TrialState.WAITING]
    again = studies.begin_trial(other, 0, {})
    studies.report_epochs(again, {2: 0.4})
    (found,) = reopen(database_url).trials
    assert (found.number, found.state) == (begun.number, TrialState.RUNNING)
    assert found.intermediate_values == {1: 0.5, 2: 0.4}


def test_the_study_is_read_while_somebody_writes(study: optuna.Study, database_url: str) -> None:
    """On SQLite, too, where only one can write at a time: to read the trials is no writing."""
    trial = studies.begin_trial(study, 0, {})
    other, writer = reopen(database_url), studies.open_study_storage(parse_url(database_url))
    with writer._backend.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.execute(sa.text("UPDATE trials SET number = 5"))
        assert [one.number for one in studies.read_study_trials(other)] == [0]
        assert study._storage.get_trial(trial._trial_id).number == 0


def test_an_epoch_and_the_end_of_a_trial_take_few_statements(study: optuna.Study) -> None:
    """Through Optuna's objects they were 13 for an epoch and 11 for each attribute. A trial that
    ends or goes on is read once.
    """
    trial = studies.begin_trial(study, 0, {})
    statements: list[str] = []
    engine = study._storage._backend.engine  # type: ignore[attr-defined]
    sa.event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    studies.report_epochs(trial, {1: 0.5})
    studies.set_attributes(trial, {"outcome": "complete", "efficiency": 0.5, "fp_rate": 0.1})
    own = [text for text in statements if not text.startswith(("BEGIN", "COMMIT"))]
    assert len(own) == 4, own
    for act in (
        lambda: studies.begin_trial(study, 0, {}, number=0),
        lambda: studies.finish_trial(study, trial, TrialState.COMPLETE, 0.5),
    ):
        statements.clear()
        act()
        assert sum("FROM trial_params" in text for text in statements) == 1, statements


def test_epoch_is_reported_once(study: optuna.Study) -> None:
    """The first value stays, and no warning is given (warnings are errors here)."""
    trial = studies.begin_trial(study, 0, {})
    studies.report_epochs(trial, {1: 0.5})
    studies.report_epochs(trial, {1: 0.7})
    assert study.trials[0].intermediate_values == {1: 0.5}


def test_trial_is_finished_once(study: optuna.Study) -> None:
    """A second verdict does not change the first, and it does not go on."""
    trial = studies.begin_trial(study, 0, {})
    studies.finish_trial(study, trial, TrialState.COMPLETE, 0.25)
    studies.finish_trial(study, trial, TrialState.FAIL, None)
    (found,) = study.trials
    assert (found.state, found.value) == (TrialState.COMPLETE, 0.25)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        studies.begin_trial(study, 0, {}, number=0)


def test_pruned_trial_keeps_its_last_report(study: optuna.Study) -> None:
    """Without a report it has no number at all."""
    for slot, value in ((0, 0.5), (1, None)):
        trial = studies.begin_trial(study, slot, {})
        if value is not None:
            studies.report_epochs(trial, {1: value})
        studies.finish_trial(study, trial, TrialState.PRUNED, None)
    assert [trial.value for trial in study.trials] == [0.5, None]


def test_infeasible_trial_is_never_best(study: optuna.Study, database_url: str) -> None:
    """Optuna's own best obeys the constraint, and the dashboard finds it where it looks."""
    for slot, value, feasible in ((0, 0.1, False), (1, 0.9, True)):
        trial = studies.begin_trial(study, slot, {})
        studies.set_constraints(trial, feasible)
        studies.finish_trial(study, trial, TrialState.COMPLETE, value)
    again = reopen(database_url)
    assert again.best_trial.number == 1
    dead, alive = again.trials
    assert (dead.system_attrs["constraints"], alive.system_attrs["constraints"]) == ([1.0], [0.0])
    assert max(dead.constraints.values()) > 0 >= max(alive.constraints.values())


def test_sampler_goes_on_beside_trials_without_constraints(study: optuna.Study) -> None:
    """Pruned and failed trials have none; TPE takes them without a warning."""
    sampler = optuna.samplers.TPESampler(
        n_startup_trials=2, multivariate=True, constant_liar=True, seed=1
    )
    study.sampler = sampler
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL) * 3
    for slot, state in enumerate(states):
        trial = studies.begin_trial(study, slot, {})
        value = trial.suggest_float("lr", 0.0, 1.0)
        studies.report_epochs(trial, {1: value})
        if state == TrialState.COMPLETE:
            studies.set_constraints(trial, slot > 0)
        studies.finish_trial(study, trial, state, value)
    assert [trial.state for trial in study.trials] == list(states)


def test_attributes_are_written(study: optuna.Study) -> None:
    """Numbers stay numbers, so that the dashboard offers them as axes; the last value counts."""
    trial = studies.begin_trial(study, 0, {})
    studies.set_attributes(trial, {"efficiency": 0.5, "outcome": "dead"})
    studies.set_attributes(trial, {"efficiency": 0.75})
    assert studies.read_study_trials(study)[0].user_attrs == {
        "efficiency": 0.75,
        "outcome": "dead",
    }


def test_note_and_figure_reach_the_dashboard(study: optuna.Study, database_url: str) -> None:
    """A note is replaced, and a figure stands under its own name."""
    studies.save_note(study, "first")
    studies.save_note(study, "# best\n" + "long " * 1000)
    studies.save_figure(study, plotly.graph_objects.Figure(), "metrics")
    again = reopen(database_url)
    assert optuna_dashboard.get_note(again) == "# best\n" + "long " * 1000
    attributes = again._storage.get_study_system_attrs(again._study_id)
    assert any(key.startswith("dashboard:plot_data:metrics") for key in attributes)


def test_file_is_attached_to_a_running_trial(study: optuna.Study, tmp_path: Path) -> None:
    """The dashboard finds its name and content in the artifact folder; a file of the same name
    takes its place, as after a worker was killed before it told the trial."""
    folder = tmp_path / "artifacts"
    picture = tmp_path / "curve.png"
    picture.write_bytes(b"png")
    trial = studies.begin_trial(study, 0, {})
    attach_file(trial, picture, folder)
    picture.write_bytes(b"newer png")
    attach_file(trial, picture, folder)
    (meta,) = optuna.artifacts.get_all_artifact_meta(trial)
    assert meta.filename == "curve.png"
    assert [path.name for path in folder.iterdir()] == [meta.artifact_id]
    assert (folder / meta.artifact_id).read_bytes() == b"newer png"


def test_file_without_room_is_not_attached(study: optuna.Study, tmp_path: Path) -> None:
    """The dashboard shows no broken picture, and nothing of it stays on the disk."""
    folder = tmp_path / "artifacts"
    picture = tmp_path / "curve.png"
    picture.write_bytes(b"png" * 2000)
    trial = studies.begin_trial(study, 0, {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            attach_file(trial, picture, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert optuna.artifacts.get_all_artifact_meta(trial) == []
    assert list(folder.iterdir()) == []


def begin_two(study: optuna.Study) -> list[optuna.Trial]:
    """Begin two trials, each with a parameter, an attribute and an epoch; the first one waits."""
    begun = [studies.begin_trial(study, slot, {}, is_first=True) for slot in range(2)]
    for trial in begun:
        trial.suggest_float("lr", 1e-4, 1e-1, log=True)
        trial.suggest_categorical("norm", ["batch", None])
        trial.set_user_attr("efficiency", 0.9)
        trial.report(float("nan") if trial.number else 0.5, 1)
    studies.suspend_trial(begun[0])
    return begun


def write(trial: optuna.trial.FrozenTrial) -> dict[str, str]:
    """Write all of a trial, whatever the order of its attributes; two NaN are alike so."""
    parts = vars(trial).items()
    return {k: repr(sorted(v.items()) if isinstance(v, dict) else v) for k, v in parts}


def test_trials_that_changed_elsewhere_are_seen(study: optuna.Study, database_url: str) -> None:
    """Read with what was read before they are what Optuna reads anew, at each step of a trial."""
    other = studies.load_study(studies.open_study_storage(parse_url(database_url)), NAME)

    def compare() -> None:
        anew = optuna.storages.RDBStorage(database_url, skip_compatibility_check=True)
        expected = anew.get_all_trials(study._study_id)
        anew.engine.dispose()
        assert list(map(write, studies.read_study_trials(study))) == list(map(write, expected))

    compare()
    first, second = begin_two(other)
    compare()
    going_on = studies.begin_trial(other, 0, {}, number=first.number)
    compare()
    going_on.report(0.4, 2)
    studies.suspend_trial(going_on)
    compare()
    studies.finish_trial(other, second, TrialState.PRUNED, None)
    third = studies.begin_trial(other, 2, {}, is_first=True)
    compare()
    studies.finish_trial(other, third, TrialState.COMPLETE, 0.1)
    going_on = studies.begin_trial(other, 0, {}, number=first.number)
    studies.finish_trial(other, going_on, TrialState.COMPLETE, 0.3)
    compare()


def test_trial_is_read_again_only_once_it_has_changed(
    study: optuna.Study, database_url: str
) -> None:
    """One that waits stays as it was read, which is most of a sweep whose trials pause."""
    other = studies.load_study(studies.open_study_storage(parse_url(database_url)), NAME)
    begin_two(other)
    waiting, running = studies.read_study_trials(study)
    again, running_again = studies.read_study_trials(study)
    assert again is waiting
    assert running_again is not running
    studies.begin_trial(other, 0, {}, number=0)
    assert studies.read_study_trials(study)[0] is not waiting


def test_epoch_whose_row_had_another_before_is_seen(study: optuna.Study, database_url: str) -> None:
    """SQLite gives the numbers of rows again that went with a study: by them a value is not new."""
    storage = studies.open_study_storage(parse_url(database_url))
    others = [
        studies.create_study(storage, name, direction="minimize", metric_name="loss")
        for name in ("gone", "new")
    ]
    gone, new = (studies.begin_trial(other, 0, {}, is_first=True) for other in others)
    waiting = studies.begin_trial(study, 0, {})
    studies.suspend_trial(waiting)
    studies.report_epochs(gone, {1: 0.1, 2: 0.1})
    reader = reopen(database_url)
    assert studies.read_study_trials(reader)[0].intermediate_values == {}
    storage.delete_study(others[0]._study_id)
    waiting = studies.begin_trial(study, 0, {}, number=0)
    studies.report_epochs(waiting, {1: 0.5})
    studies.suspend_trial(waiting)
    studies.report_epochs(new, {1: 0.1, 2: 0.1})
    assert studies.read_study_trials(reader)[0].intermediate_values == {1: 0.5}
