"""`sweep status`, `sweep list`, `sweep stop`, `sweep models`."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.cli.options import (
    DEFAULT_STORAGE,
    Json,
    Storage,
    SweepName,
    choose_sweep,
    open_database,
)


def status(sweep: SweepName = None, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """Show how far a sweep is and what runs."""
    from sweep.cli.live import show_status
    from sweep.cli.output import print_json
    from sweep.results.status import read_status

    engine = open_database(storage)
    found = read_status(engine, choose_sweep(engine, sweep))
    if json:
        print_json(found.to_json())
    else:
        show_status(found)


def list_sweeps(storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """List the sweeps of a database."""
    from storage.sweeps import list_sweeps as read_sweeps
    from sweep.cli.output import print_json
    from sweep.cli.tables import print_statuses
    from sweep.results.status import read_status

    engine = open_database(storage)
    statuses = [read_status(engine, sweep) for sweep in read_sweeps(engine)]
    if json:
        print_json([status.to_json() for status in statuses])
    else:
        print_statuses(statuses)


def stop(sweep: SweepName = None, storage: Storage = DEFAULT_STORAGE) -> None:
    """Ask all workers of a sweep, wherever they are, to stop after their epoch."""
    from storage.sweeps import request_stop
    from sweep.cli.output import print_note

    engine = open_database(storage)
    found = choose_sweep(engine, sweep)
    request_stop(engine, found.id)
    print_note(f"{found.name}: workers stop after their epoch; `sweep run` goes on")


def models(
    json: Json = False,
    model: Annotated[
        str | None, typer.Option(help="Only this one; FILE.py:CLASS for your own.")
    ] = None,
) -> None:
    """Show the architectures: parameters, search spaces, hand-tuned starting points."""
    from sweep.cli.output import print_json
    from sweep.cli.tables import print_models
    from sweep.results.models import describe_models

    described = describe_models(model)
    if json:
        print_json(described)
    else:
        print_models(described)
