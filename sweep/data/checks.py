"""The rules that every chunk of events must keep before it may be cached."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.errors import DataError


class EventChecker:
    """Check the chunks of one source, one after the other, and the whole at the end."""

    def __init__(self, where: str) -> None:
        """Begin with event 0."""
        self._where = where
        self._first_event = 0
        self._found_target = False

    def check(self, x_BCL: NDArray[np.floating[Any]], y_BL: NDArray[np.floating[Any]]) -> None:
        """Check the next chunk.

        Args:
            x_BCL: Features, shape (B, 4, 4000).
            y_BL: Targets, shape (B, 4000), NaN where masked.

        Raises:
            DataError: When a feature is NaN or infinite (as float32 too), or a target is infinite
                or negative.
        """
        self._refuse_features(_make_single(x_BCL))
        y_BL = _make_single(y_BL)
        self._refuse_where(np.isinf(y_BL), y_BL, "y: inf", "finite targets, or NaN to mask")
        self._refuse_where(y_BL < 0, y_BL, "y: negative target", "targets of 0 or more")
        self._found_target = self._found_target or not bool(np.isnan(y_BL).all())
        self._first_event += len(x_BCL)

    def check_features(self, x_BCL: NDArray[np.floating[Any]]) -> None:
        """Check the next chunk of events without a target.

        Raises:
            DataError: When a feature is NaN or infinite (as float32 too).
        """
        self._refuse_features(_make_single(x_BCL))
        self._first_event += len(x_BCL)

    def finish(self) -> None:
        """Check the whole.

        Raises:
            DataError: When every bin of every event is masked.
        """
        if not self._found_target:
            raise DataError(
                f"{self._where}: y: every bin of every event is NaN, got {self._first_event} "
                "masked events, expected targets; look at how the file was made"
            )

    def _refuse_features(self, x_BCL: NDArray[np.float32]) -> None:
        self._refuse_where(~np.isfinite(x_BCL), x_BCL, "X: NaN or inf", "finite features")

    def _refuse_where(
        self, bad: NDArray[np.bool_], values: NDArray[np.floating[Any]], what: str, rule: str
    ) -> None:
        if not bad.any():
            return
        index = np.unravel_index(int(np.argmax(bad)), bad.shape)
        names = ("event", "feature", "bin") if bad.ndim == 3 else ("event", "bin")
        numbers = (int(index[0]) + self._first_event, *(int(index) for index in index[1:]))
        spot = " ".join(f"{name} {number}" for name, number in zip(names, numbers, strict=True))
        raise DataError(
            f"{self._where}: {what}, got {values[index]} at {spot}, expected {rule}; "
            "mend or leave out such events"
        )


def _make_single(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Give values as float32; those of float64 beyond it become infinite, on purpose."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)
