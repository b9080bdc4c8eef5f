"""`sweep dashboard`: the sweeps of a database in a browser."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.options import (
    DEFAULT_ARTIFACTS,
    DEFAULT_STORAGE,
    Artifacts,
    Storage,
    open_database,
)


def dashboard(
    host: Annotated[
        str, typer.Option(help="Address; any but this machine's own needs a password.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8080,
    storage: Storage = DEFAULT_STORAGE,
    artifacts: Artifacts = Path(DEFAULT_ARTIFACTS),
    allow_edit: Annotated[
        bool, typer.Option("--allow-edit", help="Let the browser change and delete studies.")
    ] = False,
    password_file: Annotated[
        Path | None,
        typer.Option(
            envvar="SWEEP_DASHBOARD_PASSWORD_FILE",
            help="File with the password; or set SWEEP_DASHBOARD_PASSWORD.",
        ),
    ] = None,
) -> None:
    """Show sweeps in a browser; behind a password where others can reach it."""
    from sweep.storage.database_file import check_address

    check_address(storage)
    from sweep.dashboard.entrance import Entrance
    from sweep.dashboard.passwords import read_password

    entrance = Entrance(host, port, read_password(os.environ, password_file), allow_edit)
    from sweep.cli.output import print_note
    from sweep.dashboard.server import serve
    from sweep.machine.garbage import end_loading
    from sweep.storage.engine import parse_url  # late: they take a second
    from sweep.storage.studies import open_study_storage

    logging.basicConfig(format="%(levelname)s %(message)s")
    engine = open_database(storage)
    end_loading()
    serve(engine, open_study_storage(parse_url(storage)), artifacts, entrance, print_note)
