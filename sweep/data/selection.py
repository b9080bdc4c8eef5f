"""The events that a sweep asks for, opened as training and validation events.

A sweep's config keeps a selection with the fingerprints of what it gave; every worker opens the
same selection again and compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from sweep.config import DataConfig, Whereabouts
from sweep.data.asked import TOY_VERSION, Selection, check_selection
from sweep.data.description import compute_null_loss
from sweep.data.events import EventSet
from sweep.data.formats import open_events
from sweep.data.paths import find_files
from sweep.data.progress import Progress
from sweep.data.splits import (
    Split,
    count_shared,
    drop_copies,
    pair_events,
    refuse_overlap,
    split_events,
    take_some,
)
from sweep.data.toy import is_cached, open_toy_events
from sweep.errors import DataError

VALIDATION_SEED_OFFSET = 2**31
"""Added to the toy seed for validation, so that more training events change none of those."""
VALIDATION_SHARE = 0.2
"""Largest share of the events of files that is set aside for validation unasked."""
TEST_SEED_OFFSET = 3 * 2**30
"""The same as for validation, for the third part."""
TEST_SHARE = 0.1
"""Largest share of the events of files that becomes the third part unasked."""


def open_selection(
    selection: Selection,
    progress: Progress | None = None,
    *,
    with_test: bool = True,
) -> Split:
    """Open the events that a selection asks for.

    Args:
        with_test: Whether to open the third part, too: it is only when a sweep begins, for its
            fingerprint, and for the winner.

    Raises:
        DataError: when a file cannot be used, there are fewer events than asked for, or an event
            is on both sides.
    """
    check_selection(selection)
    if not selection.whereabouts.files:
        split = _open_toy(selection, progress, with_test)
    else:
        split = _open_files(selection, progress, with_test)
    return split if with_test else replace(split, test=None)


def _open_toy(selection: Selection, progress: Progress | None, with_test: bool) -> Split:
    num_train = selection.num_train or selection.max_train
    num_validation = selection.num_validation or selection.max_validation
    if num_train is None or num_validation is None:
        raise DataError(
            "events: toy events have no natural number, got none, expected one; add --events"
        )
    version = selection.whereabouts.toy_version
    open_set = partial(open_toy_events, version=version, progress=progress)
    first_seed = selection.whereabouts.toy_seed
    train = open_set(num_train, first_seed)
    validation = open_set(num_validation, first_seed + VALIDATION_SEED_OFFSET)
    split = pair_events(train, validation)
    num_test = selection.num_test or min(selection.max_test, num_validation)
    if not num_test or not with_test:
        return split
    return _add_test(split, open_set(num_test, first_seed + TEST_SEED_OFFSET))


def _open_files(selection: Selection, progress: Progress | None, with_test: bool) -> Split:
    if not selection.whereabouts.test_files:
        return _divide_files(selection, progress)
    whole = replace(selection, num_test=None, max_test=0)
    split = _divide_files(whole, progress)
    if not with_test:
        return split
    test = _open(selection, selection.whereabouts.test_files, progress)
    wanted = selection.num_test or len(test)
    seed = selection.whereabouts.split_seed
    return _add_test(split, take_some(test, "test-events", wanted, seed))


def _add_test(split: Split, test: EventSet) -> Split:
    """Add the third part; none of its events may be in the other two.

    Raises:
        DataError: when one is (blank ones aside).
    """
    for side, events in (("training", split.train), ("validation", split.validation)):
        num_shared = count_shared(test, events)
        if num_shared:
            raise DataError(
                f"{' + '.join(test.labels)}: not set aside, got {num_shared} test events that are "
                f"among the {side} events, expected none; test on other events"
            )
    return replace(split, test=test)


def _count_test(selection: Selection, available: int, taken: int) -> int:
    """Count the events of the third part; unasked it takes none that were asked for."""
    if selection.num_test is not None:
        return selection.num_test
    left = max(0, available - taken - (selection.num_train or 1))
    return min(int(TEST_SHARE * available), selection.max_test, left)


def _divide_files(selection: Selection, progress: Progress | None) -> Split:
    """Divide the files of training and validation, the third part out of those of training."""
    events = _open(selection, selection.whereabouts.files, progress)
    if selection.whereabouts.validation_files:
        validation = _open(selection, selection.whereabouts.validation_files, progress)
        num_test = _count_test(selection, len(events), 0)
        test = None
        if num_test:
            parts = split_events(
                events,
                num_train=None,
                num_validation=num_test,
                seed=selection.whereabouts.split_seed,
            )
            events, test = parts.train, parts.validation
        num_train = selection.num_train or _bound(len(events), selection.max_train)
        num_validation = selection.num_validation or _bound(
            len(validation), selection.max_validation
        )
        split = pair_events(
            events,
            validation,
            num_train=num_train,
            num_validation=num_validation,
            seed=selection.whereabouts.split_seed,
        )
        return split if test is None else _add_test(split, test)
    events = drop_copies(events)
    num_validation = selection.num_validation or _bound(
        max(1, int(VALIDATION_SHARE * len(events))), selection.max_validation
    )
    num_test = _count_test(selection, len(events), num_validation)
    num_train = selection.num_train or _bound(
        max(1, len(events) - num_validation - num_test), selection.max_train
    )
    return split_events(
        events,
        num_train=num_train,
        num_validation=num_validation,
        num_test=num_test,
        seed=selection.whereabouts.split_seed,
    )


def _open(selection: Selection, files: tuple[str, ...], progress: Progress | None) -> EventSet:
    paths = [Path(name) for name in files]

    def read(some: Sequence[Path]) -> EventSet:
        return open_events(
            some,
            x_key=selection.whereabouts.x_key,
            y_key=selection.whereabouts.y_key,
            variant=selection.whereabouts.variant,
            progress=progress,
        )

    events = read(paths)  # each is converted once and then only mapped
    refuse_overlap([read([path]) for path in paths])
    return events


def _bound(available: int, largest: int | None) -> int:
    return available if largest is None else min(available, largest)


def describe_split(selection: Selection, split: Split) -> DataConfig:
    """Give what a sweep's config keeps of a selection and the events that it gave."""
    found = {name: getattr(selection.whereabouts, name) for name in Whereabouts.model_fields}
    return DataConfig(
        **found,
        num_train=len(split.train),
        num_validation=len(split.validation),
        num_test=len(split.test) if split.test else None,
        train_fingerprint=split.train.fingerprint,
        validation_fingerprint=split.validation.fingerprint,
        test_fingerprint=split.test.fingerprint if split.test else None,
        null_loss=compute_null_loss(split.validation),
    )


def find_missing_toys(config: DataConfig) -> list[tuple[int, int]]:
    """Find which toy events of a stored sweep would have to be made again, which takes long.

    Returns:
        Number of events and seed of each set that is not in the cache; nothing for files, and for
        those of an earlier version, which nobody makes.
    """
    if config.files or config.toy_version != TOY_VERSION:
        return []
    sets = (
        (config.num_train, config.toy_seed),
        (config.num_validation, config.toy_seed + VALIDATION_SEED_OFFSET),
    )
    return [one for one in sets if not is_cached(*one, config.toy_version)]


def reopen_split(config: DataConfig, progress: Progress | None = None) -> Split:
    """Open the training and validation events of a stored sweep, and see that they are the same.

    Raises:
        DataError: when a file is missing or holds other events than the sweep began with.
    """
    return _reopen(config, progress, with_test=False)


def reopen_test(config: DataConfig, progress: Progress | None = None) -> EventSet:
    """Open the third part of a stored sweep's events, which is for its winner alone.

    Raises:
        DataError: when there is none, a file is missing or it holds other events.
    """
    test = _reopen(config, progress, with_test=True).test
    if test is None:
        raise DataError(
            "data: no third part, got a sweep that set none aside, expected one that did when it "
            "began; start a new sweep with --sweep"
        )
    return test


def _reopen(config: DataConfig, progress: Progress | None, *, with_test: bool) -> Split:
    place = {"files": find_files(config.files)}
    place["validation_files"] = find_files(config.validation_files)
    place["test_files"] = find_files(config.test_files) if with_test else config.test_files
    found = config.model_copy(update=place)
    selection = Selection(found, config.num_train, config.num_validation, num_test=config.num_test)
    split = open_selection(selection, progress, with_test=with_test)
    for side, events, expected in (
        ("training", split.train, config.train_fingerprint),
        ("validation", split.validation, config.validation_fingerprint),
        ("test", split.test, config.test_fingerprint),
    ):
        if events is not None and events.fingerprint != expected:
            raise DataError(
                f"data: the {side} events are not those of the sweep, got fingerprint "
                f"{events.fingerprint}, expected {expected}; bring the files back as they were"
            )
    return split
