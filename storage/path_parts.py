"""Names that come out of a database and become parts of a path, checked where they do.

Whoever may write to the database must not thereby write to any folder of whoever reads it.
"""

from __future__ import annotations

import re

from sweep.storage.errors import StorageError

ARTIFACT_ID = re.compile(r"[0-9a-fA-F-]{1,64}")
"""As Optuna gives them (a UUID), and as the dashboard takes them in an address."""
UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f]|^\.|^$")


def check_artifact_id(text: str) -> str:
    """Give back the name of an attached file in the artifact folder.

    Raises:
        StorageError: when it is none that Optuna gives.
    """
    if not ARTIFACT_ID.fullmatch(text):
        raise StorageError(
            f"artifacts: not the name of an attached file, got {text!r} in the database, expected "
            "digits, a to f and dashes; somebody changed it by hand: remove that attribute"
        )
    return text


def check_path_part(text: str) -> str:
    """Give back a sweep's name that is to be part of a file's name.

    Raises:
        StorageError: when it could lead out of the folder.
    """
    if UNSAFE.search(text):
        raise StorageError(
            f"sweep: not a name, got {text!r} in the database, expected one without / and a dot at "
            "its beginning; somebody changed it by hand: rename that sweep"
        )
    return text
