"""Training, validation and test events that share no event."""

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
        train: At least one event.
        validation: At least one event; none of them is also in `train`.
        test: The third part, which nothing is trained with or chosen by; None where there is none
            or it was not opened.
    """

    train: EventSet
    validation: EventSet
    test: EventSet | None = None


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


def split_events(
    events: EventSet,
    *,
    num_train: int | None,
    num_validation: int,
    num_test: int = 0,
    seed: int = 0,
) -> Split:
    """Divide one set by a seeded permutation.

    The validation events depend on the seed and `num_validation` only, the test events follow them;
    those of a smaller `num_train` are the first of a larger one. Events with the same features as
    one of these (copies) are left out of the training events. Blank events (all features zero) say
    nothing and are no copies of each other.

    Args:
        num_train: Training events wanted, at least 1, or None for all that remain.
        num_validation: Validation events wanted, at least 1.
        num_test: Events of the third part wanted; none by default.
        seed: Seed of the permutation, at least 0.

    Returns:
        The sets, in permuted order.

    Raises:
        DataError: When a count is below 1 or there are fewer events than asked for.
    """
    where = _name(events)
    _check_count("val-events", num_validation)
    if num_train is not None:
        _check_count("events", num_train)
    order = np.random.default_rng(seed).permutation(len(events))
    num_held_out = num_validation + num_test
    validation, test = order[:num_validation], order[num_validation:num_held_out]
    rest = order[num_held_out:]
    hashes = events.hashes
    held_out = hashes[order[:num_held_out]]
    copies = np.isin(hashes[rest], held_out[held_out != compute_blank_hash()])
    rest = rest[~copies]
    wanted = 1 if num_train is None else num_train
    if len(validation) + len(test) < num_held_out or len(rest) < wanted:
        copied = f" ({copies.sum()} copies of validation events left out)" if copies.any() else ""
        tested = f", {num_test} for the test" if num_test else ""
        raise DataError(
            f"{where}: fewer events than asked, got {len(events)}{copied}, expected at least "
            f"{wanted} for training and {num_validation} for validation{tested}; ask for fewer "
            "or give more files"
        )
    train = rest if num_train is None else rest[:num_train]
    return Split(
        events.take(train), events.take(validation), events.take(test) if num_test else None
    )


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
            the beginning of a larger one; None for all, in their own order.
        num_validation: The same for `validation`.
        seed: Seed of the permutations, at least 0.

    Returns:
        The two sets.

    Raises:
        DataError: When an event is on both sides (blank ones aside), a count is below 1, or there
            are fewer events than asked for.
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
        take_some(train, "events", num_train, seed),
        take_some(validation, "val-events", num_validation, seed),
    )


def count_shared(events: EventSet, others: EventSet) -> int:
    """Count the events that are also in another set; blank ones are no copies of each other."""
    shared = np.intersect1d(events.hashes, others.hashes)
    return int(np.isin(events.hashes, shared[shared != compute_blank_hash()]).sum())


def take_some(events: EventSet, option: str, wanted: int | None, seed: int) -> EventSet:
    """Take some events by a seeded permutation, in which fewer are the beginning of more.

    Raises:
        DataError: when there are fewer than asked for, or less than one is.
    """
    if wanted is None:
        return events
    _check_count(option, wanted)
    if len(events) < wanted:
        raise DataError(
            f"{_name(events)}: fewer events than asked, got {len(events)}, expected at "
            f"least {wanted}; ask for fewer or give more files"
        )
    return events.take(np.random.default_rng(seed).permutation(len(events))[:wanted])


def _check_count(option: str, value: int) -> None:
    if value < 1:
        raise DataError(f"{option}: got {value}, expected at least 1; ask for more")


def _name(events: EventSet) -> str:
    return " + ".join(events.labels)
