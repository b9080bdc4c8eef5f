"""A trial ends with one verdict, whatever interrupts it: signals, kills, faults, late workers."""

from __future__ import annotations

import math
import re
import resource
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
import torch
from optuna.trial import TrialState
from torch import nn
from workers import take

import sweep.trial.ending
import sweep.trial.retention
from sweep.machine.signals import Signals
from sweep.metrics.score import get_score
from sweep.metrics.writing import describe_metrics
from sweep.results.evaluation import load_weights
from sweep.search.judgement import rank_trials
from sweep.storage import studies
from sweep.storage.artifacts import TrialFolder
from sweep.storage.claims import Claim, claim_trial, expire_claims
from sweep.storage.engine import create_engine, parse_url
from sweep.storage.epochs import TrialRow, read_curve, read_trials
from sweep.storage.errors import ArtifactError, LostClaimError
from sweep.storage.sweeps import change_trial_timeout, count_trials, find_sweep
from sweep.storage.tables import Epoch, epochs, trials
from sweep.trial.lost_workers import MAX_LOST_ATTEMPTS
from sweep.trial.pictures import draw_trial
from sweep.trial.run import run_trial
from sweep.trial.session import Session
from sweep.trial.verdict import Verdict
from sweep.worker.lease import Lease

HOUR_S = 3600.0
MakeSession = Callable[..., Session]


BEGINNING, EPOCH_1, EPOCH_2 = 1, 2, 3
"""Moments of a trial at which a worker renews its claim: before it begins, and before an epoch that
was trained is kept (or, where the training broke in it, before that is told)."""


class Hold(Lease):
    """A claim in hand; at one moment of its trial something happens first."""

    def __init__(
        self, session: Session, claim: Claim, at: int = 0, event: Callable[[], object] = bool
    ) -> None:
        self.signals = Signals()
        super().__init__(session.engine, claim, HOUR_S, self.signals)
        self.num_left = at
        self.event = event

    def hold(self) -> None:
        """Renew the claim."""
        self.num_left -= 1
        if self.num_left == 0:
            self.event()
        super().hold()


def train(session: Session, worker: str = "a") -> Verdict:
    """Train the next trial to its end."""
    return train_claimed(session, take(session, worker))


def train_claimed(session: Session, claim: Claim) -> Verdict:
    """Train a claimed trial to its end."""
    verdict = run_trial(session, claim, Hold(session, claim))
    assert verdict is not None
    return verdict


def interrupt(session: Session, claim: Claim, at: int = EPOCH_2, *, at_once: bool = False) -> None:
    """Train a claimed trial, and at a moment of it ask its worker to leave."""
    hold = Hold(session, claim, at)
    hold.event = lambda: hold.signals.ask(at_once=at_once)
    assert run_trial(session, claim, hold) is None


def set_trial(session: Session, slot: int, **values: object) -> None:
    """Change a trial's row, as a crash at that point would have left it."""
    with session.engine.begin() as connection:
        connection.execute(trials.update().where(trials.c.slot == slot).values(**values))


def take_over(session: Session) -> Claim:
    """Let the running trial's lease run out and claim it as another worker."""
    set_trial(session, 0, lease_until_s=1.0)
    return take(session, "b")


def read_row(session: Session) -> TrialRow:
    """Read the first trial."""
    return read_trials(session.engine, session.sweep.id)[0]


def read_told(session: Session) -> list[optuna.trial.FrozenTrial]:
    """Read the study's trials."""
    return studies.load_study(session.study_storage, session.sweep.name).trials


def compare(curve: list[Epoch]) -> list[Epoch]:
    """Leave out of a curve what is different each time: how long it took."""
    return [replace(epoch, duration_s=0.0) for epoch in curve]


def read_first(session: Session) -> list[Epoch]:
    """Read the first trial's curve without the durations."""
    return compare(read_curve(session.engine, read_row(session).id))


@pytest.fixture(scope="module")
def reference(make_session: MakeSession) -> list[Epoch]:
    """The curve of the first trial when nothing interrupts it."""
    session = make_session()
    train(session)
    return read_first(session)


@pytest.fixture(scope="module")
def interrupted(make_session: MakeSession) -> Session:
    """A sweep whose first trial was interrupted after two epochs."""
    session = make_session()
    interrupt(session, take(session))
    session.engine.dispose()
    return session


@pytest.fixture
def resumable(interrupted: Session, tmp_path: Path, sqlite_url: str) -> Session:
    """A copy of it, whose checkpoint a test may change."""
    shutil.copytree(Path(str(interrupted.engine.url.database)).parent, tmp_path, dirs_exist_ok=True)
    artifacts = shutil.copytree(interrupted.artifacts, tmp_path / "artifacts")
    url = parse_url(sqlite_url)
    study_storage = studies.open_study_storage(url)
    return replace(
        interrupted, engine=create_engine(url), study_storage=study_storage, artifacts=artifacts
    )


def test_trial_is_trained_recorded_and_told(make_session: MakeSession, database_url: str) -> None:
    """Both tables and the study have the same numbers; the weights are kept."""
    session = make_session(database_url)
    assert train(session).outcome == "complete"
    row = read_row(session)
    assert (row.state, row.outcome, row.feasible) == ("complete", "complete", True)
    assert row.best is not None
    metrics = describe_metrics(get_score(row.best))
    assert metrics["efficiency"] > 0.5
    assert [epoch.epoch for epoch in read_first(session)] == [1, 2, 3]
    (told,) = read_told(session)
    assert told.state == TrialState.COMPLETE
    assert told.value == pytest.approx(row.best.validation_loss, rel=1e-4)
    assert told.user_attrs["best_epoch"] == row.best.epoch
    told_metrics = {key: told.user_attrs[key] for key in metrics}
    assert told_metrics == pytest.approx(metrics, rel=1e-4)
    assert told.user_attrs["beta1"] == row.params["beta1"]
    assert sorted(told.intermediate_values) == [1, 2, 3]
    folder = TrialFolder(session.artifacts, session.sweep, 0)
    assert [path.name for path in folder.path.iterdir()] == ["weights.safetensors"]


def test_same_sweep_again_gives_the_same_numbers(
    make_session: MakeSession, sqlite_url: str, reference: list[Epoch]
) -> None:
    """Two sweeps with one seed are equal; two trials of a sweep and another seed differ."""
    session = make_session(sqlite_url)
    train(session)
    train(session)
    first, second = read_trials(session.engine, session.sweep.id)
    assert read_first(session) == reference
    assert compare(read_curve(session.engine, second.id)) != reference
    assert first.params != second.params
    other = make_session(sqlite_url, name="other", seed=2)
    train(other)
    assert read_first(other) != reference


@pytest.mark.parametrize(
    ("database_url", "kind"),
    [("sqlite", "gently"), ("postgres", "at once")],
    indirect=["database_url"],
)
def test_interrupted_trial_goes_on_as_if_nothing_had_been(
    make_session: MakeSession, database_url: str, reference: list[Epoch], kind: str
) -> None:
    """It waits, in the study too; its second attempt ends with an uninterrupted trial's curve."""
    session = make_session(database_url)
    claim = take(session)
    interrupt(session, claim, at_once=kind == "at once")
    assert [trial.state for trial in read_told(session)] == [TrialState.WAITING]
    assert count_trials(session.engine, session.sweep.id).waiting == 2
    assert read_first(session) == reference[:2]
    assert train(session, "b").outcome == "complete"
    assert read_first(session) == reference
    assert (read_row(session).attempts, len(read_told(session))) == (2, 1)


def test_interruption_within_the_first_epoch_loses_nothing(
    session: Session, reference: list[Epoch]
) -> None:
    """There is no checkpoint yet: the next attempt begins anew, as the same trial."""
    claim = take(session)
    hold = Hold(session, claim)
    hold.signals.ask(at_once=True)
    assert run_trial(session, claim, hold) is None
    assert train(session).outcome == "complete"
    assert read_first(session) == reference


def test_kill_between_checkpoint_and_curve_is_made_good(
    session: Session, reference: list[Epoch]
) -> None:
    """The successor fills in the epoch that only the checkpoint knew."""
    claim = take(session)
    interrupt(session, claim)
    with session.engine.begin() as connection:
        connection.execute(epochs.delete().where(epochs.c.epoch == 2))
    train(session, "b")
    assert read_first(session) == reference


def test_kill_between_study_and_slot_only_spends_the_slot(session: Session) -> None:
    """The successor trains nothing, and what the trial came to is not lost."""
    train(session)
    before, told = read_row(session), read_told(session)
    set_trial(
        session,
        0,
        state="running",
        outcome=None,
        feasible=None,
        best_epoch=None,
        lease_until_s=1.0,
    )
    assert train(session, "b").outcome == "complete"
    after = read_row(session)
    assert (after.outcome, after.feasible, after.best) == ("complete", True, before.best)
    assert after.attempts == 2
    assert read_told(session) == told


def test_late_worker_stops_and_harms_nothing(
    make_session: MakeSession, database_url: str, reference: list[Epoch]
) -> None:
    """A worker that was away for longer than its lease: its next epoch is stored nowhere."""
    session = make_session(database_url)
    late = take(session)
    taken: list[Claim] = []
    hold = Hold(session, late, EPOCH_2, lambda: taken.append(take_over(session)))
    with pytest.raises(LostClaimError):
        run_trial(session, late, hold)
    assert read_first(session) == reference[:1]
    assert [trial.state for trial in read_told(session)] == [TrialState.RUNNING]
    verdict = run_trial(session, taken[0], Hold(session, taken[0]))
    assert verdict is not None
    assert read_first(session) == reference


def test_late_worker_begins_no_second_trial(make_session: MakeSession, sqlite_url: str) -> None:
    """One that fell asleep right after its claim: the study shows the trial once, as finished."""
    session = make_session(sqlite_url, "FaintNet")
    late = take(session)
    train_claimed(session, take_over(session))
    with pytest.raises(LostClaimError):
        run_trial(session, late, Hold(session, late))
    assert [trial.state for trial in read_told(session)] == [TrialState.COMPLETE]


def test_second_trial_of_a_slot_does_not_stay_in_the_study(
    make_session: MakeSession, sqlite_url: str
) -> None:
    """Nor of one that fell asleep between asking for its claim and beginning the trial."""
    session = make_session(sqlite_url, "FaintNet")
    late = take(session)
    hold = Hold(session, late)
    renew = hold.hold

    def be_late() -> None:
        renew()
        train_claimed(session, take_over(session))

    hold.hold = be_late  # type: ignore[method-assign]
    with pytest.raises(LostClaimError):
        run_trial(session, late, hold)
    assert [trial.state for trial in read_told(session)] == [TrialState.COMPLETE, TrialState.FAIL]


@pytest.mark.parametrize("network", ["BrokenNet", "FaultyNet"])
def test_late_worker_tells_no_verdict(
    make_session: MakeSession, sqlite_url: str, network: str
) -> None:
    """Not even that its training broke: the trial is its successor's."""
    session = make_session(sqlite_url, network)
    late = take(session)
    with pytest.raises(LostClaimError):
        run_trial(session, late, Hold(session, late, EPOCH_1, lambda: take_over(session)))
    (told,) = read_told(session)
    assert told.state == TrialState.RUNNING
    assert "outcome" not in told.user_attrs
    assert count_trials(session.engine, session.sweep.id).running == 1


def test_trial_that_was_told_meanwhile_is_finished_as_told(session: Session) -> None:
    """A worker held up within its last writes told the study; its successor takes that for good."""
    claim = take(session)

    def tell() -> None:
        study = studies.load_study(
            studies.open_study_storage(session.engine.url), session.sweep.name
        )
        trial = studies.begin_trial(study, 0, {})
        studies.set_attributes(trial, {"outcome": "complete", "best_epoch": 1})
        studies.finish_trial(study, trial, TrialState.COMPLETE, 0.5)

    verdict = run_trial(session, claim, Hold(session, claim, EPOCH_2, tell))
    assert verdict == Verdict("complete", "complete")
    assert count_trials(session.engine, session.sweep.id).complete == 1
    assert [trial.value for trial in read_told(session)] == [0.5]
    assert not TrialFolder(session.artifacts, session.sweep, 0).checkpoint.exists()


def test_broken_network_fails_the_trial_and_keeps_its_traceback(
    make_session: MakeSession, sqlite_url: str
) -> None:
    """Whatever it raises; nothing of it can be the best."""
    session = make_session(sqlite_url, "BrokenNet")
    assert train(session).state == "failed"
    row = read_row(session)
    assert (row.state, row.outcome, row.feasible, row.best) == ("failed", "error", False, None)
    assert row.reason is not None
    assert "mynet.py" in row.reason
    assert row.reason.strip().endswith("KeyError: 'no such layer'")
    (told,) = read_told(session)
    assert (told.state, told.value) == (TrialState.FAIL, None)
    assert told.user_attrs["reason"] == row.reason


def test_trial_that_kills_its_workers_is_given_up(session: Session) -> None:
    """After so many attempts that were lost before an epoch; the sampler hears no value."""
    for _attempt in range(MAX_LOST_ATTEMPTS):
        assert claim_trial(session.engine, session.sweep.id, "a", -1.0)
    assert train(session, "b").outcome == "lost"
    row = read_row(session)
    assert (row.slot, row.state, row.attempts) == (0, "failed", MAX_LOST_ATTEMPTS + 1)
    assert row.reason is not None
    assert "killed or lost 4 times in a row" in row.reason
    (told,) = read_told(session)
    assert (told.state, told.value) == (TrialState.FAIL, None)
    assert train(session, "b").outcome == "complete"


def test_trial_that_ends_its_own_process_is_given_up_sooner(
    make_session: MakeSession, database_url: str
) -> None:
    """Nobody killed it: that it does so twice is no chance. The reason says how it ended."""
    session = make_session(database_url)
    for _attempt in range(2):
        claim = take(session)
        assert claim.num_lost == _attempt
        ended = expire_claims(session.engine, session.sweep.id, lambda _name: True, "exit code 3")
        assert ended == 1
    assert train(session, "b").outcome == "error"
    row = read_row(session)
    assert row.state == "failed"
    assert "ended its process (exit code 3) 2 times" in str(row.reason)
    assert train(session, "b").outcome == "complete"


@pytest.mark.parametrize(("limit_s", "num_epochs"), [(1e-6, 0), (HOUR_S, 3)])
def test_trial_may_train_only_for_so_long(
    session: Session, limit_s: float, num_epochs: int
) -> None:
    """It is pruned then, within the epoch it is in."""
    change_trial_timeout(session.engine, session.sweep.id, limit_s)
    session = replace(session, sweep=find_sweep(session.engine, session.sweep.name))
    verdict = train(session)
    assert len(read_first(session)) == num_epochs
    assert verdict.outcome == ("complete" if num_epochs else "timeout")
    (told,) = read_told(session)
    assert told.state == (TrialState.COMPLETE if num_epochs else TrialState.PRUNED)
    assert num_epochs or "of training" in str(read_row(session).reason)


def test_time_of_earlier_attempts_counts(session: Session) -> None:
    """A trial that is interrupted again and again does not get more time than others."""
    claim = take(session)
    interrupt(session, claim, BEGINNING)
    assert len(read_first(session)) == 1
    change_trial_timeout(session.engine, session.sweep.id, 1e-6)
    session = replace(session, sweep=find_sweep(session.engine, session.sweep.name))
    assert train(session, "b").outcome == "timeout"
    assert len(read_first(session)) == 1
    assert read_row(session).best is not None


@pytest.mark.parametrize(
    ("database_url", "fault", "num_epochs"),
    [
        ("postgres", "nan 1 training", 0),
        ("sqlite", "nan 5 training", 2),
        ("postgres", "inf 6 judged", 2),
    ],
    indirect=["database_url"],
    ids=["nan at the first batch", "nan at the fifth", "inf at the end"],
)
def test_diverged_network_keeps_only_the_numbers_before(
    make_session: MakeSession,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    num_epochs: int,
) -> None:
    """It is pruned and called by its name; of three epochs of two batches those before count."""
    monkeypatch.setenv("NET_FAULT", fault)
    session = make_session(database_url, "FaultyNet")
    assert train(session).outcome == "diverged"
    row = read_row(session)
    assert (row.state, row.outcome, row.feasible) == ("pruned", "diverged", False)
    losses = {epoch.epoch: epoch.validation_loss for epoch in read_first(session)}
    assert list(losses) == list(range(1, num_epochs + 1))
    (told,) = read_told(session)
    assert told.state == TrialState.PRUNED
    assert told.intermediate_values == pytest.approx(losses, rel=1e-4)
    assert told.value == (pytest.approx(min(losses.values()), rel=1e-4) if losses else None)


def test_dead_network_is_complete_but_never_best(
    make_session: MakeSession, sqlite_url: str
) -> None:
    """It keeps its numbers, and its weights only until one lives; Optuna knows it as infeasible."""
    session = make_session(sqlite_url, "DeadNet")
    assert train(session).outcome == "dead"
    row = read_row(session)
    assert (row.state, row.outcome, row.feasible) == ("complete", "dead", False)
    assert rank_trials([row], "validation_loss") == []
    assert max(read_told(session)[0].constraints.values()) > 0
    assert list(session.artifacts.rglob("weights.safetensors")) == [
        TrialFolder(session.artifacts, session.sweep, 0).weights
    ]
    assert train(session).outcome == "dead"
    assert len(list(session.artifacts.rglob("weights.safetensors"))) == 1


def test_reason_of_a_dead_network_is_that_of_its_objective(
    make_session: MakeSession, sqlite_url: str
) -> None:
    """By the efficiency a loss near the null loss kills nobody, and no reason says so."""
    session = make_session(sqlite_url, "DeadNet", objective="efficiency")
    assert train(session).reason == "no true peak found"
    assert read_told(session)[0].user_attrs["reason"] == "no true peak found"


def test_dead_network_ends_when_its_grace_is_over(
    make_session: MakeSession, sqlite_url: str
) -> None:
    """Two epochs of grace, and the pruner needs no other trial to compare with."""
    session = make_session(sqlite_url, "DeadNet", grace_events=48, pruner="median")
    assert train(session).outcome == "dead"
    assert [epoch.epoch for epoch in read_first(session)] == [1, 2]
    assert read_row(session).state == "pruned"


def test_worse_trials_are_pruned_and_never_best(make_session: MakeSession, sqlite_url: str) -> None:
    """A pruned trial spends its slot and keeps its numbers."""
    session = make_session(
        sqlite_url,
        trials=6,
        epochs=6,
        grace_events=24,
        pruner="median",
        fixed=("batch_size=12", "lr=0.05"),
    )
    for _slot in range(6):
        train(session)
    rows = read_trials(session.engine, session.sweep.id)
    pruned = [row for row in rows if row.outcome == "pruned"]
    assert 0 < len(pruned) < 6
    ranked = rank_trials(rows, "validation_loss")
    assert {row.outcome for row in ranked} == {"complete"}
    for row in pruned:
        told = next(t for t in read_told(session) if t.number == row.number)
        assert told.state == TrialState.PRUNED
        assert row.last is not None
        assert row.last.epoch < 3
        assert told.value == pytest.approx(row.last.validation_loss, rel=1e-4)
    assert count_trials(session.engine, session.sweep.id).finished == 6


def test_only_the_best_trials_keep_their_weights(
    make_session: MakeSession, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk does not fill with networks that nobody will ask for."""
    monkeypatch.setattr(sweep.trial.retention, "NUM_KEPT_WEIGHTS", 1)
    session = make_session(sqlite_url, trials=3)
    for _slot in range(3):
        train(session)
    best = rank_trials(read_trials(session.engine, session.sweep.id), "validation_loss")[0]
    folder = TrialFolder(session.artifacts, session.sweep, best.slot)
    assert list(session.artifacts.rglob("weights.safetensors")) == [folder.weights]


def test_full_disk_is_no_verdict(
    make_session: MakeSession, postgres_url: str, reference: list[Epoch]
) -> None:
    """The trial is given back, one line says why, and with room it goes on as the same trial."""
    session = make_session(postgres_url)
    claim = take(session)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, before[1]))

    try:
        with pytest.raises(ArtifactError, match=r"checkpoint\.pt: cannot be written") as caught:
            run_trial(session, claim, Hold(session, claim, EPOCH_2, fill_disk))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert count_trials(session.engine, session.sweep.id).waiting == 2
    assert [trial.state for trial in read_told(session)] == [TrialState.WAITING]
    assert train(session, "b").outcome == "complete"
    assert read_first(session) == reference


def test_trial_is_worth_more_than_its_pictures(
    session: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where there is no room for them it is complete without."""
    monkeypatch.setattr(
        sweep.trial.ending, "draw_trial", lambda *_parts, **_options: [Path("missing")]
    )
    assert train(session).outcome == "complete"
    assert "trial 0 has not all its pictures" in caplog.text


def test_epochs_cost_the_database_the_same(
    make_session: MakeSession, sqlite_url: str, request: pytest.FixtureRequest
) -> None:
    """The last of many is no dearer than the third: it does not tell the others again."""
    session = make_session(sqlite_url, "FaintNet", epochs=12)
    claim = take(session)
    asked: list[int] = []
    statements: list[str] = []
    hold = Hold(session, claim)
    renew = hold.hold

    def note() -> None:
        asked.append(len(statements))
        renew()

    hold.hold = note  # type: ignore[method-assign]
    sa.event.listen(sa.Engine, "before_cursor_execute", keep := lambda *p: statements.append(p[2]))
    request.addfinalizer(lambda: sa.event.remove(sa.Engine, "before_cursor_execute", keep))
    assert run_trial(session, claim, hold) is not None
    costs = [later - earlier for earlier, later in pairwise(asked)]
    assert costs[3] == costs[10] > 0


def test_folder_that_cannot_be_written_is_no_verdict(session: Session) -> None:
    """Neither for the checkpoint nor for the weights."""
    (session.artifacts / "trials").write_bytes(b"a file in the way")
    claim = take(session)
    with pytest.raises(ArtifactError):
        run_trial(session, claim, Hold(session, claim))
    (session.artifacts / "trials").unlink()
    folder = TrialFolder(session.artifacts, session.sweep, 0)
    folder.weights.mkdir(parents=True)
    claim = take(session)
    with pytest.raises(ArtifactError):
        run_trial(session, claim, Hold(session, claim))
    folder.weights.rmdir()
    assert count_trials(session.engine, session.sweep.id).waiting == 2
    assert train(session).outcome == "complete"
    assert read_row(session).attempts == 3


def test_unreadable_checkpoint_is_reported_and_left_aside(
    resumable: Session,
    reference: list[Epoch],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The trial begins anew and ends with the same curve."""
    session = resumable
    checkpoint = TrialFolder(session.artifacts, session.sweep, 0).checkpoint
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    train(session)
    assert "begins anew: its checkpoint" in caplog.text
    assert read_first(session) == reference


def change(*path: object, to: object) -> Callable[[Any], None]:
    """Say to put something else at a place of a checkpoint; nothing takes it out."""

    def work(state: Any) -> None:
        *way, last = path
        for step in way:
            state = state[step]
        if to is None:
            del state[last]
        else:
            state[last] = to

    return work


FIRST = "trainer", "optimizer", "state", 0
DAMAGES = {
    "no trainer": change("trainer", to=None),
    "a list": change("curve", to={"epoch": 1}),
    "a loss that is text": change("curve", 0, "validation_loss", to="0.1"),
    "a loss that is no number": change("curve", 0, "validation_loss", to=math.nan),
    "a count that is none": change("curve", 0, "found", to=-1),
    "an epoch too few": change("curve", 0, to=None),
    "epochs in another order": change("curve", 0, "epoch", to=2),
    "no random state": change("trainer", "rng", to=None),
    "a short random state": change("trainer", "rng", to=torch.zeros(8, dtype=torch.uint8)),
    "a random state of zeros": change("trainer", "rng", to=torch.zeros(5056, dtype=torch.uint8)),
    "a total that is NaN": change("trainer", "total_loss", to=torch.tensor(math.nan).double()),
    "a batch beyond the pass": change("trainer", "num_batches", to=99),
    "text for an epoch": change("trainer", "epoch", to="2"),
    "weights of another shape": change("trainer", "network", "scale", to=torch.zeros(99)),
    "weights of another network": change("trainer", "network", to={"conv": torch.zeros(3)}),
    "no weights": change("trainer", "network", to="none"),
    "another optimiser": change("trainer", "optimizer", to={"momentum": 1}),
    "text for an optimiser": change("trainer", "optimizer", to="adam"),
    "moments of another shape": change(*FIRST, "exp_avg", to=torch.zeros(99)),
    "a moment too few": change(*FIRST, "exp_avg", to=None),
    "best weights of another shape": change("best_weights", "scale", to=torch.zeros(99)),
    "best weights that are text": change("best_weights", "scale", to="none"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_checkpoint_of_another_form_is_left_aside(
    resumable: Session,
    reference: list[Epoch],
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Any], None],
) -> None:
    """A file that can be read and is not this trial's: it begins anew, which is said in a line."""
    session = resumable
    checkpoint = TrialFolder(session.artifacts, session.sweep, 0).checkpoint
    state = torch.load(checkpoint, weights_only=True)
    damage(state)
    torch.save(state, checkpoint)
    assert train(session).outcome == "complete"
    (line,) = [r.getMessage() for r in caplog.records if "begins anew" in r.getMessage()]
    assert "\n" not in line
    assert read_first(session) == reference


class OddNet(nn.Module):
    """Learns as MyNet does, and is odd in some way."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(hidden_size))
        self.register_buffer("history", torch.zeros(0))
        self.turned = nn.Parameter(torch.randn(4, 3).t())
        self.note: object = {"seen": 0}

    def get_extra_state(self) -> object:
        return self.note

    def set_extra_state(self, state: object) -> None:
        self.note = state

    def forward(self, x_BCL: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.act()
        return x_BCL[:, 0] * self.scale.abs().mean() + 0 * self.turned.sum()

    def act(self) -> None:
        """Do what is odd about it, before each training batch."""
        self.history = torch.cat([self.history, self.scale.detach()[:1]])
        self.note = {"seen": len(self.history)}


def be_odd(session: Session, network: type[nn.Module] = OddNet, **methods: object) -> Session:
    """Have a session train an odd network, with some other methods."""
    odd = type("Odd", (network,), methods)
    architectures = {
        label: replace(one, network=odd) for label, one in session.architectures.items()
    }
    return replace(session, architectures=architectures)


def test_network_whose_state_is_no_plain_tensor_is_kept_and_goes_on(
    make_session: MakeSession, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transposed parameter, a growing buffer, a note: weights, checkpoint and pictures."""
    monkeypatch.setattr(sweep.trial.ending, "draw_trial", draw_trial)
    session = be_odd(make_session(sqlite_url))
    claim = take(session)
    interrupt(session, claim)
    assert train(session, "b").outcome == "complete"
    network = OddNet(int(read_row(session).params["hidden_size"]))
    load_weights(network, TrialFolder(session.artifacts, session.sweep, 0).weights)
    best = read_row(session).best
    assert best is not None
    assert network.note == {"seen": 2 * best.epoch}
    assert len(network.history) == 2 * best.epoch
    metas = optuna.artifacts.get_all_artifact_meta(
        read_told(session)[0], storage=session.study_storage
    )
    assert sorted(meta.filename for meta in metas) == [
        "learning_curves.png",
        "sample_outputs.png",
        "worst_events.png",
    ]


def refuse(fault: BaseException) -> Callable[..., object]:
    """Give a method that raises."""

    def method(*_arguments: object) -> object:
        raise fault

    return method


@pytest.mark.parametrize(
    ("methods", "reason"),
    [
        ({"act": refuse(SystemExit(3))}, "SystemExit: 3"),
        ({"act": refuse(SystemExit())}, "SystemExit"),
        ({"act": refuse(KeyboardInterrupt())}, "KeyboardInterrupt"),
        ({"act": lambda self: self.act()}, "RecursionError"),
        ({"get_extra_state": refuse(ValueError("no state"))}, "cannot be kept: no state"),
        ({"set_extra_state": refuse(ValueError("no way back"))}, "not fit .* no way back"),
        ({"get_extra_state": lambda _self: refuse}, "cannot be kept|not fit"),
        ({"act": lambda self: setattr(self, "late", nn.Parameter(torch.ones(1)))}, "late"),
    ],
    ids=["exit", "exit 0", "interrupt", "recursion", "kept", "brought back", "code", "late"],
)
def test_fault_of_a_network_fails_its_trial_and_nothing_else(
    session: Session, methods: dict[str, object], reason: str
) -> None:
    """The reason stands in the study; the worker goes on with the next trial."""
    assert train(be_odd(session, **methods)).outcome == "error"
    row = read_row(session)
    assert row.state == "failed"
    assert re.search(reason, str(row.reason).strip().splitlines()[-1])
    assert read_told(session)[0].user_attrs["reason"] == row.reason
    assert train(session).outcome == "complete"


def test_trial_survives_dropped_connections(
    make_session: MakeSession,
    postgres_url: str,
    postgres_server: sa.Engine,
    reference: list[Epoch],
) -> None:
    """The server drops every connection in mid-trial, again and again."""
    session = make_session(postgres_url)
    claim = take(session)
    query = sa.text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = :name AND pid <> pg_backend_pid()"
    )
    dropped: list[int] = []

    def drop() -> None:
        with postgres_server.connect() as connection:
            name = session.engine.url.database
            dropped.append(connection.execute(query, {"name": name}).scalar_one())
        hold.num_left = 1  # and at the next

    hold = Hold(session, claim, EPOCH_1, drop)
    verdict = run_trial(session, claim, hold)
    assert verdict is not None
    assert verdict.outcome == "complete"
    assert len(dropped) == 4
    assert all(dropped)
    assert read_first(session) == reference


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ({"batch_size": 7, "hidden_size": "many"}, "hidden_size: outside the space, got many"),
        ({"depth": 3}, "depth: outside the space, got 3, expected one of"),
    ],
)
def test_value_that_cannot_be_fails_its_trial_and_not_the_worker(
    session: Session, point: dict[str, Any], words: str
) -> None:
    """A starting point is given by a person: its reason is the trial's, and others go on."""
    config = session.config.model_copy(update={"starting_points": (point,)})
    given = replace(session, config=config)
    verdict = train(given)
    assert (verdict.state, verdict.outcome) == ("failed", "error")
    assert verdict.reason is not None and words in verdict.reason
    assert train(given).state == "complete"
