"""Training and validation events that share no event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sweep.data.events import EventSet
from sweep.data.store import compute_blank_hash
from sweep.errors import DataError


@dataclass(frozen=True)
class Split:
    """Events to learn from and events to judge by, disjoint by content.

    Attributes:
    """

    train: EventSet
    validation: EventSet


def drop_copies(events: EventSet) -> EventSet:
    """Keep the first of all events with the same features; blank ones are no copies."""
    hashes = events.hashes
    is_first = np.zeros(len(events), bool)
    is_first[np.unique(hashes, return_index=True)[1]] = True
    is_kept = is_first | (hashes == compute_blank_hash())
    return events if is_kept.all() else events.take(np.flatnonzero(is_kept))


def refuse_overlap(files: Sequence[EventSet]) -> None:
    """Make sure that no event stands in two files.

    Raises:
        DataError: when one does (blank ones aside).
    """
    for number, later in enumerate(files):
        for earlier in files[:number]:
            num_shared = count_shared(later, earlier)
            if num_shared:
                raise DataError(
                    f"{_name(later)}: events of another file, got {num_shared} that are "
                    f"also in {_name(earlier)}, expected none; give each event once"
                )


def split_events(events: EventSet, *, num_train: int, num_validation: int, seed: int = 0) -> Split:
    """Divide one set by a seeded permutation.

    The validation events depend on the seed and `num_validation` only; those of a smaller
    `num_train` are the first of a larger one.

    Args:
        events: What to divide; no event twice (`drop_copies`).

    Returns:
        The two sets, in permuted order.

    Raises:
        DataError: When there are fewer events than asked for.
    """
    if len(events) < num_train + num_validation:
        raise DataError(
            f"{_name(events)}: fewer events than asked, got {len(events)}, expected at least "
            f"{num_train} for training and {num_validation} for validation; ask for fewer or give "
            "more files"
        )
    order = np.random.default_rng(seed).permutation(len(events))
    train = order[num_validation : num_validation + num_train]
    return Split(events.take(train), events.take(order[:num_validation]))


def pair_events(
    train: EventSet,
    validation: EventSet,
    *,
    num_train: int | None = None,
    num_validation: int | None = None,
    seed: int = 0,
) -> Split:
    """Use given sets for training and validation; none of their events may be in both.

    Args:
        num_train: How many of `train` to use, by a seeded permutation in which a smaller number is
            the beginning of a larger one, at least 1; None for all, in their own order.
        num_validation: The same for `validation`.

    Raises:
        DataError: When an event is on both sides (blank ones aside), or there are fewer events than
            asked for.
    """
    shared = np.intersect1d(train.hashes, validation.hashes)
    shared = shared[shared != compute_blank_hash()]
    if shared.size:
        in_train = np.flatnonzero(np.isin(train.hashes, shared))
        in_validation = np.flatnonzero(np.isin(validation.hashes, shared))
        twin = in_validation[validation.hashes[in_validation] == train.hashes[in_train[0]]][0]
        raise DataError(
            f"{_name(validation)}: the same event on both sides, got {in_validation.size} "
            f"validation events that are among the training events (event {twin} is event "
            f"{in_train[0]} of {_name(train)}), expected none; validate on other events"
        )
    return Split(
        _take_some(train, num_train, seed),
        _take_some(validation, num_validation, seed),
    )


def count_shared(events: EventSet, others: EventSet) -> int:
    """Count the events that are also in another set; blank ones are no copies of each other."""
    shared = np.intersect1d(events.hashes, others.hashes)
    return int(np.isin(events.hashes, shared[shared != compute_blank_hash()]).sum())


def _take_some(events: EventSet, wanted: int | None, seed: int) -> EventSet:
    if wanted is None:
        return events
    if len(events) < wanted:
        raise DataError(
            f"{_name(events)}: fewer events than asked, got {len(events)}, expected at "
            f"least {wanted}; ask for fewer or give more files"
        )
    return events.take(np.random.default_rng(seed).permutation(len(events))[:wanted])


def _name(events: EventSet) -> str:
    return " + ".join(events.labels)
