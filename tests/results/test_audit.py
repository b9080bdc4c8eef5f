"""The account of pruning: what it saved, and pruned trials that are trained to the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sweep.machine.signals import Signals
from sweep.results.audit import (
    begin_audit,
    describe_pruning,
    read_audit,
    tell_pruning,
)
from sweep.results.confirmation import add_confirmations, find_confirmation
from sweep.results.status import read_status
from sweep.storage.sweeps import find_sweep
from sweep.storage.tables import trials
from sweep.trial.session import Session
from sweep.worker.worker import WorkerOptions, run_worker


def test_pruned_trials_are_trained_to_the_end_and_judged(
    make_session: Callable[..., Session], sqlite_url: str
) -> None:
    """As trials of an audit of their own, which is stopped and copied with its search.

    Further ones join it, and none is trained twice.
    """
    session = make_session(sqlite_url, sampler="random", epochs=1, events=18)
    engine = session.engine

    def work(name: str) -> None:
        options = WorkerOptions(sqlite_url, name, session.artifacts, num_threads=1)
        run_worker(options, Signals(), lambda _text: None)

    def read(name: str) -> Any:
        return read_status(engine, find_sweep(engine, name))

    work("net")
    assert not begin_audit(engine, read("net"), 3)
    assert read_audit(engine, read("net")) is None
    worse = max(read("net").ranked, key=lambda trial: trial.best.validation_loss)
    with engine.begin() as connection:
        connection.execute(
            trials.update()
            .where(trials.c.id == worse.id)
            .values(state="pruned", outcome="pruned", feasible=False)
        )
    assert begin_audit(engine, read("net"), 3)
    with engine.begin() as connection:  # as one leaves it who is killed before the trials are there
        connection.execute(trials.delete().where(trials.c.sweep_id == read("net-audit").sweep.id))
    assert begin_audit(engine, read("net"), 3)
    status = read("net-audit")
    assert (status.config.kind, status.counts.budget) == ("audit", 1)
    assert find_confirmation(engine, status) is None
    named = [one.name for one in add_confirmations(engine, [read("net").sweep])]
    assert named == ["net", "net-audit"]
    work("net-audit")
    audit = read_audit(engine, read("net"))
    assert audit is not None
    (ended,) = audit.status.begun
    assert dict(ended.params) == dict(worse.params)
    is_false = ended.best.validation_loss < read("net").ranked[0].best.validation_loss
    assert (audit.num_trained, audit.num_false) == (1, int(is_false))
    assert f"of 1 pruned trial trained to the end {int(is_false)} came out better" in audit.tell()
    found = describe_pruning(read("net"))
    assert (found["pruned"], found["epochs"], found["epochs_of_all"]) == (1, 2, 2)
    assert tell_pruning(read("net")).startswith("pruning: 1 of 2 trials ended early; 2 of 2 epochs")
