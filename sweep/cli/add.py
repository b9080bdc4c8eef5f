"""`sweep add`: a person's own points, tried next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.completion import offer_sweeps
from sweep.cli.options import DEFAULT_STORAGE, Json, Storage, open_sweep
from sweep.errors import ConfigError


def add(
    name: Annotated[str, typer.Argument(help="Name of the sweep.", autocompletion=offer_sweeps)],
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="lr=1e-3 hidden_size=32: one point."),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="Several points: a hyperparameter a column, a point a row."),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Have your own points tried next, by whatever worker comes; the budget stays as it is.

    The sampler chooses what a point does not name. Starting points still come first.
    """
    if bool(values) == (csv is not None):
        raise ConfigError(
            f"point: got {'both values and --csv' if values else 'none'}, expected name=value or "
            "--csv FILE; as `sweep add NAME lr=1e-3`"
        )
    engine, sweep = open_sweep(storage, name)
    from sweep.cli.output import print_json, print_note  # late: a database is there
    from sweep.results.edits import try_points
    from sweep.storage.database_file import name_user

    points, slots = try_points(engine, sweep, csv or values or (), name_user())
    if json:
        print_json({"sweep": sweep.name, "points": points, "slots": slots})
    else:
        said = "1 point is" if len(points) == 1 else f"{len(points)} points are"
        print_note(f"{sweep.name}: {said} tried next, within the {sweep.budget} trials")
