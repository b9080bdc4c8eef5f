"""The events that a sweep asks for, opened as training and validation events.

A sweep's config keeps a selection with the fingerprints of what it gave; every worker opens the
same selection again and compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sweep.config import DataConfig, Whereabouts
from sweep.data.asked import Selection, check_selection
from sweep.data.description import compute_null_loss
from sweep.data.events import EventSet
from sweep.data.formats import open_events
from sweep.data.paths import find_files
from sweep.data.splits import (
    Split,
    drop_copies,
    pair_events,
    refuse_overlap,
    split_events,
)
from sweep.data.toy import is_cached, open_toy_events
from sweep.errors import DataError
from sweep.progress import Progress

VALIDATION_SEED_OFFSET = 2**31
"""Added to the toy seed for validation, so that more training events change none of those."""
VALIDATION_SHARE = 0.2
"""Largest share of the events of files that is set aside for validation unasked."""


def open_selection(selection: Selection, progress: Progress | None = None) -> Split:
    """Open the events that a selection asks for.

    Args:
        progress: Told how many of how many events are made or read.

    Raises:
        DataError: when a file cannot be used, there are fewer events than asked for, or an event
            is on both sides.
    """
    check_selection(selection)
    if not selection.whereabouts.files:
        return _open_toy(selection, progress)
    return _open_files(selection, progress)


def _open_toy(selection: Selection, progress: Progress | None) -> Split:
    num_train = selection.num_train or selection.max_train
    num_validation = selection.num_validation or selection.max_validation
    if num_train is None or num_validation is None:
        raise DataError(
            "events: toy events have no natural number, got none, expected one; add --events"
        )
    train = open_toy_events(num_train, selection.whereabouts.toy_seed, progress=progress)
    validation = open_toy_events(
        num_validation, selection.whereabouts.toy_seed + VALIDATION_SEED_OFFSET, progress=progress
    )
    return pair_events(train, validation)


def _open_files(selection: Selection, progress: Progress | None) -> Split:
    events = _open(selection, selection.whereabouts.files, progress)
    if selection.whereabouts.validation_files:
        validation = _open(selection, selection.whereabouts.validation_files, progress)
        num_train = selection.num_train or _bound(len(events), selection.max_train)
        num_validation = selection.num_validation or _bound(
            len(validation), selection.max_validation
        )
        return pair_events(
            events,
            validation,
            num_train=num_train,
            num_validation=num_validation,
            seed=selection.whereabouts.split_seed,
        )
    events = drop_copies(events)
    num_validation = selection.num_validation or _bound(
        max(1, int(VALIDATION_SHARE * len(events))), selection.max_validation
    )
    num_train = selection.num_train or _bound(
        max(1, len(events) - num_validation), selection.max_train
    )
    return split_events(
        events,
        num_train=num_train,
        num_validation=num_validation,
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
        train_fingerprint=split.train.fingerprint,
        validation_fingerprint=split.validation.fingerprint,
        null_loss=compute_null_loss(split.validation),
    )


def find_missing_toys(config: DataConfig) -> list[tuple[int, int]]:
    """Find which toy events of a stored sweep would have to be made again, which takes long.

    Returns:
        Number of events and seed of each set that is not in the cache; nothing for files.
    """
    if config.files:
        return []
    sets = (
        (config.num_train, config.toy_seed),
        (config.num_validation, config.toy_seed + VALIDATION_SEED_OFFSET),
    )
    return [(num_events, seed) for num_events, seed in sets if not is_cached(num_events, seed)]


def reopen_split(config: DataConfig, progress: Progress | None = None) -> Split:
    """Open the events of a stored sweep and make sure that they are the same.

    Raises:
        DataError: when a file is missing or holds other events than the sweep began with.
    """
    place = {"files": find_files(config.files)}
    place["validation_files"] = find_files(config.validation_files)
    source = config.model_copy(update=place)
    split = open_selection(Selection(source, config.num_train, config.num_validation), progress)
    for side, events, expected in (
        ("training", split.train, config.train_fingerprint),
        ("validation", split.validation, config.validation_fingerprint),
    ):
        if events.fingerprint != expected:
            raise DataError(
                f"data: the {side} events are not those of the sweep, got fingerprint "
                f"{events.fingerprint}, expected {expected}; bring the files back as they were"
            )
    return split
