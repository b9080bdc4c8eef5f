"""The main job behind `sweep run`: prepares the sweep, has it trained, prints the best."""

from __future__ import annotations

import os
import shlex
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from sweep.cli.audit_job import audit_search
from sweep.cli.confirm_job import end_search
from sweep.cli.console import open_console
from sweep.cli.job_options import JobOptions, read_wish
from sweep.cli.output import print_json, print_note
from sweep.cli.progress import show_progress
from sweep.cli.tables import print_best
from sweep.cli.workforce import open_places, take_time, train
from sweep.errors import ConfigError, SweepError
from sweep.launch.launchers import LOCAL
from sweep.launch.places import Place, count_gpus
from sweep.plan.names import name_search
from sweep.plan.network import is_own
from sweep.plan.preparation import prepare_sweep
from sweep.plan.profile import CPU, GPU
from sweep.plan.request import Request
from sweep.results.audit import describe_pruning, read_audit, tell_pruning
from sweep.results.confirmation import find_confirmation
from sweep.results.edits import change_priority
from sweep.results.status import Status, describe_training, read_status
from sweep.search.judgement import is_failing
from sweep.settings.settings import find_place
from sweep.storage.database_file import name_user
from sweep.storage.flatness import set_stop_when_flat
from sweep.storage.passwords import hide_password
from sweep.storage.sweeps import Sweep, change_trial_timeout, find_sweep


def run_job(request: Request, options: JobOptions, *, as_json: bool) -> None:
    """Create a sweep or go on with it, train its trials, and print the best.

    Raises:
        SweepError, StorageError: when something asked for cannot be, or the workers failed.
    """
    carry_out(request, options, _show_best, as_json=as_json)


def carry_out(
    request: Request,
    options: JobOptions,
    show: Callable[[sa.Engine, Status, bool], None],
    *,
    as_json: bool,
) -> None:
    """Create a sweep or go on with it, train its trials, and show what came of them.

    Args:
        show: Given the database, the sweep, and whether to show it as JSON.

    Raises:
        SweepError, StorageError: when something asked for cannot be, or the workers failed.
    """
    wish = read_wish(options)
    with open_places(options, wish) as places:
        engine, sweep = _prepare(request, options, places)
        if options.is_detached:
            _report_registered(engine, sweep, options, as_json=as_json)
            return
        start_s = time.monotonic()
        is_done = train(engine, sweep, options, places)
        status = read_status(engine, find_sweep(engine, sweep.name))
        counts = status.counts
        is_failed = is_failing(counts) or 0 < counts.failed == counts.finished
        if is_failed or not as_json:
            show(engine, status, as_json)
        if is_failed:
            _refuse_to_go_on(status)
        if is_done and not options.is_unconfirmed:
            left = take_time(options, time.monotonic() - start_s)
            is_done = end_search(engine, status, left, places, is_shown=not as_json)
        if is_done and options.audit is not None:
            left = take_time(options, time.monotonic() - start_s)
            is_done = audit_search(engine, status, left, places, is_shown=not as_json)
        if as_json:
            show(engine, status, True)
    if not is_done:
        print_note(f"stopped; to go on: {_write_resume(options, sweep)}")


def _show_best(engine: sa.Engine, status: Status, as_json: bool) -> None:
    if as_json:
        found, audit = find_confirmation(engine, status), read_audit(engine, status)
        print_json(
            {
                **status.to_json(),
                "pruning": describe_pruning(status),
                "confirmation": found.describe() if found else None,
                "audit": audit.describe() if audit else None,
            }
        )
    else:
        print_best(status)
        if told := tell_pruning(status):
            open_console().print(told)


def _prepare(request: Request, options: JobOptions, places: list[Place]) -> tuple[sa.Engine, Sweep]:
    """Create the sweep or find it, and say what should be said about it."""
    has_gpus = any(place.device != "cpu" for place in places) if places else count_gpus() > 0
    with show_progress("making or reading events") as progress:
        engine, sweep, notes = prepare_sweep(
            request,
            options.storage,
            options.sweep,
            options.trials,
            GPU if has_gpus else CPU,
            progress,
            lambda: _make_folder(options.artifacts),
            stops_when_flat=options.stops_when_flat,
        )
    for note in notes:
        print_note(note)
    if options.trial_timeout_s not in (None, sweep.trial_timeout_s):
        change_trial_timeout(engine, sweep.id, options.trial_timeout_s)
    if options.stops_when_flat not in (None, sweep.stops_when_flat):
        sweep = set_stop_when_flat(engine, sweep, stop=bool(options.stops_when_flat))
    if options.priority not in (None, sweep.priority):
        change_priority(engine, sweep, options.priority, name_user())
    return engine, find_sweep(engine, sweep.name)


def _report_registered(
    engine: sa.Engine, sweep: Sweep, options: JobOptions, *, as_json: bool
) -> None:
    """Say that the sweep waits for workers, and how they are started."""
    status = read_status(engine, sweep)
    if as_json:
        print_json(status.to_json())
    command = ["sweep", "worker", "--sweep", sweep.name, *_list_places(options)]
    if is_own(sweep.config["model"]):
        command.append("--trust-code")
    print_note(
        f"{sweep.name}: {status.counts.idle} of {sweep.budget} trials wait for workers; "
        f"on any machine that reaches the database: {shlex.join(command)}"
    )
    print_note(
        f"each trains with {describe_training(status.config)}; other sizes by --profile, --events "
        "and --epochs"
    )


def _refuse_to_go_on(status: Status) -> None:
    """End a sweep most of whose trials fail with the last one's reason.

    Raises:
        SweepError: always.
    """
    raise SweepError(
        f"sweep {status.sweep.name}: most trials fail, got {status.describe_failures()}, expected "
        "at most half; mend the network or the space and start a new sweep with --sweep"
    )


def _make_folder(folder: Path) -> None:
    """Make the artifact folder and see that it can be written, before anything is stored."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as exc:
        raise ConfigError(
            f"artifacts: cannot be written, got {folder} ({exc.strerror}), expected a folder; "
            "change --artifacts"
        ) from exc


def _write_resume(options: JobOptions, sweep: Sweep) -> str:
    """Write the command that goes on with the sweep."""
    model = sweep.config["model"]
    is_curve = any(sweep.config.get(name) for name in ("curve", "sample_size"))  # its earlier name
    words = ["sweep", "curve" if is_curve else "run", "--model", model]
    if sweep.name != name_search(model):
        words += ["--sweep", sweep.name]
    if options.launcher != LOCAL:
        words += ["--launcher", options.launcher]
        if options.address not in (None, os.environ.get("RAY_ADDRESS")):
            words += ["--address", str(options.address)]
    return shlex.join(words + _list_places(options))


def _list_places(options: JobOptions) -> list[str]:
    """List the options that say where the sweep is, where nothing else says so."""
    words = []
    if options.storage != find_place("storage").value:
        words += ["--storage", hide_password(options.storage)]
    if str(options.artifacts) != find_place("artifacts").value:
        words += ["--artifacts", str(options.artifacts)]
    return words
