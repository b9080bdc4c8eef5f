"""The best trials of a search by what all of them say, and not by their own luck."""

from __future__ import annotations

from collections.abc import Callable

from workers import end_trial

from sweep.results.candidates import list_candidates
from sweep.results.levels import rank_by_level, say_expected_best
from sweep.results.status import Status, read_status
from sweep.storage.epochs import read_curves
from sweep.storage.sweeps import find_sweep
from sweep.storage.tables import Epoch
from sweep.trial.session import Session

NUM_TRIALS = 24
LUCKY = 22
"""Slot of a trial that comes out best among the worst."""


def finish_all(session: Session) -> Status:
    """Finish all trials of a sweep: the loss rises with the rate, but for a lucky one."""
    for slot in range(NUM_TRIALS):
        lr = 10 ** (-3.9 + 1.8 * slot / NUM_TRIALS)
        params = {"lr": lr, "hidden_size": 4, "beta1": 0.9, "beta2": 0.99, "batch_size": 12}
        loss = 0.0295 if slot == LUCKY else 0.03 * (1 + slot / 40) + 0.0002 * (slot % 3)
        end_trial(session, params, [Epoch(1, 9, 2.0, loss, 9, 5, 4, 5, 1, lr, 0.5)])
    return read_status(session.engine, find_sweep(session.engine, session.sweep.name))


def test_lucky_trial_is_not_all_that_is_confirmed(
    make_session: Callable[..., Session], sqlite_url: str
) -> None:
    """By its level it is behind those whose neighbours are good, which are confirmed beside it."""
    fixed = ("batch_size=12", "hidden_size=4", "beta1=0.9", "beta2=0.99")
    session = make_session(sqlite_url, trials=NUM_TRIALS, epochs=1, fixed=fixed)
    status = finish_all(session)
    assert status.ranked[0].slot == LUCKY
    curves = read_curves(session.engine, status.sweep.id)
    by_level = rank_by_level(status, curves)
    places = [row.slot for row in by_level]
    assert sorted(places) == list(range(NUM_TRIALS))
    assert places.index(LUCKY) > NUM_TRIALS // 3
    chosen = [one.trial for one in list_candidates(status, 3, {}, by_level)]
    assert chosen == [LUCKY, *places[:2]]
    told = say_expected_best(status, curves)
    assert f"trial {by_level[0].number} is expected" in told
    assert f"again than trial {status.ranked[0].number}, whose" in told
