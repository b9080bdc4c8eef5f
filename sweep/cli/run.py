"""`sweep run` and `sweep worker`: the main job."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.completion import offer_sweeps
from sweep.cli.options import (
    DEFAULT_ARTIFACTS,
    DEFAULT_STORAGE,
    Address,
    Artifacts,
    Data,
    Detach,
    Fix,
    Gpus,
    Json,
    LauncherName,
    Model,
    Objective,
    PerGpu,
    Profile,
    Pruner,
    Recipe,
    Sampler,
    Seed,
    Storage,
    TestData,
    TestEvents,
    Timeout,
    TrialTimeout,
    TrustCode,
    ValData,
    ValEvents,
    Variant,
    Workers,
    XKey,
    YKey,
    check_stored,
    warn_of_network_file,
)
from sweep.launch.launchers import LOCAL

if TYPE_CHECKING:
    from sweep.cli.job_options import JobOptions
    from sweep.plan.request import Request


def run(
    model: Model = None,
    trials: Annotated[int | None, typer.Option(help="Trials to train in all.  [50]")] = None,
    data: Data = None,
    val_data: ValData = None,
    events: Annotated[int | None, typer.Option(help="Training events.")] = None,
    val_events: ValEvents = None,
    test_data: TestData = None,
    test_events: TestEvents = None,
    x_key: XKey = None,
    y_key: YKey = None,
    variant: Variant = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training events.")] = None,
    recipe: Recipe = None,
    profile: Profile = None,
    timeout: Timeout = None,
    trial_timeout: TrialTimeout = None,
    storage: Storage = DEFAULT_STORAGE,
    artifacts: Artifacts = Path(DEFAULT_ARTIFACTS),
    sweep: Annotated[
        str | None,
        typer.Option(help="Name of the sweep.  [the model's]", autocompletion=offer_sweeps),
    ] = None,
    sampler: Sampler = None,
    pruner: Pruner = None,
    objective: Objective = None,
    seed: Seed = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="lr=1e-4:1e-2:log, hidden_size=32,64; again for more."),
    ] = None,
    fix: Fix = None,
    workers: Workers = None,
    gpus: Gpus = None,
    per_gpu: PerGpu = None,
    launcher: LauncherName = LOCAL,
    address: Address = None,
    detach: Detach = False,
    no_confirm: Annotated[
        bool, typer.Option("--no-confirm", help="Do not train the best ones again at the end.")
    ] = False,
    notify: Annotated[
        str | None,
        typer.Option(help="Command to run once at the end or at a fault; JSON on its input."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of these options.  [sweep.toml, if there]")
    ] = None,
    _trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Train the trials of a sweep: create it, or go on with it.

    Options that are not given keep what the sweep was created with.
    """
    from sweep.cli.job_options import JobOptions
    from sweep.plan.request import Request

    request = Request(
        model=model,
        data=tuple(data or ()),
        val_data=tuple(val_data or ()),
        test_data=tuple(test_data or ()),
        x_key=x_key,
        y_key=y_key,
        variant=variant,
        events=events,
        val_events=val_events,
        test_events=test_events,
        epochs=epochs,
        recipe=recipe,
        sampler=sampler,
        pruner=pruner,
        objective=objective,
        seed=seed,
        profile=profile,
        dimensions=tuple(set_ or ()),
        fixed=tuple(fix or ()),
    )
    options = JobOptions(
        trials=trials,
        timeout_s=timeout,
        trial_timeout_s=trial_timeout,
        storage=storage,
        artifacts=artifacts,
        sweep=sweep,
        workers=workers,
        gpus=gpus,
        per_gpu=per_gpu,
        launcher=launcher,
        address=address,
        is_detached=detach,
        is_confirming=not no_confirm,
    )
    _run(request, options, config, notify, as_json=json)


def _run(
    request: Request,
    options: JobOptions,
    config: Path | None,
    notify: str | None,
    *,
    as_json: bool,
) -> None:
    """Refuse what is wrong, the cheapest checks first, and run the main job."""
    from storage.database_file import check_folder, is_new
    from sweep.cli.config_file import lay_over_file
    from sweep.cli.job_options import check_options
    from sweep.cli.notification import check_notify, notify_at_end
    from sweep.plan.check_words import check_words
    from sweep.plan.names import choose_name
    from sweep.plan.network import check_name, require_model

    check_options(options)
    check_notify(notify, is_detached=options.is_detached)
    check_words(request)
    request, options, trusts = lay_over_file(request, options, config)
    check_options(options)
    check_words(request)
    check_folder(options.storage)
    name = choose_name(request, options.sweep)
    if is_new(options.storage):
        check_name(require_model(request.model))
    from sweep.plan.check_request import (
        check_request,  # late: what is wrong with the words is known by now
    )

    check_request(request, options.storage, name)
    from sweep.cli.run_job import run_job  # late: so is what the sweep is that goes on

    warn_of_network_file(options.storage)
    with notify_at_end(notify, options.storage, name):
        run_job(request, options, trusts=trusts, as_json=as_json)


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
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="Threads of PyTorch on a CPU.")] = None,
    _trust_code: TrustCode = False,
    parent: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Train trials in this process, of any sweep of the database, until nothing is left.

    SIGINT asks it to leave after the epoch, a second one or SIGTERM to leave at once. Either way
    its trial goes on elsewhere from its checkpoint.
    """
    from sweep.worker.options import WorkerOptions

    options = WorkerOptions(
        storage, sweep, artifacts, device, threads, forever, is_started_by_us=parent is not None
    )
    options.check()
    if parent is None and not forever:
        check_stored(storage, *([sweep] if sweep else []))
    from storage.engine import hurry  # late: what is wrong with the options is known by now
    from sweep.cli.output import print_note
    from sweep.dashboard.publisher import keep_fresh
    from sweep.signals import Signals
    from sweep.worker.worker import run_worker

    logging.basicConfig(format="%(levelname)s %(message)s")
    if parent is None:
        warn_of_network_file(storage)
    signals = Signals(parent, timeout, hurry)
    signals.install()
    keep = partial(keep_fresh, sweep=sweep, say=print_note, is_hurried=signals.is_immediate)
    run_worker(options, signals, print_note, beside=None if parent else keep)
