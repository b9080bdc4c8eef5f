"""By what trials are ranked, in the words of the table of epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from sweep.storage.tables import epochs


@dataclass(frozen=True)
class Ranking:
    """By what trials are ranked: a sum of columns of their own epoch over another one.

    Attributes:
        numerator, denominator: Names of fields of `Epoch`. Without a denominator it is 1; where it
            is 0, so is the value.
        is_highest_first: Whether the highest value is the best.
    """

    numerator: Sequence[str]
    denominator: Sequence[str]
    is_highest_first: bool

    def make_value(self) -> sa.ColumnElement[float]:
        """Give the value as a column of a query on the epochs."""
        above, below = (
            sum((sa.cast(epochs.c[name], sa.Double) for name in names), start=sa.literal(0.0))
            for names in (self.numerator, self.denominator)
        )
        if not self.denominator:
            return above
        return sa.func.coalesce(above / sa.func.nullif(below, 0.0), 0.0)
