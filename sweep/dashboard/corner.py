"""What stands in the corner of optuna-dashboard's own page: our pages, and the end of a visit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from sweep.dashboard.headers import Header
from sweep.dashboard.routes import HISTORY_SCRIPT, SWEEPS
from sweep.dashboard.visits import Visit

_LOOK = (
    "padding: 0.35rem 0.8rem; border: 1px solid #6b7682; border-radius: 0.3rem; background: #fff;"
    " color: #1b1f24; font: 0.85rem/1.4 system-ui, sans-serif; text-decoration: none;"
    " cursor: pointer"
)
LINK = f'<a href="{SWEEPS}" style="{_LOOK}">All sweeps</a>'
BUTTON = f"""<form method="post" action="/logout" style="margin: 0">
<button type="submit" style="{_LOOK}">Log out</button>
</form>"""
CORNER = """<nav aria-label="sweep" style="position: fixed; right: 0.75rem; top: 0.9rem;
 z-index: 1250; display: flex; gap: 0.5rem">
{content}
</nav>
"""
SCRIPT = f'<script src="{HISTORY_SCRIPT}" defer></script>\n'
END = b"</body>"
CONDITIONS = frozenset(
    {"HTTP_IF_MODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_IF_RANGE", "HTTP_RANGE"}
)
"""What asks for less than the whole page."""
OF_THE_OLD_BODY = frozenset({"content-length", "last-modified", "etag", "accept-ranges"})


def serve_with_corner(
    inner: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse, visit: Visit
) -> Iterable[bytes]:
    """Serve a page of an application with the link to our pages, and the button to log out.

    Args:
        visit: Whose; who has no ticket cannot log out.
    """
    begun: list[tuple[str, list[Header]]] = []

    def keep(status: str, headers: list[Header], _exc_info: Any = None) -> Any:
        begun.append((status, headers))

    whole = {key: value for key, value in environ.items() if key not in CONDITIONS}
    whole.pop("wsgi.file_wrapper", None)
    body = _read(inner(whole | {"REQUEST_METHOD": "GET"}, keep))
    text, end, rest = body.rpartition(END)
    if end:
        content = "\n".join((LINK, BUTTON) if visit.has_ticket else (LINK,))
        body = text + (CORNER.format(content=content) + SCRIPT).encode() + end + rest
    status, headers = begun[-1]
    kept = [header for header in headers if header[0].lower() not in OF_THE_OLD_BODY]
    start_response(status, [*kept, ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _read(parts: Iterable[bytes]) -> bytes:
    try:
        return b"".join(parts)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
