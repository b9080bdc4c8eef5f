"""`sweep storage`: bring a database forward, copy sweeps between databases, back one up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.configured import Program
from sweep.cli.options import DEFAULT_ARTIFACTS, DEFAULT_STORAGE, Artifacts, Storage

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

storage_app = Program(
    help="Bring a database forward; copy sweeps between databases; back one up.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Database = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME."


@storage_app.command()
def migrate(storage: Storage = DEFAULT_STORAGE) -> None:
    """Make the tables in an empty database, or bring those of an older version forward.

    For the latter no worker of that version may run, and for either only one process may do it.
    """
    from sweep.storage.database_file import check_address

    check_address(storage)
    from sweep.cli.output import print_note
    from sweep.storage.engine import open_engine, parse_url  # late: they take half a second
    from sweep.storage.migrations import create_tables, migrate_tables
    from sweep.storage.passwords import show_url
    from sweep.storage.studies import open_study_storage
    from sweep.storage.tables import has_tables

    url = parse_url(storage)
    engine = open_engine(url)
    is_empty = not has_tables(engine)
    if is_empty:
        create_tables(engine)
        open_study_storage(url)
    found, now = migrate_tables(engine)
    what = f"brought from version {found} to {now}" if found < now else "nothing to do"
    what = "tables made" if is_empty else what
    print_note(f"{show_url(engine.url)}: {what}; version {now} is the newest")


@storage_app.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help=Database)],
    target: Annotated[str, typer.Argument(metavar="TO", help=Database)],
    sweep: Annotated[
        list[str] | None, typer.Option(help="Name of a sweep; again for more.  [all]")
    ] = None,
    artifacts: Artifacts = Path(DEFAULT_ARTIFACTS),
    to_artifacts: Annotated[
        Path | None,
        typer.Option(help="Copy the trials' files from --artifacts into this folder, too."),
    ] = None,
) -> None:
    """Copy sweeps with their trials and curves into another database: all of them, or none.

    A search takes its confirmation along. Sweeps that are being trained are refused. Trials that
    are not finished go on in the copy from their checkpoints; go on with a sweep in one of the two
    databases only.
    """
    from sweep.storage.database_file import check_address, check_folder

    check_address(source)
    check_folder(target)
    from sweep.cli.output import print_note
    from sweep.cli.progress import show_progress
    from sweep.storage.engine import parse_url  # late: it takes half a second
    from sweep.storage.passwords import hide_password
    from sweep.storage.transfer import Folders, copy_sweeps

    names = _complete(parse_url(source), sweep or [])
    folders = None if to_artifacts is None else Folders(artifacts, to_artifacts)
    with show_progress("copying") as progress:
        copied = copy_sweeps(parse_url(source), parse_url(target), names, folders, progress)
    files = "" if folders is None else f" and {copied.num_files} files"
    print_note(
        f"{', '.join(copied.names)}: {copied.num_rows} rows{files} copied to "
        f"{hide_password(target)}; go on in one of the two databases only"
    )
    if copied.num_missing:
        print_note(f"{copied.num_missing} files that trials name are not in {artifacts}")


def _complete(source: URL, names: Sequence[str]) -> list[str]:
    """Add to the names of searches those of their confirmations and audits."""
    from sweep.results.confirmation import add_confirmations
    from sweep.storage.engine import close_after  # late: they take half a second
    from sweep.storage.sweeps import find_sweep
    from sweep.storage.tables import open_sweeps

    with close_after(open_sweeps(source)) as engine:
        found = [find_sweep(engine, name) for name in names]
        return [one.name for one in add_confirmations(engine, found)] if names else []


@storage_app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="SQLite file to write; a new one.")],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Write a consistent copy of a database into a file while workers go on.

    The file is a database itself, in which nothing runs; `sweep storage copy` brings it back.
    """
    from sweep.storage.database_file import check_address

    check_address(storage)
    from sweep.cli.output import print_note
    from sweep.cli.progress import show_progress
    from sweep.storage.backup import back_up  # late: it takes a second
    from sweep.storage.engine import parse_url

    with show_progress("backing up") as progress:
        names = back_up(parse_url(storage), file, progress)
    print_note(
        f"{file}: {', '.join(names) or 'no sweep'} backed up; to bring it back: "
        f"sweep storage copy sqlite:///{file} TO"
    )
