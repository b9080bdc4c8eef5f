"""The live view of `sweep run`: one line a running trial at a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys

import sqlalchemy as sa
from rich.console import Group, RenderableType
from rich.live import Live

from sweep.cli.console import Line, open_console
from sweep.cli.grid import Grid, name_columns
from sweep.cli.output import print_note
from sweep.cli.tables import draw_architectures
from sweep.machine.signals import Signals
from sweep.metrics.score import get_score
from sweep.metrics.writing import list_phrases, list_spare
from sweep.results.best import describe_nothing
from sweep.results.glance import TAKES, list_running, list_workers, tell_counts, tell_progress
from sweep.results.status import Status, describe_training, read_status
from sweep.storage.epochs import TrialRow
from sweep.storage.sweeps import FAILED, Sweep, find_sweep

WATCH_S = 1.0
NUM_WARNED = 10
"""So many trials that are all dead are told at once, with what to try."""


class LiveView:
    """Shows a sweep while its workers train; use it as a context manager.

    Everything goes to standard error: results alone belong on standard output.
    """

    def __init__(self, engine: sa.Engine, sweep: Sweep) -> None:
        self._engine = engine
        self._sweep = sweep
        self._seen = {row.id: row.state for row in read_status(engine, sweep).begun}
        self._has_warned = False
        console = open_console(is_error=True)
        self._live = (
            Live(console=console, auto_refresh=False, transient=True)
            if sys.stderr.isatty()
            else None
        )

    def __enter__(self) -> LiveView:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        """Say something that stays."""
        if self._live:
            self._live.console.print(text)
        else:
            print_note(text)

    def update(self) -> Status:
        """Read the sweep and show it."""
        status = read_status(self._engine, find_sweep(self._engine, self._sweep.name))
        for trial in status.begun:
            if trial.finished_s is not None and self._seen.get(trial.id) != trial.state:
                self._say_finished(trial, status)
            self._seen[trial.id] = trial.state
        if not self._has_warned and NUM_WARNED <= status.counts.finished == status.num_dead:
            self._has_warned = True
            self.say(f"The first {status.num_dead} trials are all dead. {describe_nothing(status)}")
        if self._live:
            self._live.update(_draw(status, is_one_line=True), refresh=True)
        return status

    def _say_finished(self, trial: TrialRow, status: Status) -> None:
        if self._live:
            return
        epoch, config = trial.best, status.config
        metrics = f", {list_phrases(get_score(epoch))}" if epoch else ""
        if trial.state == FAILED and trial.reason:
            metrics += f": {trial.short_reason}"
        of = f" ({config.narrow_to(trial.params).label})" if config.architectures else ""
        best = ", the best so far" if status.ranked and status.ranked[0].id == trial.id else ""
        print_note(
            f"trial {trial.number}{of} {trial.outcome or trial.state}{metrics}{best} "
            f"({tell_counts(status)})"
        )


def show_status(status: Status) -> None:
    """Show a sweep once, on standard output."""
    console = open_console()
    config = status.config
    kind = {"search": ""}.get(config.kind, f"{config.kind}, ")
    console.print(f"{status.sweep.name}: {kind}{config.shown_model}, {describe_training(config)}")
    console.print(_draw(status, is_one_line=False))
    if status.config.architectures:
        console.print(draw_architectures(status))
    if status.workers:
        console.print(_draw_workers(status))


def follow_status(view: LiveView) -> None:
    """Show a sweep until its budget is spent, wherever it is trained, or it is stopped.

    Raises:
        KeyboardInterrupt: when a person has seen enough.
    """
    signals = Signals()
    signals.install()
    status = view.update()
    while status.is_open:
        if signals.wait(WATCH_S):
            raise KeyboardInterrupt
        status = view.update()


def _draw(status: Status, *, is_one_line: bool) -> RenderableType:
    table = [_draw_running(status, is_one_line=is_one_line)] if status.running else []
    return Group(*map(Line, tell_progress(status)), *table)


def _draw_running(status: Status, *, is_one_line: bool) -> Grid:
    running = list_running(status)
    columns = name_columns(
        *running.titles, cut=("on",), spare=[TAKES, *list_spare(running.metrics)]
    )
    table = Grid(columns, is_one_line=is_one_line)
    for row in running.rows:
        table.add_row(*row)
    return table


def _draw_workers(status: Status) -> Grid:
    workers = list_workers(status)
    table = Grid(name_columns(*workers.titles, cut=("device",)))
    for row in workers.rows:
        table.add_row(*row)
    return table
