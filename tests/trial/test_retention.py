"""What is kept of a finished trial."""

from __future__ import annotations

from collections.abc import Callable

from made import make_epoch
from workers import end_trial

from sweep.trial.retention import is_to_be_pictured
from sweep.trial.session import Session


def test_a_tie_with_the_best_is_pictured(
    make_session: Callable[..., Session], sqlite_url: str
) -> None:
    """The earlier slot of equals is the best, and may be the later to end."""
    session = make_session(sqlite_url, trials=2, epochs=1, objective="efficiency")
    assert is_to_be_pictured(session, 0.1)
    params = {"lr": 1e-3, "hidden_size": 4, "beta1": 0.9, "beta2": 0.99, "batch_size": 12}
    end_trial(session, params, [make_epoch(found=40, true=50)])
    assert [is_to_be_pictured(session, value) for value in (0.7, 0.8, 0.9)] == [False, True, True]
