"""Workers: their leases, the signals that end them, and when they stop by themselves."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import torch
from workers import take, wait_until, work

import sweep.worker.worker
from rights import as_plain_user, make_open_folder
from sweep.cli.run import worker
from sweep.errors import ConfigError
from sweep.machine.process import is_gone, name_worker
from sweep.machine.signals import Signals
from sweep.storage.errors import RightsError
from sweep.storage.sweeps import count_trials, request_stop
from sweep.storage.tables import trials, workers
from sweep.storage.workers import enter_worker, list_workers
from sweep.trial.session import Session
from sweep.worker.device_lock import DeviceLock
from sweep.worker.lease import Lease
from sweep.worker.usage import UsageMeter
from sweep.worker.worker import WorkerOptions, run_worker

MakeSession = Callable[..., Session]


def read_lease_s(session: Session) -> float:
    """Read when the first trial's lease ends."""
    with session.engine.connect() as connection:
        query = sa.select(trials.c.lease_until_s).where(trials.c.slot == 0)
        return float(connection.execute(query).scalar_one())


@pytest.fixture
def installed() -> Iterator[Signals]:
    """Signals that listen in this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signals = Signals()
    signals.install()
    yield signals
    for number, handler in before.items():
        signal.signal(number, handler)


def test_worker_that_waits_for_its_device_is_seen(
    make_session: MakeSession,
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another may be alone on it for hours; the status shows this one all the while."""
    monkeypatch.setattr(sweep.worker.worker, "MAX_POLL_S", 0.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    session = make_session(sqlite_url)
    seen_s: set[float] = set()

    class Patience(Signals):
        """Asks the worker to leave when it was seen three times."""

        def wait(self, timeout_s: float) -> bool:
            with session.engine.connect() as connection:
                seen_s.add(connection.execute(sa.select(workers.c.seen_s)).scalar_one())
            if len(seen_s) >= 3:
                self.ask()
            return super().wait(timeout_s)

    alone = DeviceLock(torch.device("cpu"))
    with alone.hold(alone=True, is_given_up=lambda _timeout_s: True) as is_held:
        assert is_held
        assert work(session, Patience()) == (0, [])
    assert len(seen_s) >= 3
    assert count_trials(session.engine, session.sweep.id).running == 0


def test_worker_trains_the_budget(make_session: MakeSession, database_url: str) -> None:
    """Then it leaves, and a second one finds nothing to do."""
    session = make_session(database_url, trials=3)
    num_finished, said = work(session)
    assert num_finished == 3
    assert said == ["slot 0: complete", "slot 1: complete", "slot 2: complete"]
    assert work(session) == (0, [])
    assert count_trials(session.engine, session.sweep.id).complete == 3


def test_worker_stops_when_most_trials_fail(make_session: MakeSession, sqlite_url: str) -> None:
    """Three failures are enough to see that nothing will come of it."""
    session = make_session(sqlite_url, "BrokenNet", trials=6)
    num_finished, said = work(session)
    assert num_finished == 3
    assert said[-1] == "stopped: 3 of 3 finished trials failed"
    assert count_trials(session.engine, session.sweep.id).waiting == 3


def test_worker_heeds_a_stop_in_the_database(session: Session) -> None:
    """It is asked from anywhere, and goes on when that is taken back."""
    request_stop(session.engine, session.sweep.id)
    assert work(session) == (0, [])
    request_stop(session.engine, session.sweep.id, stop=False)
    assert work(session)[0] == 2


def test_worker_whose_parent_is_gone_begins_nothing(session: Session) -> None:
    """Process 1 is not the parent of this one, so it has ended."""
    assert work(session, Signals(parent=1 if os.getppid() != 1 else 2)) == (0, [])
    assert work(session, Signals(parent=os.getppid()))[0] == 2


def test_worker_runs_the_network_that_the_sweep_keeps(
    make_session: MakeSession, sqlite_url: str, own_network: Path
) -> None:
    """Whatever became of the person's file, which other machines never had."""
    session = make_session(sqlite_url, trials=1, epochs=1)
    before = own_network.read_bytes()
    own_network.write_bytes(b"raise SystemExit('changed')")
    try:
        assert work(session)[0] == 1
    finally:
        own_network.write_bytes(before)


def test_worker_for_ever_does_not_wait_for_a_right(empty_database: Path) -> None:
    """None comes by waiting: it ends with the line that says which one is missing."""
    with make_open_folder() as folder:
        path = folder / "sweep.db"
        shutil.copy(empty_database, path)
        path.chmod(0o444)
        folder.chmod(0o555)
        options = WorkerOptions(f"sqlite:///{path}", None, folder, "cpu", 1, is_forever=True)
        with as_plain_user(), pytest.raises(RightsError):
            run_worker(options, Signals(), pytest.fail)


def test_worker_command_looks_for_garbage_as_usual(
    empty_database: Path, tmp_path: Path, installed: Signals
) -> None:
    """It may hold tensors; a command hardly looks for any while it loads, and never at modules."""
    before = gc.get_threshold()
    gc.set_threshold(100_000)
    try:
        worker(storage=f"sqlite:///{empty_database}", artifacts=tmp_path, parent=os.getppid())
        assert gc.get_threshold() == (700, *before[1:])
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
    assert not installed.is_gentle()


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_bad_lease_is_refused(
    make_session: MakeSession, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """One line before anything is claimed."""
    monkeypatch.setenv("SWEEP_LEASE_S", text)
    with pytest.raises(ConfigError, match="SWEEP_LEASE_S"):
        work(make_session(sqlite_url))


def test_lease_is_renewed_while_the_trial_is_trained(
    make_session: MakeSession, postgres_url: str, postgres_server: sa.Engine
) -> None:
    """Also after the server dropped its connections."""
    session = make_session(postgres_url)
    claim = take(session)
    drop = sa.text(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = :name"
    )
    with Lease(session.engine, claim, 0.3, Signals()) as lease:
        for _time in range(2):
            before_s = read_lease_s(session)
            wait_until(lambda before_s=before_s: read_lease_s(session) != before_s)  # type: ignore[misc]
            with postgres_server.connect() as connection:
                connection.execute(drop, {"name": session.engine.url.database})
        assert not lease.is_gentle()


def test_lost_lease_ends_the_trial(make_session: MakeSession, database_url: str) -> None:
    """The worker learns it within a third of the lease."""
    session = make_session(database_url)
    claim = take(session)
    with session.engine.begin() as connection:
        connection.execute(trials.update().where(trials.c.slot == 0).values(lease_until_s=1.0))
    take(session)
    with Lease(session.engine, claim, 0.3, Signals()) as lease:
        wait_until(lease.is_immediate)
        assert lease.is_gentle()


def test_lease_tells_what_its_worker_takes(session: Session) -> None:
    """Soon after a trial has begun."""
    claim = take(session)
    enter_worker(session.engine, claim.worker, "cpu, 1 threads")

    def is_told() -> bool:
        (row,) = list_workers(session.engine)
        return row.memory_bytes is not None and row.memory_bytes > 50e6

    meter = UsageMeter(torch.device("cpu"))
    with Lease(session.engine, claim, 0.3, Signals(), meter.measure):
        wait_until(is_told)


def test_first_interrupt_is_gentle_and_the_second_is_not(installed: Signals) -> None:
    """As a person at a terminal means it."""
    assert not installed.is_gentle()
    os.kill(os.getpid(), signal.SIGINT)
    wait_until(installed.is_gentle)
    assert not installed.is_immediate()
    os.kill(os.getpid(), signal.SIGINT)
    wait_until(installed.is_immediate)


def test_termination_is_at_once(installed: Signals) -> None:
    """The batch system's warning leaves seconds."""
    os.kill(os.getpid(), signal.SIGTERM)
    wait_until(installed.is_immediate)
    assert installed.is_gentle()


def test_gone_is_only_a_process_of_this_machine_that_ended() -> None:
    """Of other machines, other boots and other containers nothing is known."""
    code = "from sweep.machine.process import name_worker; print(name_worker())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name = ended.stdout.strip()
    host, process, tail = name.split(":")
    assert is_gone(name)
    assert not is_gone(name_worker())
    assert not is_gone(f"{host}:{process}:00000000-{tail.partition('-')[2]}")
    assert not is_gone("no name")
