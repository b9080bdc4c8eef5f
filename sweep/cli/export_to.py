"""`sweep export-to`: a sweep written for a tracker of experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.completion import offer
from sweep.cli.options import DEFAULT_STORAGE, Storage, SweepName, open_sweep
from sweep.errors import list_allowed
from sweep.trackers.trackers import TRACKERS, require_tracker


def export_to(
    tracker: Annotated[
        str, typer.Argument(help=f"{list_allowed(TRACKERS)}.", autocompletion=offer(*TRACKERS))
    ],
    folder: Annotated[Path, typer.Argument(help="Folder, which may hold other sweeps already.")],
    sweep: SweepName = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Write a sweep for MLflow, TensorBoard or Weights & Biases, on this machine alone."""
    chosen = require_tracker(tracker)
    engine, found = open_sweep(storage, sweep)
    from sweep.cli.output import print_note
    from sweep.results.status import read_status
    from sweep.storage.epochs import read_curves  # late: a database is there
    from sweep.trackers.export import export_sweep

    number = export_sweep(chosen, read_status(engine, found), read_curves(engine, found.id), folder)
    print_note(f"{folder}: {found.name}: {number} runs; to see them: {chosen.show(folder)}")
