"""`sweep confirm`: the best trials and the recommended point, trained again with fresh seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from sweep.cli.job_options import JobOptions, check_options, read_wish
from sweep.cli.option_groups import spread
from sweep.cli.options import (
    Json,
    SweepName,
    TrustCode,
    open_sweep,
    warn_of_network_file,
)


@dataclass(frozen=True)
class ConfirmOptions(JobOptions):
    """How far `sweep confirm` goes, and where."""

    sweep: SweepName = None


@spread
def confirm(
    options: ConfirmOptions,
    top: Annotated[
        int | None, typer.Option(help="How many of the best, beside the recommended point.  [4]")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Most trainings of each; two come first.  [3]")
    ] = None,
    _trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Train the best trials and the recommended point again, with fresh seeds, and name a winner.

    The clearly worse are dropped after two trainings. The winner's network is judged once on the
    events that were set aside when the search began.
    """
    from sweep.plan.confirmation_plan import check_size

    check_options(options)
    check_size(top, seeds)
    engine, found = open_sweep(options.storage, options.sweep)
    from sweep.cli.confirm_job import run_confirmation  # late: a database is there

    warn_of_network_file(options.storage)
    wish = read_wish(options)
    run_confirmation(engine, found, options, wish, top, seeds, as_json=json)
