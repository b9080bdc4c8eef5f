"""Tables that fit any terminal: their numbers are never cut.

Where the columns do not fit side by side, each row becomes a block of lines, one for each column;
where a row must stay one line, columns are left out from the right.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from sweep.cli.console import Line
from sweep.cli.output import clean

Kind = Literal["whole", "cut", "prose"]
"""What may become of a cell: it stays whole, is cut where it is too long, or goes on below."""
Columns = Mapping[str, Kind]
GAP = 2
MIN_CUT = 8
"""Cells of a name or a device, which may be cut, show at least so much."""


class Grid:
    """A table whose rows are told as lines where it does not fit.

    Args:
        columns: Their titles, with what may become of their cells.
        has_titles: Whether the titles stand above the columns.
        is_one_line: Whether a row must stay one line.
    """

    def __init__(
        self, columns: Columns, *, has_titles: bool = True, is_one_line: bool = False
    ) -> None:
        self._columns = columns
        self._has_titles = has_titles
        self._is_one_line = is_one_line
        self._rows: list[tuple[str, ...]] = []

    def add_row(self, *cells: str) -> None:
        """Add a row of as many cells as there are columns."""
        self._rows.append(tuple(clean(cell) for cell in cells))

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        num_shown = len(self._columns)
        if self._is_one_line:
            while num_shown > 1 and self._measure(num_shown) > options.max_width:
                num_shown -= 1
        if self._is_one_line or self._measure(num_shown) <= options.max_width:
            yield self._lay_out(num_shown, options.max_width)
        else:
            yield from self._tell()

    def _measure(self, num_shown: int) -> int:
        """Measure the narrowest width at which the first columns show all that they must."""
        return sum(self._find_least(num_shown)) + GAP * (num_shown - 1)

    def _find_least(self, num_shown: int) -> list[int]:
        """Find the least width of each column."""
        least = []
        for index, (title, kind) in enumerate(list(self._columns.items())[:num_shown]):
            texts = self._list_texts(index)
            if kind == "prose":
                texts = [word for text in texts for word in text.split()]
            widest = max(map(cell_len, texts), default=0)
            least.append(min(widest, max(MIN_CUT, cell_len(title))) if kind == "cut" else widest)
        return least

    def _list_texts(self, index: int) -> list[str]:
        titles = [list(self._columns)[index]] if self._has_titles else []
        return titles + [row[index] for row in self._rows]

    def _choose_widths(self, num_shown: int, width: int) -> list[int]:
        """Choose each column's width: the widest that may be narrower gives way first."""
        least = self._find_least(num_shown)
        chosen = [max(map(cell_len, self._list_texts(index))) for index in range(num_shown)]
        for _ in range(sum(chosen) + GAP * (num_shown - 1) - width):
            room, index = max(
                (now if now > low else 0, index)
                for index, (now, low) in enumerate(zip(chosen, least, strict=True))
            )
            if not room:
                break
            chosen[index] -= 1
        return chosen

    def _lay_out(self, num_shown: int, width: int) -> Table:
        table = Table(
            box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=self._has_titles
        )
        shown = list(self._columns.items())[:num_shown]
        widths = self._choose_widths(num_shown, width)
        for (title, kind), chosen in zip(shown, widths, strict=True):
            table.add_column(
                Text(title), width=chosen, no_wrap=kind != "prose", overflow="ellipsis"
            )
        for row in self._rows:
            table.add_row(*map(Text, row[:num_shown]))
        return table

    def _tell(self) -> Iterator[Line]:
        """Give each row as lines: its first cell, below it each other one that holds something."""
        for first, *others in self._rows:
            yield Line(first)
            for title, cell in zip(list(self._columns)[1:], others, strict=True):
                if cell:
                    said = f"{title} {cell}" if title and self._has_titles else cell
                    yield Line(said, indent="  ")


def name_columns(*titles: str, cut: Collection[str] = (), prose: Collection[str] = ()) -> Columns:
    """Say of each column what may become of its cells: most hold numbers and stay whole."""
    return {
        title: "cut" if title in cut else "prose" if title in prose else "whole" for title in titles
    }
