"""`sweep curve`: efficiency against the number of training events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.completion import offer_sweeps
from sweep.cli.job_options import JobOptions, SweepJobOptions, check_options
from sweep.cli.option_groups import spread
from sweep.cli.options import Json, TrustCode, warn_of_network_file
from sweep.cli.request_options import RequestOptions

if TYPE_CHECKING:
    from sweep.plan.request import CurveRequest, Request


@dataclass(frozen=True)
class CurveOptions(SweepJobOptions):
    """How far `sweep curve` goes, and where."""

    sweep: Annotated[
        str | None,
        typer.Option(
            help="Name of the curve.  [the model's with `sample size`]", autocompletion=offer_sweeps
        ),
    ] = None


@spread
def curve(
    asked: RequestOptions,
    options: CurveOptions,
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
            "--from",
            help="Sweep whose best trial and data to take.  [the model's, if there]",
            autocompletion=offer_sweeps,
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the curve: .png or .html.")] = None,
    _trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Train with few and with many events, several times each, and show what more events bring.

    The trials are those of a sweep of their own, which is interrupted and gone on with as any.
    Options that are not given keep what it was created with.
    """
    from sweep.plan.curve import parse_sizes
    from sweep.plan.request import CurveRequest

    sizes = CurveRequest(sizes=parse_sizes(events), repeats=repeats, equal=equal)
    _run_curve(asked.make_request(), sizes, options, lender, plot, as_json=json)


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
    from sweep.plan.check_words import check_words
    from sweep.plan.network import require_model
    from sweep.storage.database_file import check_folder

    if options.sweep is None and lender is None:
        require_model(request.model)
    check_options(options)
    check_words(request)
    if plot is not None:
        from sweep.figures.png import PICTURES
        from sweep.files.output_file import check_output

        check_output(plot, PICTURES)
    check_folder(options.storage)
    from sweep.cli.output import print_note
    from sweep.plan.check_request import check_request
    from sweep.results.curve_origin import complete_request, name_curve
    from sweep.storage.engine import (  # late: they take a while
        close_after,
        create_engine,
        parse_url,
    )

    with close_after(create_engine(parse_url(options.storage))) as engine:
        name = options.sweep or name_curve(engine, request.model, lender)
        request = complete_request(engine, name, request, asked, lender)
    origin = request.curve.origin if request.curve else None
    if origin is not None and origin.note:
        print_note(origin.note)
    check_request(request, options.storage, name)
    from sweep.cli.curve_job import run_curve  # late: what is wrong is known by now

    warn_of_network_file(options.storage)
    run_curve(request, replace(options, sweep=name), plot, as_json=as_json)
