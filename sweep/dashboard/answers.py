"""What the gate says itself, in place of the application behind it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from wsgiref.types import StartResponse

from sweep.dashboard.headers import Header

CHALLENGE = ("WWW-Authenticate", 'Basic realm="sweep dashboard", charset="UTF-8"')


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        headers: Those that it needs beside the type and length of its text.
    """

    status: HTTPStatus
    text: str
    headers: tuple[Header, ...] = ()
    kind: str = "text/plain"

    def give(self, start_response: StartResponse, *, has_body: bool) -> Iterable[bytes]:
        """Give it as a WSGI application does."""
        body = self.text.encode()
        headers = [
            ("Content-Type", f"{self.kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            *self.headers,
        ]
        start_response(f"{self.status.value} {self.status.phrase}", headers)
        return [body] if has_body else []


def show(status: HTTPStatus, page: str, *headers: Header) -> Answer:
    """Show a page of ours."""
    return Answer(status, page, headers, "text/html")


def redirect(path: str, *headers: Header) -> Answer:
    """Send the browser to a path of ours."""
    return Answer(HTTPStatus.SEE_OTHER, "", (("Location", path), *headers))


UNREADABLE_PATH = Answer(HTTPStatus.BAD_REQUEST, "The path is not readable as UTF-8 text.\n")
NOTHING = Answer(HTTPStatus.NOT_FOUND, "There is nothing of that number.\n")
NOTHING_HERE = Answer(HTTPStatus.NOT_FOUND, "There is no such page.\n")
OTHER_HOST = Answer(
    HTTPStatus.MISDIRECTED_REQUEST, "Without a password this dashboard answers as localhost only.\n"
)
OTHER_ORIGIN = Answer(HTTPStatus.FORBIDDEN, "Changes are taken from this dashboard's pages only.\n")
NO_PASSWORD = Answer(HTTPStatus.UNAUTHORIZED, "A password is needed.\n", (CHALLENGE,))


def refuse_method(allowed: str = "GET, HEAD") -> Answer:
    """Refuse what would change something."""
    return Answer(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "This dashboard only shows; `sweep dashboard --allow-edit` lets it change things.\n",
        (("Allow", allowed),),
    )


def expect_method(allowed: str) -> Answer:
    """Refuse a method that an address does not know."""
    text = f"This address takes {allowed} only.\n"
    return Answer(HTTPStatus.METHOD_NOT_ALLOWED, text, (("Allow", allowed),))


def put_off(wait_s: float) -> Answer:
    """Refuse a guess that came too soon."""
    return Answer(HTTPStatus.TOO_MANY_REQUESTS, f"{say_wait(wait_s)}\n", (tell_wait(wait_s),))


def say_wait(wait_s: float) -> str:
    """Say in a sentence how long to wait."""
    seconds = math.ceil(wait_s)
    return f"Too many wrong passwords. Wait {seconds} second{'s' if seconds > 1 else ''}."


def tell_wait(wait_s: float) -> Header:
    """Tell a program how long to wait."""
    return ("Retry-After", str(math.ceil(wait_s)))
