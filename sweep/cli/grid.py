"""Tables that fit any terminal: their numbers are never cut.

Where the columns do not fit side by side, each row becomes a block of lines, one for each column;
where a row must stay one line, columns are left out from the right. Columns that can be spared are
left out before either, from the right.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from sweep.cli.console import Line
from sweep.cli.output import clean

Kind = Literal["whole", "cut", "prose", "spare"]
"""What may become of a cell: it stays whole, is cut where it is too long, goes on below, or is left
out with its column."""
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
        shown = self._choose_columns(options.max_width)
        if self._is_one_line or self._measure(shown) <= options.max_width:
            yield self._lay_out(shown, options.max_width)
        else:
            yield from self._tell()

    def _choose_columns(self, width: int) -> list[int]:
        """Choose the columns that are shown: while they do not fit, one is left out."""
        shown = list(range(len(self._columns)))
        while self._measure(shown) > width:
            spare = [index for index in shown if self._kinds[index] == "spare"]
            if not spare and (not self._is_one_line or len(shown) == 1):
                break
            shown.remove((spare or shown)[-1])
        return shown

    @property
    def _kinds(self) -> list[Kind]:
        return list(self._columns.values())

    def _measure(self, shown: Sequence[int]) -> int:
        """Measure the narrowest width at which columns show all that they must."""
        return sum(map(self._find_least, shown)) + GAP * (len(shown) - 1)

    def _find_least(self, index: int) -> int:
        """Find the least width of a column."""
        texts, kind = self._list_texts(index), self._kinds[index]
        if kind == "prose":
            texts = [word for text in texts for word in text.split()]
        widest = max(map(cell_len, texts), default=0)
        title = list(self._columns)[index]
        return min(widest, max(MIN_CUT, cell_len(title))) if kind == "cut" else widest

    def _list_texts(self, index: int) -> list[str]:
        titles = [list(self._columns)[index]] if self._has_titles else []
        return titles + [row[index] for row in self._rows]

    def _choose_widths(self, shown: Sequence[int], width: int) -> list[int]:
        """Choose each column's width: the widest that may be narrower gives way first."""
        least = [self._find_least(index) for index in shown]
        chosen = [max(map(cell_len, self._list_texts(index))) for index in shown]
        for _ in range(sum(chosen) + GAP * (len(shown) - 1) - width):
            room, place = max(
                (now if now > low else 0, place)
                for place, (now, low) in enumerate(zip(chosen, least, strict=True))
            )
            if not room:
                break
            chosen[place] -= 1
        return chosen

    def _lay_out(self, shown: Sequence[int], width: int) -> Table:
        table = Table(
            box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=self._has_titles
        )
        titles = list(self._columns)
        for index, chosen in zip(shown, self._choose_widths(shown, width), strict=True):
            is_prose = self._kinds[index] == "prose"
            table.add_column(
                Text(titles[index]), width=chosen, no_wrap=not is_prose, overflow="ellipsis"
            )
        for row in self._rows:
            table.add_row(*(Text(row[index]) for index in shown))
        return table

    def _tell(self) -> Iterator[Line]:
        """Give each row as lines: its first cell, below it each other one that holds something."""
        for first, *others in self._rows:
            yield Line(first)
            for title, cell in zip(list(self._columns)[1:], others, strict=True):
                if cell:
                    said = f"{title} {cell}" if title and self._has_titles else cell
                    yield Line(said, indent="  ")


def name_columns(
    *titles: str,
    cut: Collection[str] = (),
    prose: Collection[str] = (),
    spare: Collection[str] = (),
) -> Columns:
    """Say of each column what may become of its cells: most hold numbers and stay whole."""
    chosen: dict[Kind, Collection[str]] = {"cut": cut, "prose": prose, "spare": spare}
    others: dict[str, Kind] = {title: kind for kind, named in chosen.items() for title in named}
    return {title: others.get(title, "whole") for title in titles}
