"""JSON that stands in a column: whoever may write to the database may have put anything there."""

from __future__ import annotations

import json
from typing import Any

from sweep.storage.errors import StorageError


def parse_column(text: str, place: str) -> Any:
    """Parse what a column holds.

    Raises:
        StorageError: when it is no JSON, or nested too deep.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        reason = "brackets nested too deep" if isinstance(exc, RecursionError) else exc
        raise StorageError(
            f"{place}: not readable, got {reason}, expected JSON; restore it from a backup"
        ) from exc
