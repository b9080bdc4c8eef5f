"""`sweep trials`, `sweep epochs`: every trial, every epoch, as tables for people and programs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.completion import offer_sweeps
from sweep.cli.option_groups import spread
from sweep.cli.options import (
    DEFAULT_STORAGE,
    Json,
    Storage,
    SweepName,
    open_sweep,
)
from sweep.errors import ConfigError, list_allowed

if TYPE_CHECKING:
    import pandas as pd

    from sweep.results.status import Status
    from sweep.storage.tables import Epoch

FORMS = ("csv", "parquet", "json")


@dataclass(frozen=True)
class TableOptions:
    """Of which sweep a table is wanted, and in which form."""

    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="The same as --sweep NAME.", autocompletion=offer_sweeps
        ),
    ] = None
    csv: Annotated[bool, typer.Option("--csv", help="Write CSV with every column.")] = False
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Write Parquet, which needs pyarrow.")
    ] = False
    json: Json = False
    out: Annotated[
        Path | None,
        typer.Option(help="Write into this file: .csv, .parquet or .json.  [standard output]"),
    ] = None
    sweep: SweepName = None
    storage: Storage = DEFAULT_STORAGE


@spread
def trials(options: TableOptions) -> None:
    """Show every trial of a sweep: hyperparameters, metrics with intervals, cost, state, reason."""
    form = choose_form(options)
    status, curves = _read_sweep(options)
    if form is None:
        from sweep.cli.tables import print_trials

        print_trials(status)
        return
    from sweep.results.frames import tabulate_trials  # late: it loads pandas

    write_frame(tabulate_trials(status, curves), form, options.out)


@spread
def epochs(options: TableOptions) -> None:
    """Show every epoch of every trial of a sweep: learning rate, losses, metrics with intervals."""
    form = choose_form(options)
    status, curves = _read_sweep(options)
    if form is None:
        from sweep.cli.tables import print_epochs

        print_epochs(status, curves)
        return
    from sweep.results.frames import tabulate_epochs  # late: it loads pandas

    write_frame(tabulate_epochs(status, curves), form, options.out)


def _read_sweep(options: TableOptions) -> tuple[Status, dict[int, list[Epoch]]]:
    """Read a sweep with all curves of its trials."""
    engine, found = open_sweep(options.storage, options.name or options.sweep)
    from sweep.results.status import read_status
    from sweep.storage.epochs import read_curves  # late: a database is there

    return read_status(engine, found), read_curves(engine, found.id)


def choose_form(options: TableOptions) -> str | None:
    """Choose the form of a table, or None for one that people read.

    Where no option says it, the ending of the file does that it goes to.

    Raises:
        ConfigError: when more than one is asked for, none can be told, or it cannot be written.
    """
    out, forms = options.out, [form for form in FORMS if getattr(options, form)]
    if len(forms) > 1:
        raise ConfigError(
            f"{forms[0]}: not alone, got --{' and --'.join(forms)}, expected one of them; leave "
            "the others out"
        )
    form = forms[0] if forms else out.suffix.removeprefix(".") if out else None
    if form is not None and form not in FORMS:
        raise ConfigError(
            f"out: unknown form of a table, got {out}, expected a name that ends in "
            f"{list_allowed(f'.{known}' for known in FORMS)}; change --out"
        )
    if form == "parquet":
        from sweep.files.output_file import check_parquet

        check_parquet()
    if form == "parquet" and out is None and sys.stdout.isatty():
        raise ConfigError(
            "parquet: no text, got a terminal to write it to, expected a file; name one with --out"
        )
    return form


def write_frame(frame: pd.DataFrame, form: str, out: Path | None) -> None:
    """Write a table in one of `FORMS` into a file, whole or not at all, or to standard output."""
    from sweep.cli.output import print_json, print_note
    from sweep.files.output_file import write_output

    if out is None and form == "json":
        from sweep.results.frames import list_records

        print_json(list_records(frame))
        return
    from sweep.results.frames import encode_frame

    content = encode_frame(frame, form)
    if out is None:
        sys.stdout.buffer.write(content)
        return
    write_output(out, lambda path: path.write_bytes(content))
    print_note(f"{out}: {len(frame)} rows, {len(frame.columns)} columns")
