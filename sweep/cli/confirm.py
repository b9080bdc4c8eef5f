"""`sweep confirm`: the best trials and the recommended point, trained again with fresh seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.options import (
    DEFAULT_ARTIFACTS,
    DEFAULT_STORAGE,
    Address,
    Artifacts,
    Gpus,
    Json,
    LauncherName,
    PerGpu,
    Storage,
    SweepName,
    Timeout,
    TrustCode,
    Workers,
    choose_sweep,
    open_database,
    warn_of_network_file,
)
from sweep.launch.launchers import LOCAL


def confirm(
    sweep: SweepName = None,
    top: Annotated[
        int | None, typer.Option(help="How many of the best, beside the recommended point.  [4]")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Most trainings of each; two come first.  [3]")
    ] = None,
    timeout: Timeout = None,
    storage: Storage = DEFAULT_STORAGE,
    artifacts: Artifacts = Path(DEFAULT_ARTIFACTS),
    workers: Workers = None,
    gpus: Gpus = None,
    per_gpu: PerGpu = None,
    launcher: LauncherName = LOCAL,
    address: Address = None,
    _trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Train the best trials and the recommended point again, with fresh seeds, and name a winner.

    The clearly worse are dropped after two trainings. The winner's network is judged once on the
    events that were set aside when the search began.
    """
    from sweep.cli.job_options import JobOptions, check_options, read_wish
    from sweep.plan.confirmation_plan import check_size

    options = JobOptions(
        trials=None,
        timeout_s=timeout,
        trial_timeout_s=None,
        storage=storage,
        artifacts=artifacts,
        sweep=sweep,
        workers=workers,
        gpus=gpus,
        per_gpu=per_gpu,
        launcher=launcher,
        address=address,
        is_detached=False,
    )
    check_options(options)
    check_size(top, seeds)
    engine = open_database(storage)
    found = choose_sweep(engine, sweep)
    from sweep.cli.confirm_job import run_confirmation  # late: a database is there

    warn_of_network_file(storage)
    wish = read_wish(options)
    run_confirmation(engine, found, options, wish, top, seeds, as_json=json)
