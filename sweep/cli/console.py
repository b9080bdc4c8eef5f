"""The console through which tables and lines for people go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from sweep.cli.output import clean


class Line:
    """A line that goes on below between its words; none of them is cut, however narrow it is."""

    def __init__(self, text: str, indent: str = "") -> None:
        self._text = clean(text)
        self._indent = indent

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        for paragraph in self._text.split("\n"):
            for line in _wrap(paragraph, options.max_width - len(self._indent)):
                yield Segment(f"{self._indent}{line}".rstrip())
                yield Segment.line()


def _wrap(text: str, width: int) -> Iterator[str]:
    line, *words = text.split(" ")
    for word in words:
        if line and cell_len(line) + 1 + cell_len(word) > width:
            yield line
            line = word
        else:
            line += f" {word}"
    yield line


class _CleanConsole(Console):
    """Prints text as `Line`s, and cleans what else is text."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print lines and tables, one below the other."""
        lines = (Line(thing) if isinstance(thing, str) else thing for thing in objects)
        super().print(*lines, **{"crop": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Turn a text within a table or a bar into what is shown."""
        return super().render_str(clean(text), **options)


def open_console(*, is_error: bool = False) -> Console:
    """Open the console of results, or that of notes."""
    return _CleanConsole(stderr=is_error, highlight=False, markup=False, emoji=False)
