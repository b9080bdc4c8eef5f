"""What holds where nothing is typed: `sweep.toml` of a person and of a project, and variables.

One lookup for every command and for Python. Nearest first:

1. the file that `--config` or SWEEP_CONFIG names; without one, the `sweep.toml` of this folder or,
   in a checkout, of the nearest folder above it, up to that of the checkout;
2. the person's own, `~/.config/sweep/sweep.toml` (or under XDG_CONFIG_HOME).

The tables of the chosen site (`--site`, SWEEP_SITE, or `site` in a file) come before what the files
say else. Options and variables win over all. docs/TRUST.md says what a file above may not say.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import ConfigError, list_allowed
from sweep.settings.settings_file import SITE, Sayer, Setting, SettingsFile, read_settings_file

NAME = "sweep.toml"
CONFIG_VARIABLE, SITE_VARIABLE = "SWEEP_CONFIG", "SWEEP_SITE"
DEFAULT_STORAGE = "sqlite:///sweep.db"
DEFAULT_ARTIFACTS = "sweep_artifacts"
SHARED = {
    "storage": ("SWEEP_STORAGE", DEFAULT_STORAGE),
    "artifacts": ("SWEEP_ARTIFACTS", DEFAULT_ARTIFACTS),
}
"""The variable of each, and what holds without any word."""


@dataclass(frozen=True)
class Settings:
    """What the files say.

    Attributes:
        values: By key; what the space is made of as `space.lr`.
        files: That were read, the one that wins first.
        site: Which site was chosen, and by whom; None where none was.
        sites: Names of all.
        withheld: What a file above this folder says and may not: code is not run unasked.
        notes: What a person should know of the files, a line each.
    """

    values: Mapping[str, Setting]
    files: tuple[Path, ...]
    site: Setting | None
    sites: tuple[str, ...]
    withheld: Mapping[str, Setting]
    notes: tuple[str, ...]


def find_settings(config: str | None = None, site: str | None = None) -> Settings:
    """Read what the files say.

    Args:
        config: The file that was typed, or None.
        site: The site that was typed, or None.

    Raises:
        ConfigError: when a file is missing that was named, or says what cannot be, or there is no
            such site.
    """
    notes: list[str] = []
    named = config if config is not None else os.environ.get(CONFIG_VARIABLE)
    project = Path(named).expanduser() if named else _find_project(notes)
    own = _find_own(project, notes)
    files = [read_settings_file(path) for path in (project, own) if path is not None]
    chosen = _choose_site(site, files)
    layers = [file.sites.get(chosen.value, {}) for file in files] if chosen else []
    layers += [file.values for file in files]
    values: dict[str, Setting] = {}
    for layer in reversed(layers):
        values |= layer
    values.pop(SITE, None)
    withheld = {}
    if project and not named and project.is_absolute():
        here = str(project)
        withheld = {
            key: setting
            for key, setting in values.items()
            if setting.sayer.name == here and _is_code(key, setting)
        }
    return Settings(
        values={key: setting for key, setting in values.items() if key not in withheld},
        files=tuple(file.path for file in files),
        site=chosen,
        sites=tuple(dict.fromkeys(name for file in files for name in file.sites)),
        withheld=withheld,
        notes=tuple(notes),
    )


def find_place(key: str) -> Setting:
    """Give the storage or the artifacts that hold where nothing is typed.

    Raises:
        ConfigError: as `find_settings`.
    """
    variable, default = SHARED[key]
    if os.environ.get(variable):
        return Setting(os.environ[variable], Sayer(variable))
    return find_settings().values.get(key, Setting(default, Sayer("default")))


def _find_project(notes: list[str]) -> Path | None:
    """Find the nearest `sweep.toml`: of this folder, or above it within a checkout."""
    if os.path.isfile(NAME):
        if _is_foreign(Path(NAME)):
            notes.append(f"{NAME}: it belongs to others, or they can write it")
        return Path(NAME)
    for folder in _list_above():
        path = folder / NAME
        if os.path.isfile(path) and not _is_foreign(path):
            return path
        if os.path.isfile(path):
            notes.append(
                f"{path}: not read, it belongs to others or they can write it; name it with "
                "--config if you trust it"
            )
            return None
    return None


def _list_above() -> Iterator[Path]:
    """List the folders above this one, up to that of its checkout; none where it is in none."""
    here = Path.cwd()
    folders = [here, *here.parents]
    roots = [index for index, folder in enumerate(folders) if os.path.lexists(folder / ".git")]
    return iter(folders[1 : roots[0] + 1] if roots else [])


def _find_own(project: Path | None, notes: list[str]) -> Path | None:
    """Find the person's own file, where it is not the project's at once."""
    folder = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    path = Path(folder) / "sweep" / NAME
    if not os.path.isfile(path) or (project and _is_same(project, path)):
        return None
    if _is_foreign(path):
        notes.append(
            f"{path}: not read, it belongs to others or they can write it; mend its rights"
        )
        return None
    return path


def _is_foreign(path: Path) -> bool:
    """Say whether others than this person and the machine's own user can write a file."""
    found = path.stat()
    return found.st_uid not in (os.getuid(), 0) or bool(found.st_mode & stat.S_IWOTH)


def _is_same(first: Path, second: Path) -> bool:
    return first.exists() and first.samefile(second)


def _is_code(key: str, setting: Setting) -> bool:
    """Say whether a setting has a program run: a network's file, or trust in all of them."""
    return key == "trust_code" or (key == "model" and ".py" in str(setting.value))


def _choose_site(typed: str | None, files: list[SettingsFile]) -> Setting | None:
    """Choose the site: what is typed, the variable, or what the nearest file says."""
    chosen = None
    if typed is not None:
        chosen = Setting(typed, Sayer("--site"))
    elif os.environ.get(SITE_VARIABLE):
        chosen = Setting(os.environ[SITE_VARIABLE], Sayer(SITE_VARIABLE))
    else:
        said = [file.values[SITE] for file in files if SITE in file.values]
        chosen = said[0] if said else None
    known = sorted({name for file in files for name in file.sites})
    if chosen is not None and chosen.value not in known:
        where = "" if chosen.sayer.name == "--site" else f"{chosen.sayer}: "
        expected = list_allowed(known) if known else f"a table [sites.{chosen.value}] in {NAME}"
        raise ConfigError(
            f"{where}site: there is none of that name, got {chosen.value!r}, expected {expected}; "
            "check the spelling"
        )
    return chosen
