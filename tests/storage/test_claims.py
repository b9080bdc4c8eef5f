"""The contract of sweeps, claims and epochs, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from together import run_together

from sweep.metrics.decode import REFERENCE, OperatingPoint
from sweep.metrics.table import OBJECTIVES
from sweep.search.judgement import get_ranking, get_value, rank_trials
from sweep.storage import claims, epochs, sweeps
from sweep.storage.edits import list_edits
from sweep.storage.errors import LostClaimError, UnknownSweepError
from sweep.storage.standings import choose_trial
from sweep.storage.tables import attempts, trials
from tests.storage.conftest import run_out

HOUR_S = 3600.0
EPOCH = epochs.Epoch(
    epoch=1,
    events_seen=10,
    train_loss=2.0,
    validation_loss=1.5,
    events=12,
    found=3,
    missed=1,
    predicted_found=3,
    false_positives=6,
    lr=1e-3,
    duration_s=0.5,
)


class Forgetful:
    """A database whose connection breaks once between the commit and its answer."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.is_to_break = True

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Begin a transaction."""
        with self.engine.begin() as connection:
            yield connection
        if self.is_to_break:
            self.is_to_break = False
            raise sa.exc.OperationalError("COMMIT", {}, Exception("the connection broke"))


CLAIM_ALL = """
import sys
from sweep.storage.claims import claim_trial, finish_claim
from sweep.storage.engine import open_engine, parse_url
engine = open_engine(parse_url(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
while claim := claim_trial(engine, int(sys.argv[2]), sys.argv[3], 3600.0):
    finish_claim(engine, claim, state="complete", outcome="complete", reason=None,
                 feasible=True, best_epoch=None)
    print(claim.slot, flush=True)
"""


def claim(engine: sa.Engine, sweep: sweeps.Sweep, worker: str = "a") -> claims.Claim:
    """Claim a trial of which there must be one."""
    found = claims.claim_trial(engine, sweep.id, worker, HOUR_S)
    assert found is not None
    return found


def finish(engine: sa.Engine, held: claims.Claim, state: str = "complete") -> None:
    """Finish a trial in a state."""
    claims.finish_claim(
        engine, held, state=state, outcome=state, reason=None, feasible=True, best_epoch=None
    )


def read_endings(engine: sa.Engine) -> list[tuple[int, str | None]]:
    """Read number and ending of all attempts."""
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(attempts.c.attempt, attempts.c.ending).order_by(
                attempts.c.trial_id, attempts.c.attempt
            )
        )
        return [(row.attempt, row.ending) for row in rows]


class TestSweeps:
    """Sweeps are created once, found, listed and resized."""

    def test_created_sweep_is_found_as_it_was(self, engine: sa.Engine, sweep: sweeps.Sweep) -> None:
        """Config and provenance come back as the JSON they were, the budget as waiting trials."""
        found = sweeps.find_sweep(engine, "cnn")
        assert found == sweep
        assert found.config == {"a": [None, "x"], "b": 1}
        assert found.provenance == {"python": "3"}
        assert not found.stop_requested
        assert sweeps.count_trials(engine, sweep.id) == sweeps.TrialCounts(3, 0, 0, 0, 0)

    def test_sweeps_are_listed_oldest_first(self, engine: sa.Engine, sweep: sweeps.Sweep) -> None:
        """The list is in the order of creation, not of names."""
        other = sweeps.create_sweep(engine, "birnn", {}, {}, 1)
        assert sweeps.list_sweeps(engine) == [sweep, other]

    def test_unknown_sweep_is_refused_with_the_known_names(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """The message names what there is."""
        with pytest.raises(UnknownSweepError, match="got 'rnn', expected one of: cnn"):
            sweeps.find_sweep(engine, "rnn")

    def test_taken_name_is_refused(self, engine: sa.Engine, sweep: sweeps.Sweep) -> None:
        """A second sweep of the same name changes nothing."""
        with pytest.raises(sa.exc.IntegrityError):
            sweeps.create_sweep(engine, "cnn", {}, {}, 7)
        assert sweeps.list_sweeps(engine) == [sweep]
        assert sweeps.count_trials(engine, sweep.id).budget == 3

    def test_larger_budget_adds_waiting_trials(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """Trials that were finished stay finished."""
        finish(engine, claim(engine, sweep))
        assert sweeps.change_budget(engine, sweep.id, 5) == 5
        assert sweeps.count_trials(engine, sweep.id) == sweeps.TrialCounts(4, 0, 1, 0, 0)
        assert sweeps.find_sweep(engine, "cnn").budget == 5

    def test_smaller_budget_takes_no_trial_that_has_begun(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """Finished, running and given-back trials stay; the budget is then what has begun."""
        finish(engine, claim(engine, sweep))
        claims.release_claim(engine, claim(engine, sweep))
        assert sweeps.change_budget(engine, sweep.id, 1) == 2
        assert sweeps.count_trials(engine, sweep.id) == sweeps.TrialCounts(1, 0, 1, 0, 0)
        assert sweeps.change_budget(engine, sweep.id, 3) == 3

    def test_log_tells_what_a_budget_came_to(self, engine: sa.Engine, sweep: sweeps.Sweep) -> None:
        """And nothing where it stays, whatever was asked for."""
        finish(engine, claim(engine, sweep))
        claims.release_claim(engine, claim(engine, sweep))
        for _asked in range(2):
            sweeps.change_budget(engine, sweep.id, 1, "ada")
        said = [edit.what for edit in list_edits(engine, sweep.id, 9)]
        assert said == ["changed the trials from 3 to 2"]

    def test_budget_grows_where_slots_were_left_out(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """A gap between begun slots is filled, never a slot made twice."""
        with engine.begin() as connection:
            connection.execute(
                trials.update().where(trials.c.slot == 2).values(state="complete", attempts=1)
            )
        assert sweeps.change_budget(engine, sweep.id, 1) == 2
        assert sweeps.change_budget(engine, sweep.id, 4) == 4
        with engine.connect() as connection:
            slots = connection.execute(sa.select(trials.c.slot).order_by(trials.c.slot)).scalars()
            assert list(slots) == [0, 1, 2, 3]

    def test_stop_is_requested_and_taken_back(self, engine: sa.Engine, sweep: sweeps.Sweep) -> None:
        """The request is seen until it is taken back."""
        sweeps.request_stop(engine, sweep.id)
        assert sweeps.find_sweep(engine, sweep.name).stop_requested
        sweeps.request_stop(engine, sweep.id, stop=False)
        assert not sweeps.find_sweep(engine, sweep.name).stop_requested


class TestClaims:
    """A trial is in one worker's hands at a time, and never lost."""

    def test_slots_are_claimed_in_order_until_none_is_left(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """Each claim is the first attempt at the next slot."""
        held = [claim(engine, sweep, worker) for worker in "abc"]
        assert [(h.slot, h.attempt, h.worker) for h in held] == [
            (0, 1, "a"),
            (1, 1, "b"),
            (2, 1, "c"),
        ]
        assert claims.claim_trial(engine, sweep.id, "d", HOUR_S) is None
        assert sweeps.count_trials(engine, sweep.id) == sweeps.TrialCounts(0, 3, 0, 0, 0)

    def test_claims_stay_within_their_sweep(self, engine: sa.Engine, sweep: sweeps.Sweep) -> None:
        """Another sweep's trials are not touched."""
        other = sweeps.create_sweep(engine, "mlp", {}, {}, 1)
        claim(engine, other)
        assert claims.claim_trial(engine, other.id, "b", HOUR_S) is None
        assert sweeps.count_trials(engine, sweep.id).waiting == 3

    def test_expired_lease_is_taken_over_as_the_same_trial(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """The database's clock decides: a lease of no length is over at once."""
        lost = claims.claim_trial(engine, sweep.id, "a", -1.0)
        assert lost is not None
        assert sweeps.count_trials(engine, sweep.id).waiting == 3
        taken = claim(engine, sweep, "b")
        assert taken == replace(lost, attempt=2, worker="b", num_lost=1)
        assert read_endings(engine) == [(1, "expired"), (2, None)]

    def test_renewed_lease_is_not_taken_over(self, engine: sa.Engine, sweep: sweeps.Sweep) -> None:
        """Renewing counts from now."""
        held = claims.claim_trial(engine, sweep.id, "a", -1.0)
        assert held is not None
        claims.renew_claim(engine, held, HOUR_S)
        assert claim(engine, sweep, "b").slot == 1

    def test_released_trial_is_claimed_again_first(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """Its next attempt is the second, at once."""
        held = claim(engine, sweep)
        claims.release_claim(engine, held)
        again = claim(engine, sweep, "b")
        assert (again.trial_id, again.attempt) == (held.trial_id, 2)
        assert read_endings(engine) == [(1, "released"), (2, None)]

    def test_finished_trial_is_never_claimed_again(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """Each final state spends a slot."""
        for state in ("complete", "pruned", "failed"):
            finish(engine, claim(engine, sweep), state)
        assert claims.claim_trial(engine, sweep.id, "b", HOUR_S) is None
        assert sweeps.count_trials(engine, sweep.id) == sweeps.TrialCounts(0, 0, 1, 1, 1)
        assert read_endings(engine) == [(1, "finished")] * 3

    def test_late_worker_writes_nothing(self, engine: sa.Engine, sweep: sweeps.Sweep) -> None:
        """Every write of a worker whose trial was taken over is refused."""
        late = claim(engine, sweep)
        run_out(engine, late)
        holder = claim(engine, sweep, "b")
        for write in (
            lambda: claims.renew_claim(engine, late, HOUR_S),
            lambda: claims.begin_claimed(engine, late, 9, {"lr": 9.0}),
            lambda: epochs.record_epochs(engine, late, [EPOCH]),
            lambda: finish(engine, late),
            lambda: claims.release_claim(engine, late),
        ):
            with pytest.raises(LostClaimError, match="slot 0: the claim of a ran out"):
                write()
        assert epochs.read_curve(engine, holder.trial_id) == []
        claims.renew_claim(engine, holder, HOUR_S)
        finish(engine, holder)

    def test_same_worker_does_not_pass_for_its_successor(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """A worker that claims the trial anew cannot use its old claim."""
        late = claim(engine, sweep)
        run_out(engine, late)
        claim(engine, sweep, "a")
        with pytest.raises(LostClaimError):
            claims.renew_claim(engine, late, HOUR_S)

    def test_expired_lease_that_nobody_took_still_finishes(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """A worker that was away too long loses nothing as long as nobody else began."""
        held = claim(engine, sweep)
        run_out(engine, held)
        finish(engine, held)
        assert sweeps.count_trials(engine, sweep.id).complete == 1

    def test_finish_can_be_repeated(self, engine: sa.Engine, sweep: sweeps.Sweep) -> None:
        """After a connection that broke between commit and answer the same finish is no loss."""
        held = claim(engine, sweep)
        finish(engine, held)
        finish(engine, held, "failed")
        assert sweeps.count_trials(engine, sweep.id).complete == 1

    def test_release_can_be_repeated(self, engine: sa.Engine, sweep: sweeps.Sweep) -> None:
        """Likewise."""
        held = claim(engine, sweep)
        claims.release_claim(engine, held)
        claims.release_claim(engine, held)
        assert read_endings(engine) == [(1, "released")]

    def test_claim_whose_answer_was_lost_is_no_ghost(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """The worker claims the same trial again instead of waiting for its own lease's end."""
        claimed = claims.claim_trial(cast(sa.Engine, Forgetful(engine)), sweep.id, "a", HOUR_S)
        assert claimed is not None
        assert (claimed.slot, claimed.attempt, claimed.num_lost) == (0, 2, 0)
        assert sweeps.count_trials(engine, sweep.id).running == 1
        assert read_endings(engine) == [(1, "released"), (2, None)]

    def test_leases_of_workers_known_to_be_gone_end_at_once(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """Only the leases of the workers that are gone."""
        gone, alive = claim(engine, sweep, "gone"), claim(engine, sweep, "alive")
        assert claims.expire_claims(engine, sweep.id, lambda worker: worker == "gone") == 1
        assert claim(engine, sweep, "b").trial_id == gone.trial_id
        claims.renew_claim(engine, alive, HOUR_S)

    def test_ending_of_a_process_with_several_trials_is_charged_to_none(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """It is not known whose network it was; each has lost a worker."""
        held = [claim(engine, sweep, name) for name in ("a-1", "a-2")]
        num_gone = claims.expire_claims(
            engine, sweep.id, lambda name: name.startswith("a-"), "exit code 3"
        )
        assert num_gone == 2
        again = [claim(engine, sweep, "b") for _ in held]
        assert [one.trial_id for one in again] == [one.trial_id for one in held]
        assert all(one.num_lost == 1 and not one.own_endings for one in again)

    def test_many_processes_claim_each_slot_once(
        self, engine: sa.Engine, database_url: str, tmp_path: Path
    ) -> None:
        """Four processes at once train exactly the budget, no slot twice."""
        sweep = sweeps.create_sweep(engine, "many", {}, {}, 60)
        script = tmp_path / "claim_all.py"
        script.write_text(CLAIM_ALL)
        names = [f"worker-{index}" for index in range(4)]
        lines = run_together(script, [[database_url, str(sweep.id), name] for name in names])
        claimed = [int(slot) for line in lines for slot in line.split()]
        assert sorted(claimed) == list(range(60))
        assert sweeps.count_trials(engine, sweep.id).complete == 60


def test_attempt_begins_after_the_one_that_ended_while_it_was_looked_for(
    open_database: Callable[[str], sa.Engine], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where writers do not wait for each other, one may give it back between two statements."""
    engine = open_database(postgres_url)
    sweep = sweeps.create_sweep(engine, "cnn", {}, {}, 1)
    held = claim(engine, sweep)

    def choose_late(*parts: Any) -> Any:
        claims.release_claim(engine, held)
        return choose_trial(*parts)

    monkeypatch.setattr(claims, "choose_trial", choose_late)
    claim(engine, sweep, "b")
    with engine.connect() as connection:
        query = sa.select(attempts.c.started_s, attempts.c.ended_s).order_by(attempts.c.attempt)
        first, second = connection.execute(query)
    assert first.ended_s <= second.started_s


class TestEpochs:
    """Each epoch of a trial is one row, written once."""

    def test_epochs_are_kept_as_first_recorded_and_in_order(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """Recording an epoch again, with others before it, changes nothing of it."""
        held = claim(engine, sweep)
        third = replace(EPOCH, epoch=3, train_loss=1.0)
        epochs.record_epochs(engine, held, [third])
        changed = replace(third, train_loss=9.0)
        second = replace(EPOCH, epoch=2)
        epochs.record_epochs(engine, held, [EPOCH, second, changed])
        assert epochs.read_curve(engine, held.trial_id) == [EPOCH, second, third]

    def test_epochs_are_stored_with_what_is_written_beside_or_not_at_all(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """One transaction; it tells whether the workers are to stop, too."""
        held = claim(engine, sweep)

        def fail(_connection: sa.Connection) -> None:
            raise KeyError("no such trial")

        with pytest.raises(KeyError):
            epochs.record_epochs(engine, held, [EPOCH], fail)
        assert epochs.read_curve(engine, held.trial_id) == []
        assert not epochs.record_epochs(engine, held, [EPOCH])
        sweeps.request_stop(engine, sweep.id)
        assert epochs.record_epochs(engine, held, [EPOCH])

    def test_taken_over_trial_keeps_its_curve(self, engine: sa.Engine, sweep: sweeps.Sweep) -> None:
        """The second attempt's rows follow the first's in one curve."""
        lost = claim(engine, sweep)
        epochs.record_epochs(engine, lost, [EPOCH])
        run_out(engine, lost)
        held = claim(engine, sweep, "b")
        epochs.record_epochs(engine, held, [EPOCH, replace(EPOCH, epoch=2)])
        assert [e.epoch for e in epochs.read_curve(engine, held.trial_id)] == [1, 2]

    def test_trials_are_read_with_their_best_and_last_epoch(
        self, engine: sa.Engine, sweep: sweeps.Sweep
    ) -> None:
        """With all their raw values; a trial that has not begun is not read."""
        held = claim(engine, sweep)
        claims.begin_claimed(engine, held, 4, {"lr": 0.1, "head": "relu"})
        epochs.record_epochs(engine, held, [replace(EPOCH, epoch=n) for n in (1, 2, 3)])
        claims.finish_claim(
            engine,
            held,
            state="complete",
            outcome="dead",
            reason="found nothing",
            feasible=False,
            best_epoch=2,
        )
        claim(engine, sweep)
        (row,) = epochs.read_trials(engine, sweep.id)
        assert row.best is not None
        assert row.last is not None
        assert (row.best.epoch, row.last.epoch) == (2, 3)
        assert row.best == replace(EPOCH, epoch=2)
        assert (row.number, row.outcome, row.reason) == (4, "dead", "found nothing")
        assert row.params == {"lr": 0.1, "head": "relu"}
        assert json.dumps(row.params) == '{"lr": 0.1, "head": "relu"}'
        assert row.feasible is False
        assert row.finished_s is not None
        assert row.started_s is not None
        assert row.finished_s >= row.started_s

    @pytest.mark.parametrize("objective", OBJECTIVES)
    def test_database_ranks_trials_as_the_status_does(
        self, engine: sa.Engine, objective: str
    ) -> None:
        """Complete and feasible ones only, best first, the earlier of equals first; and no more
        of them than asked for."""
        sweep = sweeps.create_sweep(engine, "cnn", {}, {}, 8)
        for loss, found, state, feasible in [
            (3.0, 3, "complete", True),
            (1.0, 0, "complete", False),
            (0.1, 4, "pruned", False),
            (2.0, 1, "complete", True),
            (2.0, 3, "complete", True),
            (9.0, 4, "complete", True),
        ]:
            held = claim(engine, sweep)
            claims.begin_claimed(engine, held, held.slot, {})
            point = OperatingPoint(REFERENCE, 0.0, 1.0).to_row()
            result = replace(EPOCH, validation_loss=loss, found=found, missed=4 - found, **point)
            epochs.record_epochs(engine, held, [replace(result, epoch=2, found=4), result])
            claims.finish_claim(
                engine,
                held,
                state=state,
                outcome=state,
                reason=None,
                feasible=feasible,
                best_epoch=1,
            )
        held = claim(engine, sweep)
        claims.begin_claimed(engine, held, held.slot, {})
        ranked = rank_trials(epochs.read_trials(engine, sweep.id), objective)
        expected = [(row.slot, get_value(row.best, objective)) for row in ranked if row.best]
        assert len(expected) == 4
        assert epochs.read_best(engine, sweep.id, get_ranking(objective), 9) == expected
        assert epochs.read_best(engine, sweep.id, get_ranking(objective), 2) == expected[:2]
        states = epochs.read_states(engine, sweep.id, [0, 2, 3, 99])
        assert states == {0: "complete", 2: "pruned", 3: "complete"}
