"""The headers that every answer of the dashboard carries, and what a request's headers say."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit
from wsgiref.types import WSGIEnvironment

from sweep.dashboard.login_page import POLICY as LOGIN_POLICY

Header = tuple[str, str]

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-eval'; object-src 'none'; form-action 'self'"
)
"""What optuna-dashboard's pages need: its parallel coordinates compile shaders with eval."""
FILE_POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; sandbox"
"""Files that workers wrote are shown, but run nothing."""
DATA_POLICY = "default-src 'none'"
OURS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
REPLACED = {
    "access-control-allow-origin",  # artifacts would be readable by every page in the browser
    "content-security-policy",
    "cache-control",
    *(name.lower() for name in OURS),
}


def secure_headers(path: str, headers: Iterable[Header]) -> list[Header]:
    """Give an answer's headers with what keeps the browser from harm.

    Args:
        path: Of the request.
        headers: As the application gave them; a policy of its own is replaced.
    """
    kept = [header for header in headers if header[0].lower() not in REPLACED]
    policy = f"{_choose_policy(path)}; base-uri 'none'; frame-ancestors 'none'"
    cache = "no-cache" if path.startswith("/static/") else "no-store"
    return [
        *kept,
        *OURS.items(),
        ("Content-Security-Policy", policy),
        ("Cache-Control", cache),
    ]


def _choose_policy(path: str) -> str:
    if path == "/login":
        return LOGIN_POLICY
    if path.startswith("/artifacts/"):
        return FILE_POLICY
    return PAGE_POLICY if path.startswith("/dashboard") else DATA_POLICY


def is_loopback(host: str) -> bool:
    """Say whether a host's name or address means this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
    return "https" in (environ["wsgi.url_scheme"], environ.get("HTTP_X_FORWARDED_PROTO"))
