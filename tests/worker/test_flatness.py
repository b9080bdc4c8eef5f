"""A search is asked whether a further trial pays, as a worker asks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from workers import take

from sweep.config import MODEL
from sweep.metrics.table import FRONT
from sweep.plan.changes import AskedChange, change_sweep
from sweep.search.suggestion import fix_point, suggest
from sweep.storage import studies
from sweep.storage.claims import begin_claimed
from sweep.storage.epochs import record_epochs
from sweep.storage.sweeps import find_sweep
from sweep.storage.tables import Epoch
from sweep.trial.session import Session, renew_session
from sweep.worker.flatness import find_flatness

NUM_TRIALS = 30


def begin_all(session: Session, label: str, gain: int = 0) -> None:
    """Begin all trials of a sweep with one architecture; none is better than another by its loss.

    Args:
        gain: How many peaks of a hundred are found more with each number of hidden size.
    """
    study = studies.load_study(session.study_storage, session.sweep.name)
    part, rng = session.narrow(label), np.random.default_rng(3)
    for slot in range(NUM_TRIALS):
        claim = take(session)
        point = {"hidden_size": 1 + slot % 8}
        fixed = {MODEL: label, **fix_point(point, part.space, part.names)}
        trial = studies.begin_trial(study, slot, fixed, is_first=True)
        params = {MODEL: trial.suggest_categorical(MODEL, list(session.architectures))}
        params |= suggest(trial, part.space, point, part.names)
        begin_claimed(session.engine, claim, trial.number, params)
        loss, found = 0.03 * np.exp(0.02 * rng.standard_normal()), 20 + gain * (1 + slot % 8)
        epoch = Epoch(1, 100, 2.0, loss, 100, found, 100 - found, found, 5, 1e-3, 0.5)
        record_epochs(session.engine, claim, [epoch])
        studies.report_epochs(trial, {1: loss})


def test_search_is_not_flat_where_a_change_is_not_looked_at(
    make_session: Callable[..., Session], sqlite_url: str
) -> None:
    """One of several that had few trials is left out, but not where a person just changed it."""
    fixed = ("batch_size=12", "lr=0.05", "beta1=0.9", "beta2=0.99")
    session = make_session(sqlite_url, "MyNet,FaintNet", trials=NUM_TRIALS, epochs=1, fixed=fixed)
    begin_all(session, "MyNet")
    assert find_flatness(session) is not None
    asked = AskedChange(("FaintNet.hidden_size=9:20",))
    change_sweep(session.engine, session.sweep, asked, "anna")
    changed = renew_session(session, find_sweep(session.engine, session.sweep.name))
    assert find_flatness(changed) is None


@pytest.mark.parametrize(("gain", "is_flat"), [(0, True), (5, False)])
def test_search_on_a_front_is_not_flat_where_one_of_its_aims_is_not(
    make_session: Callable[..., Session], sqlite_url: str, gain: int, *, is_flat: bool
) -> None:
    """More peaks may be found yet, though no loss is lower than another."""
    fixed = ("batch_size=12", "lr=0.05", "beta1=0.9", "beta2=0.99")
    session = make_session(
        sqlite_url, "MyNet", trials=NUM_TRIALS, epochs=1, fixed=fixed, objective=FRONT
    )
    begin_all(session, "MyNet", gain)
    assert (find_flatness(session) is not None) == is_flat
