"""What the shell offers when a person presses Tab within an option's value."""

from __future__ import annotations

from collections.abc import Callable

import typer


def offer(*words: str) -> Callable[[str], list[str]]:
    """Give what completes an option with one of these words."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def offer_sweeps(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete with the names of the sweeps in the database; with none where it cannot be read."""
    from sqlalchemy.exc import SQLAlchemyError

    from sweep.settings.settings import DEFAULT_STORAGE
    from sweep.storage.engine import close_after, open_engine, parse_url
    from sweep.storage.errors import StorageError
    from sweep.storage.sweeps import list_sweeps

    url = ctx.params.get("storage") or DEFAULT_STORAGE
    try:
        with close_after(open_engine(parse_url(url))) as engine:
            names = [sweep.name for sweep in list_sweeps(engine)]
    except (StorageError, SQLAlchemyError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def offer_sites(incomplete: str) -> list[str]:
    """Complete with the sites of the files that hold here; with none where they cannot be read."""
    from sweep.errors import ConfigError
    from sweep.settings.settings import find_settings

    try:
        names = find_settings().sites
    except ConfigError:
        return []
    return [name for name in names if name.startswith(incomplete)]
