"""Who asks, as the gate found; it tells the pages behind it by a key of the request."""

from __future__ import annotations

from dataclasses import dataclass
from wsgiref.types import WSGIEnvironment

KEY = "sweep.visit"
"""In a request's environment, which no visitor can write to."""
MAX_NAME = 60


@dataclass(frozen=True)
class Visit:
    """A visitor.

    Attributes:
        name: What they call themselves; nobody checks it, since all have one password.
        session: What tells their visit from others; forms of one are refused in another.
        has_ticket: Whether they can log out.
    """

    name: str = ""
    session: str = ""
    has_ticket: bool = False

    @property
    def author(self) -> str:
        """Who is written beside what they change."""
        return f"{self.name or 'somebody'} (dashboard)"


def get_visit(environ: WSGIEnvironment) -> Visit:
    """Read from a request who asks."""
    visit: Visit = environ.get(KEY, Visit())
    return visit


def clean_name(text: str) -> str:
    """Give a name in one line of at most MAX_NAME letters."""
    return " ".join("".join(x if x.isprintable() else " " for x in text).split())[:MAX_NAME]
