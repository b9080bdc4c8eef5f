"""The supervisor behind `sweep run`: prepares the database, starts workers, shows what they do."""

from __future__ import annotations

import os
import shlex
import tempfile
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa

from storage import studies
from storage.claims import expire_claims
from storage.engine import hide_password, parse_url
from storage.sweeps import FAILED, Sweep, count_trials, find_sweep
from sweep.cli.live import LiveView
from sweep.cli.options import DEFAULT_ARTIFACTS, DEFAULT_STORAGE
from sweep.cli.output import print_json, print_note
from sweep.cli.progress import show_progress
from sweep.cli.tables import print_best
from sweep.errors import ConfigError, SweepError
from sweep.identity import is_gone
from sweep.judgement import is_failing
from sweep.launch.local import Workers, choose_places
from sweep.preparation import prepare_sweep
from sweep.request import Request, merge_requests, read_request
from sweep.results.best import describe_best
from sweep.results.dashboard import publish
from sweep.results.status import Status, read_status
from sweep.signals import Signals

FILE_KEYS = ", ".join(
    [field.name for field in fields(Request) if field.name not in ("dimensions", "fixed")]
    + ["trials", "timeout", "workers", "sweep", "[space]"]
)
DEFAULT_CONFIG = Path("sweep.toml")
POLL_S = 0.5
PUBLISH_S = 10.0


@dataclass(frozen=True)
class JobOptions:
    """How far to go and where: what may change while a sweep lives."""

    trials: int | None
    timeout_s: float | None
    storage: str
    artifacts: Path
    sweep: str | None
    workers: int | None


def run_job(request: Request, options: JobOptions, config: Path | None, *, as_json: bool) -> None:
    """Create a sweep or go on with it, train its trials, and print the best.

    Raises:
        SweepError, StorageError: when something asked for cannot be, or the workers failed.
    """
    if config is not None or DEFAULT_CONFIG.is_file():
        request, options = _lay_over_file(request, options, config or DEFAULT_CONFIG)
    _check_options(options)
    _make_folder(options.artifacts)
    with show_progress("making or reading events") as progress:
        engine, sweep, notes = prepare_sweep(
            request, options.storage, options.sweep, options.trials, progress
        )
    for note in notes:
        print_note(note)
    num_gone = expire_claims(engine, sweep.id, is_gone)
    if num_gone:
        print_note(f"{num_gone} unfinished trials of workers that are gone will be taken over")
    study = studies.load_study(studies.open_study_storage(parse_url(options.storage)), sweep.name)
    is_done = _supervise(engine, sweep, options, study)
    status = read_status(engine, find_sweep(engine, sweep.name))
    publish(study, status)
    if as_json:
        best = describe_best(status, status.ranked[0]) if status.ranked else None
        print_json({**status.to_json(), "best": best})
    else:
        print_best(status)
    if is_failing(status.counts) or 0 < status.counts.failed == status.counts.finished:
        _refuse_to_go_on(status)
    if not is_done:
        print_note(f"stopped; to go on: {_write_resume(options, sweep)}")


def _refuse_to_go_on(status: Status) -> None:
    """End a sweep most of whose trials fail with the last one's reason.

    Raises:
        SweepError: always.
    """
    failed = [trial for trial in status.begun if trial.state == FAILED and trial.reason]
    reason = (failed[-1].reason or "").strip().splitlines()[-1] if failed else "no reason"
    raise SweepError(
        f"sweep {status.sweep.name}: most trials fail, got {status.counts.failed} of "
        f"{status.counts.finished}, the last with {reason!r}, expected at most half; mend the "
        "network or the space and start a new sweep with --sweep"
    )


def _lay_over_file(request: Request, options: JobOptions, path: Path) -> tuple[Request, JobOptions]:
    """Take from a TOML file what the command line does not say."""
    asked, others = read_request(path)
    known: dict[str, Any] = {}
    for key, kind in (("trials", int), ("timeout", (int, float)), ("workers", int), ("sweep", str)):
        value = others.pop(key, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
            raise ConfigError(f"{path}: {key}: got {value!r}, expected another kind; mend it")
        known["timeout_s" if key == "timeout" else key] = value
    if others:
        raise ConfigError(
            f"{path}: unknown key, got {', '.join(others)}, expected one of {FILE_KEYS}; check the "
            "spelling"
        )
    given = {key: value for key, value in known.items() if getattr(options, key) is None}
    return merge_requests(request, asked), replace(options, **given)


def _check_options(options: JobOptions) -> None:
    for name, value in (("trials", options.trials), ("workers", options.workers)):
        if value is not None and value < 1:
            raise ConfigError(f"{name}: got {value}, expected at least 1; raise --{name}")
    if options.timeout_s is not None and not options.timeout_s > 0:
        raise ConfigError(
            f"timeout: got {options.timeout_s}, expected seconds above 0; raise --timeout"
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


def _supervise(engine: sa.Engine, sweep: Sweep, options: JobOptions, study: optuna.Study) -> bool:
    """Run workers until the budget is spent; True when it is."""
    counts = count_trials(engine, sweep.id)
    left = counts.waiting + counts.running
    if left == 0:
        print_note(f"nothing left to train: {counts.finished} of {counts.budget} trials finished")
        return True
    places = choose_places(options.workers)[: left if options.workers is None else None]
    signals = Signals()
    signals.install()
    workers = Workers(
        options.storage,
        sweep.name,
        options.artifacts.absolute(),
        places,
        on_death=lambda: expire_claims(engine, sweep.id, is_gone),
    )
    deadline_s = None if options.timeout_s is None else time.monotonic() + options.timeout_s
    with LiveView(engine, sweep) as view:
        try:
            workers.start()
            _follow(workers, view, signals, deadline_s, study)
        finally:
            workers.end()
            expire_claims(engine, sweep.id, is_gone)
            view.update()
    counts = count_trials(engine, sweep.id)
    return counts.waiting + counts.running == 0


def _follow(
    workers: Workers,
    view: LiveView,
    signals: Signals,
    deadline_s: float | None,
    study: optuna.Study,
) -> None:
    """Show the sweep until its workers have ended, and pass on what should end them."""
    num_asked = 0
    is_late = False
    published_s = time.monotonic()
    published: Status | None = None
    while workers.watch():
        status = view.update()
        if not is_late and deadline_s is not None and time.monotonic() > deadline_s:
            is_late = True
            view.say("time is up: stopping after the epochs that are being trained")
            signals.ask()
        wanted = 2 if signals.is_immediate() else 1 if signals.is_gentle() else 0
        while num_asked < wanted:
            num_asked += 1
            workers.ask_to_stop(at_once=num_asked == 2)
            if wanted == 1 and not is_late:
                view.say("stopping after this epoch; Ctrl-C again to stop at once")
        if time.monotonic() - published_s > PUBLISH_S:
            if published is None or published.counts.finished != status.counts.finished:
                _try_to_publish(study, status, view)
                published = status
            published_s = time.monotonic()
        time.sleep(POLL_S)


def _try_to_publish(study: optuna.Study, status: Status, view: LiveView) -> None:
    """Refresh the dashboard; that it cannot be done now must not end a sweep that trains."""
    try:
        publish(study, status)
    except (optuna.exceptions.OptunaError, sa.exc.SQLAlchemyError) as exc:
        view.say(f"the dashboard's note is not refreshed yet: {str(exc).splitlines()[0]}")


def _write_resume(options: JobOptions, sweep: Sweep) -> str:
    """Write the command that goes on with the sweep."""
    model = sweep.config["model"]
    words = ["sweep", "run", "--model", model]
    if sweep.name != model.rpartition(":")[2]:
        words += ["--sweep", sweep.name]
    return shlex.join(words + _list_places(options))


def _list_places(options: JobOptions) -> list[str]:
    """List the options that say where the sweep is, where nothing else says so."""
    words = []
    if options.storage not in (DEFAULT_STORAGE, os.environ.get("SWEEP_STORAGE")):
        words += ["--storage", hide_password(options.storage)]
    if str(options.artifacts) not in (DEFAULT_ARTIFACTS, os.environ.get("SWEEP_ARTIFACTS")):
        words += ["--artifacts", str(options.artifacts)]
    return words
