"""Which events a sweep asks for, checked before any is read; loads nothing that reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweep.config import Whereabouts
from sweep.data.paths import check_counts, check_paths
from sweep.errors import DataError


@dataclass(frozen=True)
class Selection:
    """How many events are asked for, and where they are.

    Attributes:
        whereabouts: Of them.
        num_train, num_validation: Numbers of events asked for, or None.
        max_train, max_validation: Where no number is asked for, take as many as there are but no
            more than this; None for no bound.
    """

    whereabouts: Whereabouts
    num_train: int | None = None
    num_validation: int | None = None
    max_train: int | None = None
    max_validation: int | None = None


def check_selection(selection: Selection) -> None:
    """Refuse what is wrong whatever the files hold.

    Raises:
        DataError: when a number is too low or a file is missing.
    """
    check_counts(selection.num_train, selection.num_validation)
    whereabouts = selection.whereabouts
    if whereabouts.validation_files and not whereabouts.files:
        raise DataError(
            f"val-data: without training files, got {whereabouts.validation_files[0]}, expected "
            "--data too; name the training files"
        )
    check_paths([Path(name) for name in (*whereabouts.files, *whereabouts.validation_files)])
