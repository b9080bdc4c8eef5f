"""The headers that every answer of the dashboard carries, and what a request's headers say."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit
from wsgiref.types import WSGIEnvironment

from sweep.dashboard.addresses import is_loopback
from sweep.dashboard.page_frame import POLICY as OWN_POLICY
from sweep.dashboard.routes import HISTORY_SCRIPT, is_ours

Header = tuple[str, str]

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-eval'; object-src 'none'; form-action 'self'"
)
"""What optuna-dashboard's pages need: its parallel coordinates compile shaders with eval."""
OTHER_POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; sandbox"
"""Everything else, as files that workers wrote, may be shown, but runs nothing."""
RUNNING_KINDS = ("script", "css", "wasm")
"""In the types of files that a page may take as a part of itself, sandbox or not."""
OURS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
REPLACED = {
    "access-control-allow-origin",  # artifacts would be readable by every page in the browser
    "content-security-policy",
    "cache-control",
    *(name.lower() for name in OURS),
}


def read_path(environ: WSGIEnvironment) -> str | None:
    """Read the path of a request as the application behind will.

    Servers hand on bytes; the application leaves out those that are no UTF-8, so `/%FFartifacts`
    means `/artifacts` to it. None is given for such a path, and for one with control characters or
    without its first slash.
    """
    raw = environ.get("PATH_INFO", "")
    try:
        path = raw.encode("latin-1").decode()
    except UnicodeError:
        return None
    return path if path.startswith("/") and not any(map(_is_control, path)) else None


def _is_control(letter: str) -> bool:
    return ord(letter) < 32 or 127 <= ord(letter) < 160


def secure_headers(path: str | None, headers: Iterable[Header]) -> list[Header]:
    """Give an answer's headers with what keeps the browser from harm.

    Args:
        path: Of the request, as the application read it; None where that is not known.
    """
    kept = [_stay_here(*header) for header in headers if header[0].lower() not in REPLACED]
    is_program = path is not None and (path.startswith("/static/") or path == HISTORY_SCRIPT)
    if not is_program:
        kept = [(name, _disarm(name, value)) for name, value in kept]
    policy = f"{_choose_policy(path)}; base-uri 'none'; frame-ancestors 'none'"
    return [
        *kept,
        *OURS.items(),
        ("Content-Security-Policy", policy),
        ("Cache-Control", "no-cache" if is_program else "no-store"),
    ]


def _stay_here(name: str, value: str) -> Header:
    """Take the host out of a redirection: it would be whatever the request called this one."""
    if name.lower() != "location":
        return name, value
    goal = urlsplit(value)
    return name, urlunsplit(("", "", f"/{goal.path.lstrip('/')}", goal.query, goal.fragment))


def _disarm(name: str, value: str) -> str:
    is_running = name.lower() == "content-type" and any(
        kind in value.lower() for kind in RUNNING_KINDS
    )
    return "text/plain" if is_running else value


def _choose_policy(path: str | None) -> str:
    """Choose by what is known to be ours; whatever else is there can run nothing."""
    if path in ("/login", "/logout") or is_ours(path):
        return OWN_POLICY
    return PAGE_POLICY if is_page(path) else OTHER_POLICY


def is_page(path: str | None) -> bool:
    """Say whether the application's own page is served at a path."""
    return path is not None and (path == "/dashboard" or path.startswith("/dashboard/"))


def is_for_loopback(environ: WSGIEnvironment) -> bool:
    """Say whether a browser that asks took this machine's own name for it.

    A page from elsewhere whose name is suddenly said to be this machine's (DNS rebinding) comes
    with that name.
    """
    try:
        host = urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)


def is_same_origin(environ: WSGIEnvironment) -> bool:
    """Say whether a request that changes something comes from our own pages, or from no page."""
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site in ("same-origin", "none")
    origin = environ.get("HTTP_ORIGIN")
    if origin is None:
        return True  # no browser: those say where a change comes from
    try:
        place = urlsplit(origin).netloc
    except ValueError:
        return False
    return bool(place) and place == environ.get("HTTP_HOST")


def is_https(environ: WSGIEnvironment) -> bool:
    """Say whether the browser came by https, as a proxy in front tells.

    Nobody else gains by telling it falsely: it only makes the teller's own cookie stricter.
    """
    told = environ.get("HTTP_X_FORWARDED_PROTO", "").partition(",")[0].strip().lower()
    return "https" in (environ["wsgi.url_scheme"], told)
