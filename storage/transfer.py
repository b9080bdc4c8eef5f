"""Copies sweeps from one database into another, with their files: whole, or nothing of them.

The rows are read in one snapshot and written in one transaction. The files are copied before, so
that a sweep that can be seen has them; what a broken-off copy leaves of them is taken up by the
next one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL

from sweep.storage import studies
from sweep.storage.artifacts import TrialFolder
from sweep.storage.engine import close_after, create_engine
from sweep.storage.errors import ArtifactError, StorageError
from sweep.storage.files import PREFIX, open_plain, write_file
from sweep.storage.migrations import create_tables
from sweep.storage.passwords import show_url
from sweep.storage.rows import SweepRows
from sweep.storage.sweeps import RUNNING, Sweep, find_sweep, list_sweeps
from sweep.storage.tables import check_writable, open_sweeps, sweeps, trials
from sweep.storage.transactions import open_snapshot, read_clock_s, retry


@dataclass(frozen=True)
class Folders:
    """The artifact folders that files are copied between."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Copied:
    """What was copied: the sweeps by name, rows in all, files, and files that were not found."""

    names: Sequence[str]
    num_rows: int
    num_files: int
    num_missing: int


def copy_sweeps(
    source: URL,
    target: URL,
    names: Sequence[str],
    folders: Folders | None,
    progress: Callable[[int, int], None],
) -> Copied:
    """Copy sweeps into another database: all of them, or none where something is wrong.

    Args:
        names: of the sweeps; none for all.
        folders: where the files of their trials are and shall be, or None to copy no files.

    Raises:
        UnknownSweepError: when a name is not in the source.
        StorageError: when a sweep is being trained, a name is taken in the target, or one of the
            databases or folders cannot be used.
    """
    if folders is not None and not folders.source.is_dir():
        raise StorageError(
            f"artifacts: no such folder, got {folders.source}, expected the one that the workers "
            "write to; name it with --artifacts"
        )
    with close_after(open_sweeps(source)) as origin:
        chosen = [find_sweep(origin, name) for name in dict.fromkeys(names)] or list_sweeps(origin)
        if not chosen:
            raise StorageError(
                f"storage: nothing to copy, got no sweep in {show_url(source)}, expected at least "
                "one; check the address"
            )

        def attempt() -> Copied:
            with open_snapshot(origin) as reader:
                _refuse_held(reader, chosen)
                with close_after(_prepare(target, chosen)) as goal:
                    return _copy(reader, goal, chosen, folders, progress)

        return retry(attempt)


def _refuse_held(reader: sa.Connection, chosen: Sequence[Sweep]) -> None:
    """Refuse to copy what is being trained: both copies would go on with the same trial."""
    held = reader.execute(
        sa.select(sweeps.c.name, sa.func.count())
        .join(trials, trials.c.sweep_id == sweeps.c.id)
        .where(
            sweeps.c.id.in_([sweep.id for sweep in chosen]),
            trials.c.state == RUNNING,
            trials.c.lease_until_s >= read_clock_s(reader),
        )
        .group_by(sweeps.c.name)
        .order_by(sweeps.c.name)
    ).first()
    if held is not None:
        name, num_held = held
        raise StorageError(
            f"sweep {name}: it is being trained, got {num_held} trials in the hands of workers, "
            "expected none; stop them with `sweep stop`, or copy from a backup"
        )


def _prepare(target: URL, chosen: Sequence[Sweep]) -> sa.Engine:
    """Make the target's tables where they are missing; refuse names that are taken."""
    engine = create_engine(target)
    create_tables(engine)
    check_writable(engine)
    names = [sweep.name for sweep in chosen]
    taken = ", ".join(sweep.name for sweep in list_sweeps(engine) if sweep.name in names)
    if taken:
        raise StorageError(
            f"sweep: the name is taken in {show_url(target)}, got {taken}, expected sweeps that "
            "are not there yet; nothing was copied, name others with --sweep"
        )
    studies.prepare_studies(target, names)
    return engine


def _copy(
    reader: sa.Connection,
    goal: sa.Engine,
    chosen: Sequence[Sweep],
    folders: Folders | None,
    progress: Callable[[int, int], None],
) -> Copied:
    names = [sweep.name for sweep in chosen]
    rows = SweepRows(reader, names)
    files = list(_list_files(rows, chosen, folders)) if folders else []
    num_rows = rows.count()
    total = len(files) + num_rows
    num_missing = 0
    for number, (path, copy) in enumerate(files, 1):
        if _is_plain(path):
            _copy_file(path, copy)
        else:
            num_missing += 1
        progress(number, total)
    try:
        with goal.begin() as writer:
            rows.write(writer, lambda done: progress(len(files) + done, total))
    except sa.exc.IntegrityError as exc:
        raise StorageError(
            f"sweep: somebody else has just made one of that name in {show_url(goal.url)}, got two "
            "at once, expected one; nothing was copied, look with `sweep list`"
        ) from exc
    return Copied(names, num_rows, len(files) - num_missing, num_missing)


def _list_files(
    rows: SweepRows, chosen: Sequence[Sweep], folders: Folders
) -> Iterator[tuple[Path, Path]]:
    """List the checkpoints and weights that are there and all files that the database names."""
    for sweep in chosen:
        for path in sorted(TrialFolder(folders.source, sweep, 0).path.parent.rglob("[!.]*")):
            if _is_plain(path) and not path.parent.name.startswith(PREFIX):
                yield path, folders.target / path.relative_to(folders.source)
    for name in rows.list_attached():
        yield folders.source / name, folders.target / name


def _is_plain(path: Path) -> bool:
    """Say whether a file is there, and no link: others may write to the folder, too."""
    return path.is_file() and not path.is_symlink()


def _copy_file(path: Path, copy: Path) -> None:
    def write(temporary: Path) -> None:
        with open_plain(path) as content, temporary.open("xb") as target:
            shutil.copyfileobj(content, target)

    try:
        write_file(copy, write)
    except OSError as exc:
        raise ArtifactError(
            f"{copy}: cannot be written, got {str(exc)!r}, expected room on the disk and a folder "
            "that is writable; see to it and copy again"
        ) from exc
