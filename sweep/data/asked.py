"""Which events a sweep asks for, checked before any is read; loads nothing that reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweep.config import Whereabouts
from sweep.data.paths import check_counts, check_paths
from sweep.errors import DataError

TOY_VERSION = 2
"""Of the toy events that are made. Those of 1 had the same tracks and vertices, and a density that
was climbed to from each bin's grid."""


@dataclass(frozen=True)
class Selection:
    """How many events are asked for, and where they are.

    Attributes:
        whereabouts: Of them.
        num_train, num_validation: Numbers of events asked for, or None.
        num_test: Events of the third part asked for, or None.
        max_test: Where no number is asked for, its largest; 0 for no third part.
        max_train, max_validation: Where no number is asked for, take as many as there are but no
            more than this; None for no bound.
    """

    whereabouts: Whereabouts
    num_train: int | None = None
    num_validation: int | None = None
    max_train: int | None = None
    max_validation: int | None = None
    num_test: int | None = None
    max_test: int = 0


def check_selection(selection: Selection) -> None:
    """Refuse what is wrong whatever the files hold.

    Raises:
        DataError: when a number is too low or a file is missing.
    """
    check_counts(selection.num_train, selection.num_validation, selection.num_test)
    whereabouts = selection.whereabouts
    for option, files in (
        ("val-data", whereabouts.validation_files),
        ("test-data", whereabouts.test_files),
    ):
        if files and not whereabouts.files:
            raise DataError(
                f"{option}: without training files, got {files[0]}, expected --data too; name the "
                "training files"
            )
    names = (*whereabouts.files, *whereabouts.validation_files, *whereabouts.test_files)
    check_paths([Path(name) for name in names])
