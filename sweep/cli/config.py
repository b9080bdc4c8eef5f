"""`sweep config`: what holds where nothing is typed, and who says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from sweep.cli.options import Config, Json, Site
from sweep.launch.launchers import LOCAL
from sweep.settings.settings import DEFAULT_ARTIFACTS, DEFAULT_STORAGE, Settings, find_settings
from sweep.settings.settings_file import KEPT, KINDS, SITE, Sayer, Setting

VARIABLES = {
    "storage": "SWEEP_STORAGE",
    "artifacts": "SWEEP_ARTIFACTS",
    "address": "RAY_ADDRESS",
    "trust_code": "SWEEP_TRUST_CODE",
    "cache": "SWEEP_CACHE",
    "data_folders": "SWEEP_DATA",
    "lease_s": "SWEEP_LEASE_S",
    "dashboard_password_file": "SWEEP_DASHBOARD_PASSWORD_FILE",
    "dashboard_password": "SWEEP_DASHBOARD_PASSWORD",
}
"""Settings that a variable may say, before any file; the last ones nothing else."""
SECRET = "dashboard_password"
DEFAULTS = {
    "storage": DEFAULT_STORAGE,
    "artifacts": DEFAULT_ARTIFACTS,
    "gpus": "all",
    "per_gpu": "auto",
    "launcher": LOCAL,
    "device": "auto",
}
"""What is shown without any word; every other default is told by `sweep run --help`."""


def config(config: Config = None, site: Site = None, json: Json = False) -> None:
    """Show each setting that holds where nothing is typed, its value and where it comes from."""
    from sweep.cli.console import open_console
    from sweep.cli.grid import Grid
    from sweep.cli.output import print_json, print_note

    settings = find_settings(config, site)
    rows = list(_list_rows(settings))
    for note in settings.notes:
        print_note(note)
    if json:
        print_json(_describe(settings, rows))
        return
    grid = Grid({"setting": "whole", "value": "prose", "from": "prose"})
    for key, found in rows:
        grid.add_row(key, _write(found.value), str(found.sayer))
    for key, found in settings.withheld.items():
        told = f"{found.sayer}, not taken: code is not run unasked"
        grid.add_row(key, _write(found.value), told)
    open_console().print(grid)
    kept = [key for key in settings.values if key in KEPT or key not in KINDS]
    if kept:
        print_note(f"for a new sweep: {', '.join(kept)}; one that is there keeps what it has")
    if settings.sites:
        chosen = f"{settings.site.value} ({settings.site.sayer})" if settings.site else "none"
        print_note(f"site: {chosen}; there are {', '.join(settings.sites)}")


def _list_rows(settings: Settings) -> Iterator[tuple[str, Setting]]:
    """List what holds: of a variable, else of a file, else of the program."""
    space = [key for key in settings.values if key not in KINDS]
    for key in dict.fromkeys((*KINDS, *space, *VARIABLES)):
        variable = VARIABLES.get(key, "")
        said = os.environ.get(variable)
        if said:
            yield key, Setting("***" if key == SECRET else _hide(said), Sayer(variable))
        elif key in settings.values:
            found = settings.values[key]
            yield key, Setting(_hide(found.value), found.sayer)
        elif key in DEFAULTS:
            yield key, Setting(DEFAULTS[key], Sayer("default"))


def _hide(value: Any) -> Any:
    """Give a value without the password of a database's address."""
    if not isinstance(value, str) or ":" not in value:
        return value
    from sweep.storage.passwords import hide_passwords  # late: it loads SQLAlchemy

    return hide_passwords(value)


def _write(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(value) if isinstance(value, list) else str(value)


def _describe(settings: Settings, rows: list[tuple[str, Setting]]) -> dict[str, Any]:
    """Describe the settings as JSON."""
    said = {key: _describe_one(found) for key, found in rows}
    return {
        "site": settings.site.value if settings.site else None,
        "sites": list(settings.sites),
        "files": [str(path) for path in settings.files],
        "settings": {key: said.get(key) for key in (*(k for k in KINDS if k != SITE), *said)},
        "withheld": {key: _describe_one(found) for key, found in settings.withheld.items()},
    }


def _describe_one(setting: Setting) -> dict[str, Any]:
    return {
        "value": setting.value,
        "from": setting.sayer.name,
        "line": setting.sayer.line,
    }
