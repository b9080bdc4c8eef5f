"""A search of four trials, and what it comes to where nothing disturbs it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from workers import work

from sweep.trial.session import Session

MakeSession = Callable[..., Session]
NUM_TRIALS, NUM_EPOCHS = 4, 4


@pytest.fixture(scope="session")
def make_pausing(make_session: MakeSession) -> MakeSession:
    """Make a sweep of four trials whose rungs are the epochs 1, 2 and 4."""

    def make(url: str | None = None, *, pruner: str = "rungs", sampler: str = "random") -> Session:
        return make_session(
            url,
            trials=NUM_TRIALS,
            epochs=NUM_EPOCHS,
            grace_events=24,
            pruner=pruner,
            sampler=sampler,
            fixed=("batch_size=12",),
        )

    return make


@pytest.fixture(scope="session")
def whole(make_pausing: MakeSession) -> Session:
    """The same trials, each trained to its end without a pause."""
    session = make_pausing(pruner="none")
    work(session)
    return session
