"""`sweep curve`: efficiency against the number of training events."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    PerGpu,
    Profile,
    Recipe,
    Seed,
    Storage,
    Timeout,
    TrialTimeout,
    TrustCode,
    ValData,
    ValEvents,
    Variant,
    Workers,
    XKey,
    YKey,
    warn_of_network_file,
)
from sweep.launch.launchers import LOCAL

if TYPE_CHECKING:
    from sweep.cli.job_options import JobOptions
    from sweep.plan.request import CurveRequest, Request


def curve(
    model: Model = None,
    events: Annotated[
        str | None, typer.Option(help="Numbers of training events: 1000,2000,4000.")
    ] = None,
    repeats: Annotated[int | None, typer.Option(help="Trainings with each number.  [3]")] = None,
    equal: Annotated[
        str | None,
        typer.Option(help="What every size has alike: passes (events seen) or epochs.  [passes]"),
    ] = None,
    lender: Annotated[
        str | None,
        typer.Option(
            "--from", help="Sweep whose best trial and data to take.  [the model's, if there]"
        ),
    ] = None,
    fix: Fix = None,
    data: Data = None,
    val_data: ValData = None,
    val_events: ValEvents = None,
    x_key: XKey = None,
    y_key: YKey = None,
    variant: Variant = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training events of the largest size.")
    ] = None,
    recipe: Recipe = None,
    profile: Profile = None,
    seed: Seed = None,
    timeout: Timeout = None,
    trial_timeout: TrialTimeout = None,
    storage: Storage = DEFAULT_STORAGE,
    artifacts: Artifacts = Path(DEFAULT_ARTIFACTS),
    sweep: Annotated[
        str | None, typer.Option(help="Name of the curve.  [the model's with `sample size`]")
    ] = None,
    workers: Workers = None,
    gpus: Gpus = None,
    per_gpu: PerGpu = None,
    launcher: LauncherName = LOCAL,
    address: Address = None,
    detach: Detach = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the curve: .png or .html.")] = None,
    _trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Train with few and with many events, several times each, and show what more events bring.

    The trials are those of a sweep of their own, which is interrupted and gone on with as any.
    Options that are not given keep what it was created with.
    """
    from sweep.cli.job_options import JobOptions
    from sweep.plan.curve import parse_sizes
    from sweep.plan.request import CurveRequest, Request

    request = Request(
        model=model,
        data=tuple(data or ()),
        val_data=tuple(val_data or ()),
        x_key=x_key,
        y_key=y_key,
        variant=variant,
        val_events=val_events,
        epochs=epochs,
        recipe=recipe,
        seed=seed,
        profile=profile,
        fixed=tuple(fix or ()),
    )
    asked = CurveRequest(sizes=parse_sizes(events), repeats=repeats, equal=equal)
    options = JobOptions(
        trials=None,
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
    )
    _run_curve(request, asked, options, lender, plot, as_json=json)


def _run_curve(
    request: Request,
    asked: CurveRequest,
    options: JobOptions,
    lender: str | None,
    plot: Path | None,
    *,
    as_json: bool,
) -> None:
    """Refuse what is wrong, the cheapest checks first, and train the curve."""
    from storage.database_file import check_folder
    from sweep.cli.job_options import check_options
    from sweep.plan.check_words import check_words
    from sweep.plan.network import require_model

    if options.sweep is None and lender is None:
        require_model(request.model)
    check_options(options)
    check_words(request)
    if plot is not None:
        from sweep.figures.png import check_picture_path

        check_picture_path(plot)
    check_folder(options.storage)
    from storage.engine import close_after, create_engine, parse_url  # late: they take a while
    from sweep.plan.check_request import check_request
    from sweep.results.origin import complete_request, name_curve

    with close_after(create_engine(parse_url(options.storage))) as engine:
        name = options.sweep or name_curve(engine, request.model, lender)
        request = complete_request(engine, name, request, asked, lender)
    check_request(request, options.storage, name)
    from sweep.cli.curve_job import run_curve  # late: what is wrong is known by now

    warn_of_network_file(options.storage)
    run_curve(request, replace(options, sweep=name), plot, as_json=as_json)
