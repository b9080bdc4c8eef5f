"""The live view of `sweep run`: one line a running trial at a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType

import sqlalchemy as sa
from rich.console import Group, RenderableType
from rich.live import Live

from storage.epochs import TrialRow
from storage.sweeps import FAILED, Sweep, find_sweep
from storage.workers import WorkerRow
from sweep.cli.console import Line, open_console
from sweep.cli.grid import Grid, name_columns
from sweep.cli.output import format_duration, print_note
from sweep.metrics.score import get_score
from sweep.metrics.writing import list_known, list_phrases, list_spare, write_plain
from sweep.plan.sample import fit_config
from sweep.results.best import describe_nothing, get_epoch
from sweep.results.status import Status, describe_training, read_status
from sweep.signals import Signals

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

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _exc: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
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
        epoch = trial.best
        metrics = f", {list_phrases(get_score(epoch))}" if epoch else ""
        if trial.state == FAILED and trial.reason:
            metrics += f": {trial.reason.strip().splitlines()[-1]}"
        best = ", the best so far" if status.ranked and status.ranked[0].id == trial.id else ""
        print_note(
            f"trial {trial.number} {trial.outcome or trial.state}{metrics}{best} "
            f"({_write_counts(status)})"
        )


def show_status(status: Status) -> None:
    """Show a sweep once, on standard output."""
    console = open_console()
    config = status.config
    kind = {"search": ""}.get(config.kind, f"{config.kind}, ")
    console.print(f"{status.sweep.name}: {kind}{config.model}, {describe_training(config)}")
    console.print(_draw(status, is_one_line=False))
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
    while status.counts.running or (status.counts.idle and not status.stopped):
        if signals.wait(WATCH_S):
            raise KeyboardInterrupt
        status = view.update()


def _draw(status: Status, *, is_one_line: bool) -> RenderableType:
    lines = [_write_counts(status)]
    if status.stopped:
        lines.append(f"stopped: {status.stopped}")
    if status.ranked:
        best = status.ranked[0]
        lines.append(f"best: trial {best.number}, {list_phrases(get_score(get_epoch(best)))}")
    table = [_draw_running(status, is_one_line=is_one_line)] if status.running else []
    return Group(*map(Line, lines), *table)


def _draw_running(status: Status, *, is_one_line: bool) -> Grid:
    scores = {trial.id: get_score(trial.last) for trial in status.running if trial.last}
    metrics = list_known(list(scores.values()))
    titles = ("trial", "epoch", *(metric.head for metric in metrics), "on")
    columns = name_columns(*titles, cut=("on",), spare=list_spare(metrics))
    table = Grid(columns, is_one_line=is_one_line)
    places = {worker.trial: _write_place(worker) for worker in status.workers if worker.sweep}
    for trial in status.running:
        num_epochs = fit_config(status.config, trial.slot).recipe.epochs
        row = [str(trial.number), f"{trial.last.epoch if trial.last else 0}/{num_epochs}"]
        row += (write_plain(metric, scores.get(trial.id)) for metric in metrics)
        table.add_row(*row, places.get(trial.number, "lost, to be taken over"))
    return table


def _draw_workers(status: Status) -> Grid:
    titles = ("trial", "lease", "last heard of", "worker", "device")
    table = Grid(name_columns(*titles, cut=("device",)))
    for worker in status.workers:
        trial = "none" if worker.sweep is None else str(worker.trial)
        lease = "" if worker.lease_s is None else format_duration(max(0.0, worker.lease_s))
        heard = f"{format_duration(worker.silent_s)} ago"
        table.add_row(trial, lease, heard, _write_process(worker), worker.device)
    return table


def _write_place(worker: WorkerRow) -> str:
    return f"{_write_process(worker).partition(':')[0]}, {worker.device}"


def _write_process(worker: WorkerRow) -> str:
    """Write a worker's machine, by the first word of its name, and its process number."""
    host, _, rest = worker.name.partition(":")
    return f"{host.partition('.')[0]}:{rest.partition(':')[0]}"


def _write_counts(status: Status) -> str:
    counts = status.counts
    parts = [f"{counts.finished} of {status.sweep.budget} trials", f"{counts.pruned} pruned"]
    if counts.failed:
        parts.append(f"{counts.failed} failed")
    if counts.paused:
        parts.append(f"{counts.paused} paused")
    if counts.waiting and not counts.running:
        parts.append(f"{counts.waiting} waiting")
    if status.trials_per_hour is not None:
        parts.append(f"{status.trials_per_hour:.3g} an hour")
    if status.time_left_s is not None:
        parts.append(f"{format_duration(status.time_left_s)} left")
    return ", ".join(parts)
