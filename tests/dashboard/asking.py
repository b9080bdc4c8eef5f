"""Asks the gate for something as a WSGI server does, header by header."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlencode, urlsplit

from sweep.dashboard.gate import Gate

PASSWORD = "found: 97 % ünder 0.03"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    code: int
    headers: dict[str, str]
    text: str


def inner(environ, start_response) -> Iterable[bytes]:  # type: ignore[no-untyped-def]
    """The application behind the gate, which would let everybody do anything."""
    headers = [("Access-Control-Allow-Origin", "*"), ("Content-Security-Policy", "script-src *")]
    kind = environ["QUERY_STRING"] or "text/html"
    start_response("200 OK", [*headers, ("Content-Type", kind), ("Content-Length", "6")])
    return [b"behind"]


def ask(  # type: ignore[no-untyped-def]
    gate: Gate, path: str = "/api/studies", method: str = "GET", form=None, **headers: str
) -> Answer:
    """Ask the gate for something; `Host` is localhost where nothing else is said."""
    where = urlsplit(path)
    body = urlencode(form or {}).encode()
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote_to_bytes(where.path).decode("latin-1"),
        "QUERY_STRING": where.query,
        "REMOTE_ADDR": headers.pop("address", "192.0.2.7"),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "localhost:8080",
        **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
    }
    found: list[Answer] = []

    def start_response(status, answered, exc_info=None):  # type: ignore[no-untyped-def]
        found.append(Answer(int(status[:3]), dict(answered), ""))

    text = b"".join(gate(environ, start_response)).decode()
    return Answer(found[0].code, found[0].headers, text)


def make_basic(password: str) -> str:
    """Write the header of HTTP basic."""
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


def log_in(gate: Gate, password: str = PASSWORD, **more: str) -> Answer:
    """Send the login page's form."""
    return ask(gate, "/login", "POST", {"password": password, **more})
