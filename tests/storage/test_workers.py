"""The list of workers: who is there, on what device, with which trial; on both databases."""

from __future__ import annotations

import sqlalchemy as sa

from sweep.results.glance import write_usage
from sweep.storage import claims, sweeps
from sweep.storage.tables import workers
from sweep.storage.workers import (
    SILENT_S,
    Usage,
    enter_worker,
    leave_worker,
    list_workers,
    see_worker,
)

HOUR_S = 3600.0


def grow_silent(engine: sa.Engine, name: str, silent_s: float) -> None:
    """Let a worker have been heard of so long ago."""
    with engine.begin() as connection:
        connection.execute(
            workers.update()
            .where(workers.c.name == name)
            .values(seen_s=workers.c.seen_s - silent_s)
        )


def list_names(engine: sa.Engine, sweep_id: int | None = None) -> list[str]:
    """List the names of the workers that are there."""
    return [worker.name for worker in list_workers(engine, sweep_id)]


class TestWorkers:
    """What a person sees of the workers."""

    def test_worker_is_listed_with_what_it_holds(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """Device, sweep, number of the trial, and the time left of its lease."""
        enter_worker(engine, "a", "gpu 0, H100")
        claim = claims.claim_trial(engine, sweep.id, "a", HOUR_S)
        assert claim is not None
        claims.begin_claimed(engine, claim, 7, {})
        (row,) = list_workers(engine)
        assert (row.name, row.device, row.sweep, row.trial) == ("a", "gpu 0, H100", "cnn", 7)
        assert row.lease_s is not None
        assert HOUR_S - 60 < row.lease_s <= HOUR_S
        assert 0 <= row.silent_s < 60

    def test_worker_is_listed_with_what_it_takes(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """As last measured, with or without a trial; a renewal that measured nothing keeps it."""
        enter_worker(engine, "a", "gpu 0, H100")
        (row,) = list_workers(engine)
        assert (row.memory_bytes, row.gpu_memory_bytes, row.gpu_use) == (None, None, None)
        claim = claims.claim_trial(engine, sweep.id, "a", HOUR_S)
        assert claim is not None
        claims.renew_claim(engine, claim, HOUR_S, Usage(5_000_000_000, 2_100_000_000, 0.84))
        claims.renew_claim(engine, claim, HOUR_S)
        (row,) = list_workers(engine)
        assert write_usage(row) == "5.0 GB, GPU 84 %, 2.1 GB"
        see_worker(engine, "a", Usage(412_000_000))
        (row,) = list_workers(engine)
        assert write_usage(row) == "412 MB, no GPU"

    def test_worker_may_enter_again(self, engine: sa.Engine) -> None:
        """One that could not take leave of a server that was away, or whose answer was lost."""
        enter_worker(engine, "a", "cpu")
        enter_worker(engine, "a", "gpu 0, H100")
        assert [row.device for row in list_workers(engine)] == ["gpu 0, H100"]

    def test_idle_worker_holds_nothing(self, engine: sa.Engine) -> None:
        """It is there all the same."""
        enter_worker(engine, "a", "cpu")
        (row,) = list_workers(engine)
        assert (row.sweep, row.trial, row.lease_s) == (None, None, None)

    def test_worker_that_left_is_not_listed(self, engine: sa.Engine) -> None:
        """And forgotten when the next one comes."""
        enter_worker(engine, "a", "cpu")
        leave_worker(engine, "a")
        assert list_names(engine) == []
        enter_worker(engine, "b", "cpu")
        with engine.connect() as connection:
            assert connection.execute(sa.select(workers.c.name)).scalars().all() == ["b"]

    def test_silent_worker_is_not_listed_until_it_is_heard_of(self, engine: sa.Engine) -> None:
        """Its machine may be gone, or only asleep."""
        enter_worker(engine, "a", "cpu")
        grow_silent(engine, "a", SILENT_S + 1)
        assert list_names(engine) == []
        see_worker(engine, "a")
        assert list_names(engine) == ["a"]

    def test_renewing_a_lease_is_a_sign_of_life(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """A worker that trains for hours is heard of all the while."""
        enter_worker(engine, "a", "cpu")
        claim = claims.claim_trial(engine, sweep.id, "a", HOUR_S)
        assert claim is not None
        grow_silent(engine, "a", SILENT_S + 1)
        claims.renew_claim(engine, claim, HOUR_S)
        assert list_names(engine) == ["a"]

    def test_only_workers_of_a_sweep_or_of_none_are_listed_for_it(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """Oldest first."""
        other = sweeps.create_sweep(engine, "rcnn", {}, {}, 1)
        for name, held in (("a", sweep), ("b", other), ("c", None)):
            enter_worker(engine, name, "cpu")
            assert held is None or claims.claim_trial(engine, held.id, name, HOUR_S)
        assert list_names(engine, sweep.id) == ["a", "c"]
        assert list_names(engine, other.id) == ["b", "c"]
        assert list_names(engine) == ["a", "b", "c"]


class TestTurns:
    """Whose turn it is among the open sweeps."""

    def test_sweep_with_the_fewest_trials_in_training_comes_first(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """Of equals, the one that has waited longest for a worker."""
        other = sweeps.create_sweep(engine, "rcnn", {}, {}, 3)
        turns = []
        for _turn in range(5):
            first = sweeps.list_open_sweeps(engine)[0]
            turns.append(first.name)
            claims.claim_trial(engine, first.id, "a", HOUR_S)
        assert turns == ["cnn", "rcnn", "cnn", "rcnn", "cnn"]
        assert other.name == "rcnn"

    def test_highest_priority_comes_first(self, engine: sa.Engine, sweep: sweeps.Sweep) -> None:
        """However many of its trials are in training; of equals it is the fair turn."""
        other = sweeps.create_sweep(engine, "rcnn", {}, {}, 3, priority=-1)
        last = sweeps.create_sweep(engine, "mlp", {}, {}, 3)
        sweeps.set_priority(engine, last.id, 2)
        assert claims.claim_trial(engine, last.id, "a", HOUR_S)
        turn = sweeps.list_open_sweeps(engine)
        assert [(s.name, s.priority) for s in turn] == [("mlp", 2), ("cnn", 0), ("rcnn", -1)]
        sweeps.set_priority(engine, other.id, 0)
        sweeps.set_priority(engine, last.id, 0)
        assert [s.name for s in sweeps.list_open_sweeps(engine)] == ["cnn", "rcnn", "mlp"]

    def test_lost_trial_is_not_in_training(self, engine: sa.Engine, sweep: sweeps.Sweep) -> None:
        """A sweep whose workers are gone is as much in need as one that nobody began."""
        other = sweeps.create_sweep(engine, "rcnn", {}, {}, 3)
        assert claims.claim_trial(engine, other.id, "b", HOUR_S)
        assert claims.claim_trial(engine, sweep.id, "a", -1.0)
        assert [s.name for s in sweeps.list_open_sweeps(engine)] == ["cnn", "rcnn"]

    def test_stopped_and_finished_sweeps_are_not_open(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """A stop is taken back, a budget that is spent is not."""
        sweeps.request_stop(engine, sweep.id)
        assert sweeps.list_open_sweeps(engine) == []
        sweeps.request_stop(engine, sweep.id, stop=False)
        while claim := claims.claim_trial(engine, sweep.id, "a", HOUR_S):
            assert sweeps.list_open_sweeps(engine) != []
            claims.finish_claim(
                engine,
                claim,
                state=sweeps.PRUNED,
                outcome="pruned",
                reason=None,
                feasible=False,
                best_epoch=None,
            )
        assert sweeps.list_open_sweeps(engine) == []

    def test_limit_of_a_trials_time_is_kept(self, engine: sa.Engine, sweep: sweeps.Sweep) -> None:
        """None at first, then as last said."""
        assert sweep.trial_timeout_s is None
        sweeps.change_trial_timeout(engine, sweep.id, 60.0)
        assert sweeps.find_sweep(engine, "cnn").trial_timeout_s == 60.0


class TestLostAttempts:
    """Attempts that ended with their worker, and trials that need a device for themselves."""

    def test_lost_attempts_are_counted_until_an_epoch_is_reached(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """A trial that goes forward between kills is not the one that kills."""
        from sweep.storage.epochs import record_epochs
        from sweep.storage.tables import Epoch

        for num_lost in range(3):
            lost = claims.claim_trial(engine, sweep.id, "a", -1.0)
            assert lost is not None
            assert lost.num_lost == num_lost
        epoch = Epoch(1, 10, 1.0, 1.0, 1, 1, 0, 1, 0, 1e-3, 0.5)
        record_epochs(engine, lost, [epoch])
        after = claims.claim_trial(engine, sweep.id, "b", -1.0)
        assert after is not None
        assert after.num_lost == 0

    def test_released_attempt_is_not_lost(self, engine: sa.Engine, sweep: sweeps.Sweep) -> None:
        """A worker that gives its trial back was not killed by it."""
        held = claims.claim_trial(engine, sweep.id, "a", HOUR_S)
        assert held is not None
        claims.release_claim(engine, held)
        again = claims.claim_trial(engine, sweep.id, "b", HOUR_S)
        assert again is not None
        assert (again.trial_id, again.num_lost, again.alone) == (held.trial_id, 0, False)

    def test_trial_that_needs_a_device_alone_stays_so(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """Also when it is given back once more."""
        for alone in (True, False):
            held = claims.claim_trial(engine, sweep.id, "a", HOUR_S)
            assert held is not None
            claims.release_claim(engine, held, alone=alone)
        again = claims.claim_trial(engine, sweep.id, "b", HOUR_S)
        assert again is not None
        assert again.alone

    def test_lost_trial_is_taken_over_before_a_new_one_begins(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """What was paid for is not left lying about."""
        first = claims.claim_trial(engine, sweep.id, "a", HOUR_S)
        second = claims.claim_trial(engine, sweep.id, "b", -1.0)
        assert first is not None
        assert second is not None
        claims.release_claim(engine, first)
        taken = claims.claim_trial(engine, sweep.id, "c", HOUR_S)
        assert taken is not None
        assert taken.trial_id == second.trial_id
