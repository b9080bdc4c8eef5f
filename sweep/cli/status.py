"""`sweep status`, `sweep list`, `sweep stop`, `sweep resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.cli.options import (
    DEFAULT_STORAGE,
    Json,
    Storage,
    SweepName,
    open_database,
    open_sweep,
)


def status(
    sweep: SweepName = None,
    storage: Storage = DEFAULT_STORAGE,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until the sweep is done.")] = False,
    json: Json = False,
) -> None:
    """Show how far a sweep is, what runs where, at what pace."""
    engine, found = open_sweep(storage, sweep)
    from sweep.cli.live import LiveView, follow_status, show_status  # late: a database is there
    from sweep.cli.output import print_json
    from sweep.machine.garbage import end_loading
    from sweep.results.changes import describe_changes
    from sweep.results.status import read_status

    if watch:
        end_loading()
        with LiveView(engine, found) as view:
            follow_status(view)
    if json:
        now = read_status(engine, found)
        print_json({**now.describe(), "changes": describe_changes(now)})
    else:
        show_status(read_status(engine, found))


def list_sweeps(storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """List the sweeps of a database."""
    engine = open_database(storage)
    from sweep.cli.output import print_json, print_note
    from sweep.cli.tables import print_statuses
    from sweep.errors import ConfigError
    from sweep.results.status import read_status
    from sweep.storage.sweeps import list_sweeps as read_sweeps  # late: a database is there

    statuses = []
    for sweep in read_sweeps(engine):
        try:
            statuses.append(read_status(engine, sweep))
        except ConfigError as exc:  # of another version; the others are listed
            print_note(f"{sweep.name}: not listed: {exc}")
    if json:
        print_json([status.to_json() for status in statuses])
    else:
        print_statuses(statuses)


def stop(sweep: SweepName = None, storage: Storage = DEFAULT_STORAGE) -> None:
    """Ask all workers of a sweep, wherever they are, to stop after their epoch.

    Those of its confirmation and of its audit, too.
    """
    engine, found = open_sweep(storage, sweep)
    from sweep.cli.output import print_note  # late: a database is there
    from sweep.results.edits import stop_sweep
    from sweep.storage.database_file import name_user

    stopped = stop_sweep(engine, found, name_user())
    for one in stopped:
        print_note(f"{one.name}: workers stop after their epoch; `sweep resume` takes that back")
    if not stopped:
        print_note(f"{found.name}: nothing to stop: {found.budget} of {found.budget} finished")


def resume(sweep: SweepName = None, storage: Storage = DEFAULT_STORAGE) -> None:
    """Take `sweep stop` back: workers that stay, and those that come, go on with the sweep."""
    engine, found = open_sweep(storage, sweep)
    from sweep.cli.output import print_note  # late: a database is there
    from sweep.results.edits import resume_sweep
    from sweep.storage.database_file import name_user

    for one in resume_sweep(engine, found, name_user()):
        waiting = f"{one.num_idle} trials wait for workers"
        print_note(f"{one.sweep.name}: {waiting}; `sweep run` starts some here")
