"""A database with every kind of sweep and trial, trained once, and the report of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from made import make_epoch
from optuna.trial import TrialState
from workers import take

from sweep.plan.space import read_space
from sweep.results.status import Status, read_status
from sweep.search.suggestion import suggest
from sweep.storage import studies
from sweep.storage.claims import begin_claimed, finish_claim
from sweep.storage.epochs import record_epochs
from sweep.storage.sweeps import FAILED, PRUNED, change_budget, find_sweep
from sweep.storage.tables import Epoch
from sweep.trial.session import Session

EPOCHS = 3
NUM_TRAINED, NUM_DEAD = 3, 1
TRACEBACK = "Traceback (most recent call last):\n  File 'x'\nKeyError: '<b>no such layer</b>'"


@dataclass(frozen=True)
class Database:
    """Where sweeps are kept, and their page."""

    url: str
    artifacts: Path
    engine: sa.Engine

    def read(self, name: str) -> Status:
        """Read a sweep's status."""
        return read_status(self.engine, find_sweep(self.engine, name))


def begin_trial(session: Session, epochs: Sequence[Epoch], state: str = "running") -> None:
    """Bring the sweep's next trial so far, or to an early end, without training it."""
    claim = take(session, "host:1:a")
    study = studies.load_study(session.study_storage, session.sweep.name)
    trial = studies.begin_trial(study, claim.slot, {})
    params = suggest(trial, read_space(session.config), {})
    begin_claimed(session.engine, claim, trial.number, params)
    record_epochs(session.engine, claim, epochs)
    for epoch in epochs:
        studies.report_epochs(trial, {epoch.epoch: epoch.validation_loss})
    if state == "running":
        return
    is_pruned = state == PRUNED
    studies.finish_trial(study, trial, TrialState.PRUNED if is_pruned else TrialState.FAIL, None)
    finish_claim(
        session.engine,
        claim,
        state=state,
        outcome="pruned" if is_pruned else "error",
        reason="worse than the others" if is_pruned else TRACEBACK,
        feasible=False,
        best_epoch=1 if is_pruned else None,
    )


@pytest.fixture(scope="session")
def database(
    tmp_path_factory: pytest.TempPathFactory,
    make_session: Callable[..., Session],
    own_network: Path,
    events_file: Path,
) -> Database:
    """A search with a pruned, a failed, a running and trained trials; a dead one; a study."""
    from sweep.cli import make_program
    from sweep.machine.signals import Signals
    from sweep.worker.worker import WorkerOptions, run_worker

    folder = tmp_path_factory.mktemp("report")
    url, artifacts = f"sqlite:///{folder / 'sweep.db'}", folder / "artifacts"
    fixed = ("batch_size=12",)
    net = make_session(url, trials=2 + NUM_TRAINED, epochs=EPOCHS, fixed=fixed, sampler="random")
    make_session(url, "DeadNet", name="dead", trials=NUM_DEAD, epochs=EPOCHS)
    begin_trial(net, [make_epoch()], PRUNED)
    begin_trial(net, [], FAILED)
    study = ["curve", "--model", f"{own_network}:MyNet", "--sweep", "net sample size"]
    study += ["--events", "6,24", "--repeats", "1", "--epochs", "2", "--data", str(events_file)]
    study += ["--val-events", "12", "--fix", "hidden_size=4", "--fix", "lr=0.05"]
    make_program()([*study, "--detach", "--storage", url], standalone_mode=False)
    run_worker(WorkerOptions(url, None, artifacts, num_threads=1), Signals(), lambda _text: None)
    change_budget(net.engine, net.sweep.id, 3 + NUM_TRAINED)
    begin_trial(net, [make_epoch()])
    return Database(url, artifacts, net.engine)


@pytest.fixture(scope="session")
def report(database: Database) -> Path:
    """The page that `sweep report` writes of all of it."""
    from sweep.cli import make_program

    out = database.artifacts.parent / "report.html"
    options = ["--storage", database.url, "--artifacts", str(database.artifacts)]
    make_program()(["report", "--out", str(out), *options], standalone_mode=False)
    return out
