"""`sweep run` and `sweep worker`: the main job."""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.cli.completion import offer, offer_sweeps
from sweep.cli.configured import SAID
from sweep.cli.job_options import SweepJobOptions, check_options
from sweep.cli.option_groups import spread
from sweep.cli.options import (
    DEFAULT_ARTIFACTS,
    DEFAULT_STORAGE,
    Artifacts,
    Json,
    Storage,
    Timeout,
    TrustCode,
    check_stored,
    warn_of_network_file,
)
from sweep.cli.request_options import SearchOptions
from sweep.errors import list_allowed
from sweep.settings.settings_file import Setting
from sweep.trackers.trackers import TRACKERS

if TYPE_CHECKING:
    from sweep.plan.request import Request


@dataclass(frozen=True)
class RunOptions(SweepJobOptions):
    """How far `sweep run` goes, and where."""

    sweep: Annotated[
        str | None,
        typer.Option(help="Name of the sweep.  [the model's]", autocompletion=offer_sweeps),
    ] = None
    trials: Annotated[int | None, typer.Option(help="Trials to train in all.  [50]")] = None
    priority: Annotated[
        int | None,
        typer.Option(help="Among open sweeps workers take the highest first.  [0]"),
    ] = None
    stops_when_flat: Annotated[
        bool | None,
        typer.Option(
            "--stop-when-flat/--no-stop-when-flat",
            help="End the search when a further trial is not expected to pay.  [no]",
        ),
    ] = None
    is_unconfirmed: Annotated[
        bool, typer.Option("--no-confirm", help="Do not train the best ones again at the end.")
    ] = False
    track: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TRACKER[:DIR]",
            help=f"Write it meanwhile for {list_allowed(TRACKERS)}; again for more.  "
            "[DIR: sweep_TRACKER]",
            autocompletion=offer(*TRACKERS),
        ),
    ] = None
    audit: Annotated[
        int | None,
        typer.Option(help="Pruned trials to train whole at the end: how many were false?  [none]"),
    ] = None

    def leave_out(self, said: Container[str], *, stops_when_flat: bool) -> RunOptions:
        """Give these without what files alone say of what a sweep that is there keeps.

        Args:
            stops_when_flat: Whether it does; where files say so, too, its budget typed again
                begins nothing anew, as where both are typed.
        """
        names = {
            "trials": "trials",
            "priority": "priority",
            "trial_timeout": "trial_timeout_s",
            "stop_when_flat": "stops_when_flat",
        }
        left: dict[str, Any] = {name: None for key, name in names.items() if key in said}
        if self.stops_when_flat == stops_when_flat:
            left.pop("stops_when_flat", None)
        return replace(self, **left)


@spread
def run(
    context: typer.Context,
    asked: SearchOptions,
    options: RunOptions,
    notify: Annotated[
        str | None,
        typer.Option(help="Command to run once at the end or at a fault; JSON on its input."),
    ] = None,
    _trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Train the trials of a sweep: create it, or go on with it.

    Options that are not given keep what the sweep was created with, or changed to.
    """
    said = context.meta.get(SAID, {})
    _run(asked.make_request(), options, notify, said, as_json=json)


def _run(
    request: Request,
    options: RunOptions,
    notify: str | None,
    said: Mapping[str, Setting],
    *,
    as_json: bool,
) -> None:
    """Refuse what is wrong, the cheapest checks first, and run the main job."""
    from sweep.cli.notification import check_notify, notify_at_end
    from sweep.plan.check_words import check_words
    from sweep.plan.names import choose_name
    from sweep.plan.network import check_names, require_model
    from sweep.storage.database_file import check_folder, is_new

    check_options(options)
    check_notify(notify, is_detached=options.is_detached)
    check_words(request)
    check_folder(options.storage)
    name = choose_name(request, options.sweep)
    if is_new(options.storage):
        check_names(require_model(request.model))
    from sweep.plan.check_request import (
        check_request,  # late: what is wrong with the words is known by now
    )

    if said:
        request, options = _keep(request, options, name, said)
    check_request(request, options.storage, name)
    from sweep.cli.run_job import run_job  # late: so is what the sweep is that goes on

    warn_of_network_file(options.storage)
    with notify_at_end(notify, options.storage, name):
        run_job(request, options, as_json=as_json)


def _keep(
    request: Request, options: RunOptions, name: str, said: Mapping[str, Setting]
) -> tuple[Request, RunOptions]:
    """Leave out what files say of a sweep that is there, and tell where it has it otherwise."""
    from sweep.cli.output import print_note
    from sweep.plan.kept import leave_out, tell_kept
    from sweep.storage.engine import close_after, create_engine, parse_url
    from sweep.storage.sweeps import find_stored

    with close_after(create_engine(parse_url(options.storage))) as engine:
        stored = find_stored(engine, name)
    if stored is None:
        return request, options
    for line in tell_kept(stored, said):
        print_note(line)
    return leave_out(request, said), options.leave_out(said, stops_when_flat=stored.stops_when_flat)


def worker(
    sweep: Annotated[
        str | None,
        typer.Option(
            help="Work on this sweep only.  [all, in fair turn]", autocompletion=offer_sweeps
        ),
    ] = None,
    forever: Annotated[
        bool, typer.Option("--forever", help="Wait for more where nothing is left to train.")
    ] = False,
    timeout: Timeout = None,
    storage: Storage = DEFAULT_STORAGE,
    artifacts: Artifacts = Path(DEFAULT_ARTIFACTS),
    device: Annotated[
        str,
        typer.Option(
            help="auto, cpu, cuda or cuda:N.", autocompletion=offer("auto", "cpu", "cuda")
        ),
    ] = "auto",
    threads: Annotated[int | None, typer.Option(help="Threads of PyTorch on a CPU.")] = None,
    at_once: Annotated[
        int | None,
        typer.Option(help="Trials to train at once.  [1, or what the GPU's memory has room for]"),
    ] = None,
    _trust_code: TrustCode = False,
    parent: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Train trials in this process, of any sweep of the database, until nothing is left.

    SIGINT asks it to leave after the epoch, a second one or SIGTERM to leave at once. Either way
    its trial goes on elsewhere from its checkpoint.
    """
    from sweep.worker.options import WorkerOptions

    options = WorkerOptions(
        storage,
        sweep,
        artifacts,
        device,
        threads,
        at_once,
        is_forever=forever,
        is_started_by_us=parent is not None,
    )
    options.check()
    if parent is None and not forever:
        check_stored(storage, *([sweep] if sweep else []))
    from sweep.cli.output import print_note
    from sweep.dashboard.publisher import keep_fresh
    from sweep.machine.garbage import end_loading
    from sweep.machine.signals import Signals
    from sweep.storage.transactions import (
        hurry,  # late: what is wrong with the options is known by now
    )
    from sweep.worker.worker import run_worker

    logging.basicConfig(format="%(levelname)s %(message)s")
    if parent is None:
        warn_of_network_file(storage)
    signals = Signals(parent, timeout, hurry)
    signals.install()
    end_loading()
    keep = partial(keep_fresh, sweep=sweep, say=print_note, is_hurried=signals.is_immediate)
    run_worker(options, signals, print_note, beside=None if parent else keep)
