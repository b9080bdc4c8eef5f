"""Who writes a sweep's pages: one at a time, not too often, and only when it has moved on."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from sweep.storage.changes import change_version
from sweep.storage.claims import claim_trial, release_claim
from sweep.storage.edits import Entry
from sweep.storage.errors import LostClaimError
from sweep.storage.publications import (
    Publication,
    claim_publication,
    end_publication,
    is_stale,
    outdate_pages,
    renew_publication,
)
from sweep.storage.sweeps import Sweep, create_sweep


def take(
    engine: sa.Engine, publisher: str = "a", *, every_s: float = 0.0, lease_s: float = 60.0
) -> Publication | None:
    """Try to get the right to write any sweep's pages."""
    return claim_publication(engine, None, publisher, every_s=every_s, lease_s=lease_s)


def test_pages_are_written_once_and_again_when_something_changed(
    engine: sa.Engine, sweep: Sweep
) -> None:
    """A trial that begins or is given back changes what they show."""
    publication = take(engine)
    assert publication is not None
    end_publication(engine, publication, is_whole=True)
    assert not is_stale(engine, None)
    assert take(engine) is None
    claim = claim_trial(engine, sweep.id, "w", 60.0)
    assert claim is not None
    assert is_stale(engine, "cnn")
    again = take(engine)
    assert again is not None
    end_publication(engine, again, is_whole=True)
    release_claim(engine, claim)
    assert is_stale(engine, "cnn")
    assert not is_stale(engine, "another")


def test_one_of_many_writes(engine: sa.Engine, sweep: Sweep) -> None:
    """Of eight that ask at once."""
    found: list[Publication | None] = []
    start = threading.Barrier(8)

    def ask(name: str) -> None:
        start.wait()
        found.append(take(engine, name))

    threads = [threading.Thread(target=ask, args=(f"p{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len([right for right in found if right is not None]) == 1


def test_young_pages_are_left_alone(engine: sa.Engine, sweep: Sweep) -> None:
    """The rate is bounded, whoever asks."""
    publication = take(engine)
    assert publication is not None
    end_publication(engine, publication, is_whole=False)
    assert take(engine, "b", every_s=3600.0) is None
    assert take(engine, "b", every_s=0.0) is not None


def test_lost_publisher_is_replaced(engine: sa.Engine, sweep: Sweep) -> None:
    """Whoever was away too long learns it before writing on."""
    lost = take(engine, "a", lease_s=-1.0)
    assert lost is not None
    heir = take(engine, "b")
    assert heir is not None
    with pytest.raises(LostClaimError, match="another process writes them"):
        renew_publication(engine, lost, 60.0)
    with pytest.raises(LostClaimError, match="another process writes them"):
        end_publication(engine, lost, is_whole=True)
    renew_publication(engine, heir, 60.0)
    end_publication(engine, heir, is_whole=True)
    assert not is_stale(engine, None)


def test_change_while_pages_are_written_is_seen(engine: sa.Engine, sweep: Sweep) -> None:
    """What is noted as shown is what was there when the writing began."""
    publication = take(engine)
    assert publication is not None
    claim_trial(engine, sweep.id, "w", 60.0)
    end_publication(engine, publication, is_whole=True)
    assert is_stale(engine, None)


def test_pages_that_are_outdated_while_they_are_written_are_written_again(
    engine: sa.Engine, sweep: Sweep
) -> None:
    """By a new version of the sweep, or by whatever else no trial shows."""
    entry = Entry("anna", "began version 2")
    for outdate in (
        lambda: outdate_pages(engine, ["cnn"]),
        lambda: change_version(engine, sweep, {"lr": 1}, first_slot=0, entry=entry),
    ):
        publication = take(engine)
        assert publication is not None
        outdate()
        end_publication(engine, publication, is_whole=True)
        assert is_stale(engine, "cnn")
    publication = take(engine)
    assert publication is not None
    end_publication(engine, publication, is_whole=True)
    assert not is_stale(engine, "cnn")


def test_sweep_that_waited_longest_is_first(engine: sa.Engine, sweep: Sweep) -> None:
    """One that cannot be written does not keep the others from it."""
    create_sweep(engine, "mlp", {}, {}, 1)
    first = take(engine)
    assert first is not None
    end_publication(engine, first, is_whole=False)
    second = take(engine)
    assert second is not None
    assert (first.sweep, second.sweep) == ("cnn", "mlp")
