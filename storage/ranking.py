"""By what trials are ranked, in the words of the table of epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from sweep.storage.tables import epochs

BEHIND = 1e6
"""Added to the value of a trial that is to come after all others; more than any objective is."""


@dataclass(frozen=True)
class Ranking:
    """By what trials are ranked: a sum of columns of their own epoch over another one.

    Attributes:
        numerator, denominator: Names of fields of `Epoch`. Without a denominator it is 1; where it
            is 0, so is the value.
        is_highest_first: Whether the highest value is the best.
        beside: Others that a trial is compared by at a rung as well.
        max_fp: Most false positives per event of a trial that may go on from a rung before others;
            None for any.
    """

    numerator: Sequence[str]
    denominator: Sequence[str]
    is_highest_first: bool
    max_fp: float | None = None
    beside: tuple[Ranking, ...] = ()

    @property
    def sign(self) -> int:
        """Factor that makes the lowest value the best one."""
        return -1 if self.is_highest_first else 1

    def make_rung_value(self) -> sa.ColumnElement[float]:
        """Give the value by which trials are compared at a rung: those over the limit come last."""
        value = self.make_value()
        if self.max_fp is None:
            return value
        worst = -BEHIND if self.is_highest_first else BEHIND
        is_over = epochs.c.false_positives > self.max_fp * epochs.c.events
        return sa.case((is_over, value + worst), else_=value)

    def make_value(self) -> sa.ColumnElement[float]:
        """Give the value as a column of a query on the epochs."""
        above, below = (
            sum((sa.cast(epochs.c[name], sa.Double) for name in names), start=sa.literal(0.0))
            for names in (self.numerator, self.denominator)
        )
        if not self.denominator:
            return above
        return sa.func.coalesce(above / sa.func.nullif(below, 0.0), 0.0)
