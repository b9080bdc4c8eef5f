"""The job behind `sweep run --audit`: some pruned trials, trained to the end."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from sweep.cli.console import open_console
from sweep.cli.job_options import JobOptions
from sweep.cli.output import print_note
from sweep.cli.workforce import refresh_pages, train
from sweep.launch.places import Place
from sweep.plan.confirmation_plan import name_audit
from sweep.results.audit import begin_audit, read_audit
from sweep.results.status import Status
from sweep.storage.sweeps import find_sweep, request_stop


def audit_search(
    engine: sa.Engine, search: Status, options: JobOptions, places: list[Place], *, is_shown: bool
) -> bool:
    """Train some pruned trials of a search to the end, and say how many were pruned wrongly.

    Args:
        is_shown: Whether to print what came of it.

    Returns:
        Whether nothing of it is left to do.

    Raises:
        SweepError, StorageError: when it cannot be, or the workers failed.
    """
    count, name = options.audit or 0, name_audit(search.sweep.name)
    if search.config.kind != "search" or not begin_audit(engine, search, count):
        print_note(f"{search.sweep.name}: nothing to audit: no trial was pruned for being worse")
        return True
    own = find_sweep(engine, name)
    if own.stop_requested:
        request_stop(engine, own.id, stop=False)
    is_done = train(engine, own, replace(options, sweep=name), places)
    audit = read_audit(engine, search)
    if audit is not None and is_shown:
        open_console().print(audit.tell())
    refresh_pages(engine, options.storage, [name])
    return is_done
