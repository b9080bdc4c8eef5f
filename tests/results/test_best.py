"""Which trial is the best, and what is said where none is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from workers import end_trial

from sweep.cli.live import LiveView
from sweep.storage.tables import Epoch
from sweep.storage.workers import enter_worker
from sweep.trial.session import Session

HIGH = Epoch(1, 24, 0.2, 683.0, 12, 30, 20, 30, 900, 1e-3, 0.5)
"""An epoch that finds 30 of 50 peaks, with 75 false ones an event and a loss beyond all bounds."""


def finish(session: Session, epoch: Epoch, outcome: str) -> None:
    """Have one trial end with this epoch as an earlier version would have stored it."""
    enter_worker(session.engine, "w", "cpu")
    end_trial(session, {"hidden_size": 4}, [epoch], outcome=outcome)


@pytest.mark.parametrize("outcome", ["complete", "dead"])
def test_loss_above_the_null_loss_is_never_best(
    make_session: Callable[..., Session], call: Callable[..., Any], sqlite_url: str, outcome: str
) -> None:
    """Nor where an earlier version called it complete: `best` says why, and what to try."""
    finish(make_session(sqlite_url), HIGH, outcome)
    answer = call("best", "--storage", sqlite_url)
    assert answer.code == 1
    assert "got 1 of 1 finished trial dead (no true peak found, or a loss at" in answer.err
    for cure in ("train the trials that wait", "--epochs 6", "--objective efficiency"):
        assert cure in answer.err
    assert '"best": null' in call("status", "--storage", sqlite_url, "--json").out


def test_nothing_is_best_before_a_trial_has_finished(
    make_session: Callable[..., Session], call: Callable[..., Any], sqlite_url: str
) -> None:
    """That is no reason to change the sweep."""
    make_session(sqlite_url)
    answer = call("best", "--storage", sqlite_url)
    assert (answer.code, answer.out) == (1, "")
    assert "got none finished yet, expected one that lives; let more trials train" in answer.err


def test_ten_dead_trials_are_told_at_once(
    make_session: Callable[..., Session],
    sqlite_url: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where none lives among the first ten, it is said while the others train, once."""
    session = make_session(sqlite_url, trials=12)
    with LiveView(session.engine, session.sweep) as view:
        for number in range(1, 12):
            finish(session, HIGH, "dead")
            view.update()
            assert ("The first 10 trials are all dead. No best" in capsys.readouterr().err) == (
                number == 10
            )
