"""What a sweep may be called."""

from __future__ import annotations

import re

from sweep.config import get_label
from sweep.errors import ConfigError
from sweep.plan.network import ALL, list_models, require_model
from sweep.plan.request import Request
from sweep.storage.names import COMPANION_SUFFIX

MAX_NAME_BYTES = 200
"""Of a sweep: a file's name has 255, and folders and logs add some to it."""


def choose_name(request: Request, name: str | None) -> str:
    """Choose the name of a sweep: the one asked for, else that of its model.

    Raises:
        ConfigError: when there is none, or it cannot be part of a file's name.
    """
    return _check_name(name_search(require_model(request.model)) if name is None else name)


def _check_name(name: str) -> str:
    """Refuse a name that cannot be part of a file's name: logs and checkpoints bear it."""
    if not re.fullmatch(r"[\w][\w .()+=,-]{0,99}", name) or len(name.encode()) > MAX_NAME_BYTES:
        raise ConfigError(
            f"sweep: not a name, got {name!r}, expected up to 100 letters, digits, spaces and "
            f"_ . - + = , ( ), of {MAX_NAME_BYTES} bytes in all; choose another with --sweep"
        )
    if name.endswith(COMPANION_SUFFIX):
        raise ConfigError(
            f"sweep: not a name, got {name!r}, expected one that does not end in "
            f"{COMPANION_SUFFIX!r}, which names a copy of a sweep; choose another with "
            "--sweep"
        )
    return name


def name_search(model: str) -> str:
    """Name the sweep of a model: as the model, without its file; of several, as they are named."""
    if model == ALL:
        return model
    return ",".join(map(get_label, list_models(model)))
