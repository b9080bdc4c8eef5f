"""A search that ends before its budget: what is taken out of it, and how it goes on."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from sweep.storage import sweeps
from sweep.storage.claims import claim_trial
from sweep.storage.flatness import end_flat, set_stop_when_flat
from sweep.storage.points import add_points
from sweep.storage.sweeps import Flat, Sweep, change_budget, count_trials, find_sweep


@pytest.fixture
def sweep(engine: sa.Engine) -> Sweep:
    """A sweep of five trials that may end early, two of which have begun."""
    made = sweeps.create_sweep(engine, "cnn", {}, {}, 5)
    for worker in ("a", "b"):
        claim_trial(engine, made.id, worker, 3600.0)
    return set_stop_when_flat(engine, made, stop=True)


def test_what_is_not_begun_leaves_the_budget(engine: sa.Engine, sweep: Sweep) -> None:
    """Trials in hand stay; why it ended is the first one's word, and the count is exact."""
    assert end_flat(engine, sweep.id, "no gain") == 3
    assert end_flat(engine, sweep.id, "another") == 0
    told = find_sweep(engine, "cnn")
    assert (told.budget, told.flat) == (2, Flat("no gain", 5))
    assert count_trials(engine, sweep.id).running == 2
    assert claim_trial(engine, sweep.id, "c", 3600.0) is None


def test_starting_points_are_tried_all_the_same(engine: sa.Engine, sweep: Sweep) -> None:
    """However soon a search is flat."""
    assert end_flat(engine, sweep.id, "no gain", first_slot=4) == 1
    assert count_trials(engine, sweep.id).waiting == 2


def test_a_persons_own_point_is_tried_all_the_same(engine: sa.Engine, sweep: Sweep) -> None:
    """What somebody asked for is no trial that the search would choose."""
    add_points(engine, sweep, [{"lr": 0.1}], 0)
    assert end_flat(engine, sweep.id, "no gain") == 2
    claim = claim_trial(engine, sweep.id, "c", 3600.0)
    assert claim is not None
    assert claim.point == {"lr": 0.1}


def test_who_finds_it_flat_too_late_ends_nothing(engine: sa.Engine, sweep: Sweep) -> None:
    """A worker asks the model for seconds: meanwhile the budget was raised, or it shall go on."""
    end_flat(engine, sweep.id, "no gain")
    change_budget(engine, sweep.id, 6)
    assert end_flat(engine, sweep.id, "no gain, found before") == 0
    told = find_sweep(engine, "cnn")
    assert (told.budget, told.flat) == (6, None)
    assert count_trials(engine, sweep.id).waiting == 4


def test_a_flat_search_goes_on_where_that_is_asked(engine: sa.Engine, sweep: Sweep) -> None:
    """With its budget of before, or with another; neither ends at once for the same reason."""
    end_flat(engine, sweep.id, "no gain")
    again = set_stop_when_flat(engine, find_sweep(engine, "cnn"), stop=False)
    assert (again.budget, again.flat, again.stops_when_flat) == (5, None, False)
    assert count_trials(engine, sweep.id).waiting == 3
    set_stop_when_flat(engine, again, stop=True)
    end_flat(engine, sweep.id, "no gain")
    assert change_budget(engine, sweep.id, 4) == 4
    further = find_sweep(engine, "cnn")
    assert (further.flat, further.stops_when_flat) == (None, False)
