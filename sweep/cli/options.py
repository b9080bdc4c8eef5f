"""Options that mean the same on every command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.completion import offer, offer_sites, offer_sweeps
from sweep.cli.output import keep_output_clean
from sweep.settings.settings import (
    CONFIG_VARIABLE,
    DEFAULT_ARTIFACTS,
    DEFAULT_STORAGE,
    SITE_VARIABLE,
)

if TYPE_CHECKING:
    import sqlalchemy as sa

    from sweep.storage.sweeps import Sweep

__all__ = ["DEFAULT_ARTIFACTS", "DEFAULT_STORAGE"]

Storage = Annotated[
    str,
    typer.Option(
        envvar="SWEEP_STORAGE",
        help="Database: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME.",
        show_default=True,
    ),
]
Artifacts = Annotated[
    Path,
    typer.Option(envvar="SWEEP_ARTIFACTS", help="Folder of checkpoints, weights and pictures."),
]
Config = Annotated[
    str | None,
    typer.Option(
        envvar=CONFIG_VARIABLE,
        metavar="FILE",
        help="TOML file of options.  [sweep.toml, here or above in the checkout]",
    ),
]
Site = Annotated[
    str | None,
    typer.Option(
        envvar=SITE_VARIABLE,
        help="Take what the table [sites.NAME] of the files says.",
        autocompletion=offer_sites,
    ),
]
SweepName = Annotated[
    str | None,
    typer.Option(
        "--sweep",
        help="Name of the sweep; not needed where there is only one.",
        autocompletion=offer_sweeps,
    ),
]


def _keep_output_clean(context: typer.Context, is_json: bool) -> bool:
    if is_json:
        context.with_resource(keep_output_clean())
    return is_json


Json = Annotated[
    bool,
    typer.Option(
        "--json", callback=_keep_output_clean, help="Print one JSON value and nothing else."
    ),
]


def _trust_code(context: typer.Context, is_asked: bool) -> bool:
    if is_asked:
        from sweep.files.trust import trust_all

        context.with_resource(trust_all())
    return is_asked


TrustCode = Annotated[
    bool,
    typer.Option(
        "--trust-code",
        callback=_trust_code,
        help="Run networks that come from the database or with an export (SWEEP_TRUST_CODE=1).",
    ),
]

Dimensions = Annotated[
    list[str] | None,
    typer.Option("--set", help="lr=1e-4:1e-2:log, hidden_size=32,64; again for more."),
]
FixedValues = Annotated[
    list[str] | None, typer.Option("--fix", help="num_layers=2; again for more.")
]
XKey = Annotated[str | None, typer.Option(help="Name of the features in the files.")]
YKey = Annotated[str | None, typer.Option(help="Name of the target in the files.")]
Variant = Annotated[
    str | None,
    typer.Option(
        help="Features of an HDF5 file that has both: kernel or poca.",
        autocompletion=offer("kernel", "poca"),
    ),
]
DecodeText = Annotated[
    str | None,
    typer.Option(
        "--decode",
        help="What counts as a peak: reference, or some of threshold=0.02,integral=0.3,width=3.  "
        "[the model's own]",
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", help="Seconds after which training stops gently."),
]


def open_database(storage: str) -> sa.Engine:
    """Open a database that holds sweeps.

    Raises:
        StorageError: when it is missing or holds none.
    """
    from sweep.storage.database_file import check_address

    check_address(storage)
    from sweep.storage.engine import parse_url  # late: they take half a second
    from sweep.storage.tables import open_sweeps

    return open_sweeps(parse_url(storage))


def open_sweep(storage: str, name: str | None) -> tuple[sa.Engine, Sweep]:
    """Open a database and find a sweep of it; raises as `open_database` and `choose_sweep`."""
    engine = open_database(storage)
    return engine, choose_sweep(engine, name)


def check_stored(storage: str, *sweeps: str) -> None:
    """Refuse a database that is not there or lacks a sweep, before torch is loaded.

    Raises:
        StorageError: when it is missing, or holds none of a name.
    """
    engine = open_database(storage)
    from sweep.storage.engine import close_after  # late: they take half a second
    from sweep.storage.sweeps import find_sweep

    with close_after(engine):
        for sweep in sweeps:
            find_sweep(engine, sweep)


def warn_of_network_file(storage: str) -> None:
    """Say that a database lies where SQLite is not safe, where that is so."""
    from sweep.cli.output import print_note
    from sweep.storage.engine import parse_url
    from sweep.storage.mounts import describe_network_file

    warning = describe_network_file(parse_url(storage))
    if warning:
        print_note(f"warning: {warning}")


def choose_sweep(engine: sa.Engine, name: str | None) -> Sweep:
    """Find the sweep of a name, or the only one, its confirmation aside.

    Raises:
        ConfigError: when no name was given and there is not exactly one.
        UnknownSweepError: when there is none of that name.
    """
    from sweep.errors import ConfigError
    from sweep.storage.sweeps import find_sweep, list_sweeps

    if name is not None:
        return find_sweep(engine, name)
    known = [sweep for sweep in list_sweeps(engine) if not sweep.config.get("confirmation")]
    if len(known) != 1:
        names = ", ".join(sweep.name for sweep in known) or "none"
        raise ConfigError(
            f"sweep: which one, got no name, expected one of: {names}; name it with --sweep"
        )
    return known[0]
