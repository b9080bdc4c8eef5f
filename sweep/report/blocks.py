"""What a page is made of: sections of texts, tables and figures, which know nothing of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import plotly.graph_objects as go


@dataclass(frozen=True)
class Text:
    """A paragraph; a `key` one is what a reader in haste should read."""

    text: str
    is_key: bool = False
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Items:
    """A list of short texts; a `key` one as `Text` has it."""

    items: Sequence[str]
    is_key: bool = False
    kind: ClassVar[str] = "items"


@dataclass(frozen=True)
class Code:
    """What a person types, one command a line."""

    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Column:
    """A column of a table; numbers stand to the right and are sorted as such."""

    name: str
    is_number: bool = False


@dataclass(frozen=True)
class Table:
    """A table; a sortable one can be sorted and filtered where JavaScript runs.

    The first cell of a row names it; the row of the number `marked` stands out.
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    marked: int | None = None
    is_sortable: bool = False
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Figure:
    """An interactive figure with what says the same without it.

    Attributes:
        key: Identifies it on the page.
        caption: What it shows and how to read it.
        description: For those who cannot see it: what is drawn, and what comes out.
        figure: Small: rounded numbers, thinned curves, no template.
        table: Its numbers, or None where `instead` says in which table of the page they are.
        instead: The name of that table.
    """

    key: str
    caption: str
    description: str
    figure: go.Figure
    table: Table | None = None
    instead: str = ""
    kind: ClassVar[str] = "figure"

    def to_json(self) -> str:
        """Write the figure as JSON."""
        return str(self.figure.to_json())


@dataclass(frozen=True)
class Part:
    """A titled part of a section; parts may hold parts."""

    title: str
    blocks: Sequence[Block]
    kind: ClassVar[str] = "part"


Block: TypeAlias = "Text | Items | Code | Table | Figure | Part"


@dataclass(frozen=True)
class Section:
    """One question answered; `key` is its address on the page."""

    key: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def list_facts(caption: str, facts: Sequence[tuple[str, str]]) -> Table:
    """Make a table of names and what each comes to."""
    columns = (Column("what"), Column("value"))
    return Table(caption, columns, facts)
