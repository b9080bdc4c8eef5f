"""`sweep models`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from sweep.cli.completion import offer
from sweep.cli.options import Json
from sweep.models import ARCHITECTURES


def models(
    json: Json = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="Only this one; FILE.py:CLASS for your own.", autocompletion=offer(*ARCHITECTURES)
        ),
    ] = None,
) -> None:
    """Show the architectures: parameters, search spaces, hand-tuned starting points."""
    from sweep.results.models import describe_models

    described = describe_models(model)
    from sweep.cli.output import print_json  # late: the name is known by now

    if json:
        print_json(described)
    else:
        _print(described)


def _print(described: Sequence[Mapping[str, Any]]) -> None:
    """Print the architectures, one block each."""
    from sweep.cli.console import open_console
    from sweep.cli.grid import Grid, name_columns
    from sweep.metrics.wording import describe_point

    console = open_console()
    for model in described:
        console.print(f"{model['name']}: {model['parameters']:,} parameters. {model['rationale']}")
        titles = ("hyperparameter", "default", "space", "on a CPU")
        table = Grid(name_columns(*titles, prose=("space", "on a CPU")))
        for name, text in model["space"].items():
            on_cpu = model["cpu_space"][name]
            table.add_row(
                f"  {name}", str(model["defaults"][name]), text, "" if on_cpu == text else on_cpu
            )
        console.print(table)
        for point in model["starting_points"]:
            console.print(f"  starts from {describe_point(point)}")
        if model["recommended"]:
            console.print(f"  then tries {describe_point(model['recommended'])}")
        if model["cpu_recommended"] != model["recommended"]:
            console.print(f"  then tries, on a CPU, {describe_point(model['cpu_recommended'])}")
        console.print()
