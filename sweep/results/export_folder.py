"""By what the folder of an export is known, told before anything heavy is loaded."""

from __future__ import annotations

import os
from pathlib import Path

from sweep.errors import ModelError

CONFIG_FILE = "config.json"
"""Of an export; by it a folder is known to be one."""


def is_export(text: str) -> bool:
    """Say whether a text names the folder of an export rather than a sweep."""
    return os.sep in text or (Path(text) / CONFIG_FILE).is_file()


def check_export(folder: Path) -> None:
    """Refuse a folder that is no export.

    Raises:
        ModelError: when it has no config.
    """
    if not (folder / CONFIG_FILE).is_file():
        raise ModelError(
            f"{folder}: no exported model, got no {CONFIG_FILE}, expected a folder that "
            "`sweep best --export` wrote; check the path"
        )
