"""Writes a sweep for a tracker of experiments, into a folder of this machine."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from sweep.errors import SweepError
from sweep.results.status import Status
from sweep.storage.epochs import Curves
from sweep.trackers.runs import list_runs
from sweep.trackers.trackers import Tracker


def export_sweep(tracker: Tracker, status: Status, curves: Curves, folder: Path) -> int:
    """Write a sweep for a tracker.

    Args:
        folder: May hold other sweeps already; made where it is not there.

    Returns:
        The number of runs written.

    Raises:
        SweepError: when it holds this sweep already, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise SweepError(f"{folder}: not a folder, got a file, expected one; choose another name")
    runs = list_runs(status, curves)
    name = status.sweep.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        import_module(tracker.module).write_runs(folder, name, status.sweep.mark, runs)
    except FileExistsError as exc:
        raise SweepError(
            f"{folder}: holds sweep {name} already, got it a second time, expected another "
            "folder; choose one"
        ) from exc
    except OSError as exc:
        raise SweepError(
            f"{folder}: cannot be written, got {exc}, expected a folder where there is room; "
            "choose another"
        ) from exc
    return len(runs)
