"""The addresses of our own pages, beside those of optuna-dashboard."""

from __future__ import annotations

import re
from dataclasses import dataclass

SWEEPS = "/sweeps"
HISTORY_SCRIPT = f"{SWEEPS}/history.js"
"""The one program of ours, which optuna-dashboard's page takes as a part of itself."""
STOP, RESUME, PRIORITY, POINT = "stop", "resume", "priority", "point"
EDITS = (STOP, RESUME, PRIORITY, POINT)
MAX_ID = 2**31 - 1
"""Of a study, a trial or a sweep: a whole number of the database; it fails on larger ones."""

_FORM = re.compile(rf"{SWEEPS}(?:/(?P<id>[0-9]{{1,10}})(?:/(?P<edit>{'|'.join(EDITS)}))?)?")


@dataclass(frozen=True)
class Route:
    """What an address of ours asks for: all sweeps, one of them, or a change of it."""

    sweep_id: int | None = None
    edit: str | None = None

    @property
    def path(self) -> str:
        """The address itself."""
        parts = (SWEEPS, self.sweep_id, self.edit)
        return "/".join(str(part) for part in parts if part is not None)


def is_ours(path: str | None) -> bool:
    """Say whether a page of ours is, or could be, at a path."""
    return path is not None and (path == SWEEPS or path.startswith(f"{SWEEPS}/"))


def find_route(path: str) -> Route | None:
    """Find what a path of ours asks for; None where nothing is there."""
    found = _FORM.fullmatch(path.rstrip("/"))
    if found is None:
        return None
    sweep_id = None if found["id"] is None else int(found["id"])
    return None if (sweep_id or 0) > MAX_ID else Route(sweep_id, found["edit"])
