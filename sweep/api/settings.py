"""Spaces as Python writes them: mappings, in the words that the command line takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def write_assignments(option: str, settings: Mapping[str, Any]) -> list[str]:
    """Write what hyperparameters are set to, `name=value` each.

    Args:
        option: `set` or `fix`; a list under `set` holds choices, under `fix` it is a value.
        settings: By name.
    """
    return [f"{name}={_write_setting(option, setting)}" for name, setting in settings.items()]


def _write_setting(option: str, setting: Any) -> str:
    if option == "set" and isinstance(setting, list | tuple):
        return ",".join(_write_setting("", one) for one in setting)
    return setting if isinstance(setting, str) else json.dumps(setting, ensure_ascii=False)
