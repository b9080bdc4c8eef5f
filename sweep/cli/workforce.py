"""Has the trials of a sweep trained by workers that are started here, and shows how far it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa

from sweep.cli.job_options import JobOptions
from sweep.cli.live import LiveView
from sweep.cli.output import print_note
from sweep.cli.supervision import Supervision
from sweep.launch.launcher import Job, Wish
from sweep.launch.launchers import choose_launcher
from sweep.launch.places import Place, describe_choice, leave_out
from sweep.machine.garbage import end_loading
from sweep.machine.process import is_gone
from sweep.storage.attempts import EXPIRED
from sweep.storage.claims import expire_claims
from sweep.storage.engine import parse_url
from sweep.storage.sweeps import Sweep, count_trials


@contextmanager
def open_places(options: JobOptions, wish: Wish) -> Iterator[list[Place]]:
    """Find where workers may run, with all loaded; none where no worker is started here."""
    if options.is_detached:
        yield []
        return
    with choose_launcher(options.launcher).open_places(wish) as places:
        end_loading()
        yield places


def take_time(options: JobOptions, spent_s: float) -> JobOptions:
    """Take what was spent off the time that a job has."""
    if options.timeout_s is None:
        return options
    return replace(options, timeout_s=max(1.0, options.timeout_s - spent_s))


def refresh_pages(engine: sa.Engine, storage: str, names: Sequence[str]) -> None:
    """Write what the dashboard shows of sweeps, where that is behind."""
    from sweep.dashboard.publisher import Publisher
    from sweep.storage import studies  # late: what is refused needs no study

    study_storage = studies.open_study_storage(parse_url(storage))
    for name in names:
        Publisher(engine, study_storage, name, print_note).catch_up()


def train(engine: sa.Engine, sweep: Sweep, options: JobOptions, places: list[Place]) -> bool:
    """Have the trials trained that are left; True when the budget is spent."""
    from sweep.dashboard.publisher import keep_fresh
    from sweep.storage import studies  # late: what is refused needs no study
    from sweep.trackers.following import keep_tracked

    counts = count_trials(engine, sweep.id)
    if counts.unfinished == 0:
        print_note(f"nothing left to train: {counts.finished} of {counts.budget} trials finished")
        with keep_tracked(options.track or (), engine, sweep, print_note):
            return True  # a killed command may have left them behind
    num_gone = expire_claims(engine, sweep.id, is_gone)
    if num_gone:
        print_note(f"{num_gone} unfinished trials of workers that are gone will be taken over")
    study_storage = studies.open_study_storage(parse_url(options.storage))
    wanted = places if options.workers else leave_out(places, counts.unfinished)
    if (choice := describe_choice(wanted)) is not None:
        print_note(choice)
    view = LiveView(engine, sweep)
    pages = keep_fresh(engine, study_storage, sweep.name, view.say, is_hurried=lambda: False)
    with pages, keep_tracked(options.track or (), engine, sweep, view.say), view:
        try:
            job = Job(options.storage, sweep.name, options.artifacts.absolute())
            launcher = choose_launcher(options.launcher).make_launcher(
                job,
                wanted,
                lambda lost, how: expire_claims(engine, sweep.id, lost, how or EXPIRED),
                view.say,
            )
            Supervision(launcher, view, options.timeout_s).follow()
        finally:
            expire_claims(engine, sweep.id, is_gone)
            status = view.update()
    return status.counts.unfinished == 0
