"""A progress bar for people at a terminal; a few plain lines where the output is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sweep.cli.console import open_console
from sweep.cli.output import print_note
from sweep.metrics.wording import write_duration

PLAIN_EVERY_S = 10.0


@contextmanager
def show_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far a long step is; nothing is shown before the first report.

    Yields:
        To be called with how many of how many are done. Where it goes back or the whole changes,
        another pass begins, whose time left is reckoned from that pass alone.
    """
    if sys.stderr.isatty():
        with _show_bar(what) as update:
            yield update
    else:
        yield _PlainProgress(what)


@contextmanager
def _show_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=open_console(is_error=True), transient=True) as bar:
        task = bar.add_task(what, visible=False)

        def update(done: int, total: int) -> None:
            shown = bar.tasks[0]
            if done < shown.completed or total != shown.total:  # another pass begins
                bar.reset(task)
            bar.update(task, completed=done, total=total, visible=True)

        yield update


class _PlainProgress:
    """Says how far the step is at most every PLAIN_EVERY_S."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._started_s = self._said_s = self._told_s = time.monotonic()
        self._done = self._total = 0

    def __call__(self, done: int, total: int) -> None:
        now_s = time.monotonic()
        if done < self._done or total != self._total:  # another pass begins
            self._started_s = self._told_s
        self._done, self._total, self._told_s = done, total, now_s
        if done and now_s - self._said_s >= PLAIN_EVERY_S:
            left_s = (now_s - self._started_s) / done * (total - done)
            print_note(f"{self._what}: {done} of {total}, {write_duration(left_s)} left")
            self._said_s = now_s
