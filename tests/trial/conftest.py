"""Trials are trained without pictures, which take longer than the trainings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import sweep.trial.ending
from sweep.trial.pictures import draw_trial


@pytest.fixture(scope="module", autouse=True)
def without_pictures() -> Iterator[None]:
    """Draw no pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep.trial.ending, "draw_trial", lambda *_parts, **_options: [])
        yield


@pytest.fixture
def with_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw them."""
    monkeypatch.setattr(sweep.trial.ending, "draw_trial", draw_trial)
