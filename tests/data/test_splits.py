"""Training and validation events are disjoint, seeded and nested."""

from __future__ import annotations

import numpy as np
import pytest

from sweep.data.events import EventSet
from sweep.data.formats import open_events
from sweep.data.splits import drop_copies, pair_events, refuse_overlap, split_events
from sweep.errors import DataError
from tests.data.conftest import WriteNpz, make_arrays


@pytest.fixture
def events(write_npz: WriteNpz) -> EventSet:
    """Thirty different events."""
    x, y = make_arrays(30)
    return open_events([write_npz(X=x.astype("f2"), y=y.astype("f2"))])


def test_a_split_uses_every_event_once(events: EventSet) -> None:
    """Without a number for training all that remain are taken."""
    split = split_events(events, num_train=None, num_validation=10)
    joined = np.concatenate([split.train.hashes, split.validation.hashes])
    assert (len(split.train), len(split.validation)) == (20, 10)
    assert sorted(joined.tolist()) == sorted(events.hashes.tolist())


def test_validation_does_not_depend_on_the_number_for_training(events: EventSet) -> None:
    """Networks trained on more events are judged by the same ones."""
    splits = [split_events(events, num_train=n, num_validation=10) for n in (1, 5, 20)]
    assert len({split.validation.fingerprint for split in splits}) == 1


def test_fewer_training_events_are_the_first_of_more(events: EventSet) -> None:
    """Sample sizes nest."""
    few = split_events(events, num_train=5, num_validation=10).train
    many = split_events(events, num_train=20, num_validation=10).train
    assert few.hashes.tolist() == many.hashes[:5].tolist()


def test_the_seed_decides_the_split(events: EventSet) -> None:
    """The same seed divides the same way, another one another way."""
    prints = [
        split_events(events, num_train=5, num_validation=10, seed=seed).validation.fingerprint
        for seed in (0, 0, 1)
    ]
    assert prints[0] == prints[1] != prints[2]


def test_copies_of_validation_events_are_left_out_of_training(write_npz: WriteNpz) -> None:
    """An event that a file holds twice is never on both sides."""
    x, y = make_arrays(10)
    events = open_events([write_npz(X=np.concatenate([x, x]), y=np.concatenate([y, y]))])
    split = split_events(events, num_train=None, num_validation=5)
    assert np.intersect1d(split.train.hashes, split.validation.hashes).size == 0
    assert len(split.train) < 15


def test_copies_are_dropped_but_for_the_first(write_npz: WriteNpz) -> None:
    """So that no event counts twice in a metric; blank events stay."""
    x, y = make_arrays(4)
    blank = np.zeros_like(x[:2])
    events = open_events(
        [write_npz(X=np.concatenate([x, blank, x]), y=np.concatenate([y, y[:2], y]))]
    )
    kept = drop_copies(events)
    assert kept.hashes.tolist() == events.hashes[:6].tolist()
    assert drop_copies(kept) is kept


def test_sets_join_one_after_the_other(write_npz: WriteNpz, events: EventSet) -> None:
    """A set of two sets has the events of the first and then of the second, parts included."""
    others = open_events([write_npz("b.npz", **dict(zip("Xy", make_arrays(4, 9), strict=True)))])
    joined = events.take([2, 0]).join(others.take([3, 1]))
    x_BCL, y_BL = joined.load(np.arange(4))
    for row, (source, number) in enumerate([(events, 2), (events, 0), (others, 3), (others, 1)]):
        expected_x, expected_y = source.load([number])
        np.testing.assert_array_equal(x_BCL[row], expected_x[0])
        np.testing.assert_array_equal(y_BL[row], expected_y[0])


def test_files_that_share_events_are_refused(write_npz: WriteNpz) -> None:
    """Each event is to be given once."""
    x, y = make_arrays(6)
    first, second, third = (
        open_events([write_npz(name, X=x[some], y=y[some])])
        for name, some in (("a.npz", slice(0, 3)), ("b.npz", slice(3, 6)), ("c.npz", slice(2, 4)))
    )
    refuse_overlap([first, second])
    with pytest.raises(DataError, match=r"c\.npz: events of another file, got 1 that are also in"):
        refuse_overlap([first, second, third])


def test_blank_events_are_no_copies_of_each_other(write_npz: WriteNpz) -> None:
    """Events without any track may be on both sides, in a split and in given files."""
    x, y = make_arrays(8)
    x[::2] = 0
    events = open_events([write_npz(X=x, y=y)])
    assert len(split_events(events, num_train=None, num_validation=4).train) == 4
    assert len(pair_events(events.take([0, 1]), events.take([2, 3])).train) == 2


def test_given_files_are_used_as_they_are(events: EventSet) -> None:
    """Without numbers a pair keeps all events in their order."""
    train, validation = events.take(np.arange(20)), events.take(np.arange(20, 30))
    split = pair_events(train, validation)
    assert split.train.fingerprint == train.fingerprint
    assert split.validation.fingerprint == validation.fingerprint


def test_parts_of_given_files_nest(events: EventSet) -> None:
    """With numbers a smaller part of a given file is the beginning of a larger one."""
    train, validation = events.take(np.arange(20)), events.take(np.arange(20, 30))
    few = pair_events(train, validation, num_train=4, num_validation=3)
    many = pair_events(train, validation, num_train=12, num_validation=3)
    assert few.train.hashes.tolist() == many.train.hashes[:4].tolist()
    assert few.validation.fingerprint == many.validation.fingerprint
