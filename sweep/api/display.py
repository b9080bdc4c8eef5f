"""A sweep shown live where Python runs: as a plain table in a notebook's cell, or in a terminal.

The table needs no widgets, so that a notebook that is saved keeps what was last seen.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from sweep.results.glance import list_running, tell_progress
from sweep.results.status import Status


class Display(Protocol):
    """A place that shows one thing at a time."""

    def show(self, title: str, status: Status | None) -> None:
        """Show a sweep in the place of what was shown before.

        Args:
            title: Line above it.
            status: How far it is; None before it is in its database.
        """


@contextmanager
def open_display() -> Iterator[Display]:
    """Open the display that there is: a notebook's cell, a terminal, or none."""
    console = Console(highlight=False, markup=False, emoji=False)
    if _is_in_notebook():
        yield _Cell()
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield _Terminal(live)
    else:
        yield _Nothing()


def _is_in_notebook() -> bool:
    """Say whether a kernel runs this; IPython is loaded then."""
    shell = sys.modules.get("IPython")
    return shell is not None and hasattr(shell.get_ipython(), "kernel")


class _Cell:
    """The output of a notebook's cell."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, title: str, status: Status | None) -> None:
        from IPython.display import HTML, display  # late: only notebooks have it

        content = HTML(draw_html(title, status))
        if self._handle is None:
            self._handle = display(content, display_id=True)
        else:
            self._handle.update(content)


class _Terminal:
    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, title: str, status: Status | None) -> None:
        lines, titles, rows = _list_parts(title, status)
        table = Table(*titles, box=None)
        for row in rows:
            table.add_row(*row)
        self._live.update(Group(*lines, *([table] if rows else [])), refresh=True)


class _Nothing:
    def show(self, title: str, status: Status | None) -> None:
        pass


def draw_html(title: str, status: Status | None) -> str:
    """Draw a sweep as HTML without script or style sheet.

    Args:
        title: Line above it.
        status: How far it is; None before it is in its database.
    """
    lines, titles, rows = _list_parts(title, status)
    text = "<br>".join(map(escape, lines))
    head = "".join(f"<th>{escape(word)}</th>" for word in titles)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if rows else ""
    return f"<div><p>{text}</p>{table}</div>"


def _list_parts(
    title: str, status: Status | None
) -> tuple[list[str], Sequence[str], Sequence[Sequence[str]]]:
    """List the lines of a sweep, and the titles and rows of the table of what trains now."""
    if status is None:
        return [title], (), ()
    running = list_running(status)
    return [title, *tell_progress(status)], running.titles, running.rows
