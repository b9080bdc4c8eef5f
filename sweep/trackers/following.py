"""Writes a sweep for trackers while it is trained, from the process that follows it.

The database is looked at now and then, and what is new is written. What a tracker holds already is
read back from it, so that a sweep that was killed goes on there with the same runs. A tracker's
fault is said in one line and ends its own writing, never the sweep.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import sqlalchemy as sa

from sweep.errors import SweepError
from sweep.results.status import Status, read_status
from sweep.storage.epochs import read_curve
from sweep.storage.errors import StorageError
from sweep.storage.sweeps import Sweep, find_sweep
from sweep.trackers.runs import Run, make_run
from sweep.trackers.trackers import Tracker, Writer, read_tracks

EVERY_S = 3.0
STOP_S = 60.0
"""How long the end of a command waits for what is still to be written."""
Say = Callable[[str], None]


@contextmanager
def keep_tracked(texts: Sequence[str], engine: sa.Engine, sweep: Sweep, say: Say) -> Iterator[None]:
    """Write a sweep for trackers while something else is done, and what is left at its end.

    Args:
        texts: As `--track` takes them; none for nothing.
    """
    if not texts:
        yield
        return
    tracks = read_tracks(texts)
    for name, tracker, folder in tracks:
        say(f"track: {name} in {folder}; to see it: {tracker.show(folder)}")
    following = _Following(tracks, engine, sweep, say)
    thread = threading.Thread(target=following.run, name="trackers", daemon=True)
    thread.start()
    try:
        yield
    finally:
        following.done.set()
        thread.join(STOP_S)
        if thread.is_alive():
            say(
                f"track: not all is written, got no end within {STOP_S:g} s; `sweep run` of "
                f"{sweep.name} with the same --track goes on with it"
            )


class _Following:
    """What has been written so far, by each tracker that has not failed."""

    def __init__(
        self,
        tracks: Sequence[tuple[str, Tracker, Path]],
        engine: sa.Engine,
        sweep: Sweep,
        say: Say,
    ) -> None:
        self.done = threading.Event()
        self._tracks = tracks
        self._writers: dict[str, Writer] = {}
        self._engine = engine
        self._sweep = sweep
        self._say = say
        self._written: dict[int, object] = {}
        self._is_away = False

    def run(self) -> None:
        """Write until the work is done, and once more then."""
        for name, tracker, folder in self._tracks:
            with self._drop_on_fault(name):
                module = import_module(tracker.module)
                folder.mkdir(parents=True, exist_ok=True)
                self._writers[name] = module.Writer(folder, self._sweep.name, self._sweep.mark)
        while self._writers and not self.done.wait(EVERY_S):
            self._look()
        status = self._look()
        for name, writer in list(self._writers.items()):
            with self._drop_on_fault(name):
                writer.close(is_done=status is not None and status.counts.unfinished == 0)

    def _look(self) -> Status | None:
        """Write what is new; a database that is away is looked at again."""
        try:
            status = read_status(self._engine, find_sweep(self._engine, self._sweep.name))
            for trial in status.begun:
                mark = (trial.state, trial.outcome, trial.reason, trial.last and trial.last.epoch)
                if self._written.get(trial.id) != mark:
                    self._write(make_run(status, trial, read_curve(self._engine, trial.id)))
                    self._written[trial.id] = mark
        except (sa.exc.SQLAlchemyError, StorageError, SweepError) as exc:
            if not self._is_away:
                self._say(f"track: nothing is written for now: {_write_line(exc)}")
            self._is_away = True
            return None
        self._is_away = False
        return status

    def _write(self, run: Run) -> None:
        for name, writer in list(self._writers.items()):
            with self._drop_on_fault(name):
                writer.write(run)

    @contextmanager
    def _drop_on_fault(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as exc:  # of another's library, which may raise anything
            self._writers.pop(name, None)
            self._say(
                f"track: {name}: nothing more is written, got {_write_line(exc)}; the sweep goes "
                f"on, and `sweep run` of {self._sweep.name} with the same --track catches up"
            )


def _write_line(exc: Exception) -> str:
    return " ".join(str(exc).split())[:300] or type(exc).__name__
