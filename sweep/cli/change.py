"""`sweep change`: another space, rules, budget or priority, from the next trial on."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.cli.completion import offer, offer_sweeps
from sweep.cli.options import DEFAULT_STORAGE, Dimensions, FixedValues, Json, Storage, open_sweep
from sweep.errors import ConfigError, list_allowed
from sweep.search.pruners import PRUNERS
from sweep.search.samplers import SAMPLERS

FROZEN = {
    "the events say which networks are good": (
        *("--data", "--val-data", "--test-data", "--x-key", "--y-key", "--variant"),
        *("--events", "--val-events", "--test-events", "--profile"),
    ),
    "trials trained otherwise cannot be compared": ("--recipe", "--epochs", "--seed", "--model"),
    "by another one other trials would be the best": (
        *("--objective", "--cost", "--max-fp", "--max-parameters", "--max-latency-us"),
    ),
}
"""Options of `sweep run` that no change can have, by why not."""


def change(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the sweep.", autocompletion=offer_sweeps)],
    dimensions: Dimensions = None,
    fixed: FixedValues = None,
    trials: Annotated[int | None, typer.Option(help="Trials to train in all.")] = None,
    priority: Annotated[
        int | None, typer.Option(help="Among open sweeps workers take the highest first.")
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(help=f"{list_allowed(SAMPLERS)}.", autocompletion=offer(*SAMPLERS)),
    ] = None,
    pruner: Annotated[
        str | None, typer.Option(help=f"{list_allowed(PRUNERS)}.", autocompletion=offer(*PRUNERS))
    ] = None,
    why: Annotated[str | None, typer.Option(help="Your reason, kept with the change.")] = None,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Change where a sweep looks and by which rules, while it runs: a new version of it.

    Workers take it up with their next trial; trials that have begun keep theirs to their end. Old
    trials within the new space still teach the sampler. Data, recipe and objective stay.
    """
    _refuse_others(context, name)
    engine, sweep = open_sweep(storage, name)
    from sweep.cli.output import print_json, print_note  # late: a database is there
    from sweep.plan.changes import AskedChange
    from sweep.results.changes import describe_changes, tell_changes
    from sweep.results.edits import begin_version
    from sweep.results.status import read_status
    from sweep.storage.database_file import name_user

    asked = AskedChange(
        tuple(dimensions or ()), tuple(fixed or ()), trials, priority, sampler, pruner, why
    )
    status = read_status(engine, begin_version(engine, sweep, asked, name_user()))
    if json:
        print_json({"sweep": sweep.name, **describe_changes(status)[-1]})
        return
    print_note(f"{sweep.name}: {tell_changes(status)[-1]}")
    print_note(
        f"{sweep.name}: {status.counts.finished} of {status.sweep.budget} trials are finished; "
        + (
            "those that have begun keep the version that they have"
            if status.counts.unfinished
            else f"more of them are asked for by `sweep change {sweep.name} --trials N`"
        )
    )


def _refuse_others(context: typer.Context, name: str) -> None:
    """Refuse options that a change cannot have; those of `sweep run` with the reason."""
    for option in (text.partition("=")[0] for text in (name, *context.args)):
        for why, options in FROZEN.items():
            if option in options:
                raise ConfigError(
                    f"{option}: frozen while a sweep lives, since {why}, got {option}, expected "
                    "--set, --fix, --trials, --priority, --sampler or --pruner; start a "
                    "new sweep with --sweep"
                )
        if option.startswith("-"):
            context.fail(f"No such option: {option}")
    if context.args:
        context.fail(f"Got unexpected extra argument ({context.args[0]})")
