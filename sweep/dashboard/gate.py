"""The gate before optuna-dashboard: who may come in, and to do what.

optuna-dashboard 0.21 has no password, no protection against other sites, and an unauthenticated
`DELETE` removes a study. Here every request is judged first: by its host, its password or ticket,
and its method.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, quote, urlencode
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from sweep.dashboard.headers import (
    Header,
    is_for_loopback,
    is_https,
    is_same_origin,
    secure_headers,
)
from sweep.dashboard.login_page import write_login_page
from sweep.dashboard.passwords import PERIOD_S, Guesses, Password
from sweep.dashboard.tickets import Tickets

HOME = "/dashboard"
MAX_FORM_BYTES = 8192
READING = ("GET", "HEAD")
CHALLENGE = ("WWW-Authenticate", 'Basic realm="sweep dashboard", charset="UTF-8"')


@dataclass(frozen=True)
class Answer:
    """What the gate says itself."""

    status: HTTPStatus
    text: str
    headers: tuple[Header, ...] = ()
    kind: str = "text/plain"


@dataclass(frozen=True)
class Gate:
    """A WSGI application that lets through to another one what may pass.

    Args:
        inner: The application behind.
        is_answering: Says whether the database answers.
        password: What must be given, or None on a loopback address, where then only this machine's
            own names are answered to.
        allow_edit: Whether requests that change something may pass, from our own pages alone.
    """

    inner: WSGIApplication
    is_answering: Callable[[], bool]
    password: Password | None = None
    allow_edit: bool = False
    guesses: Guesses = field(default_factory=Guesses)
    tickets: Tickets = field(default_factory=Tickets)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, or pass it on and make its answer's headers safe."""
        path = environ.get("PATH_INFO", "")
        answer = self._judge(environ, path)
        if answer is None:
            return self.inner(environ, _secure(start_response, path))
        body = answer.text.encode()
        headers = [
            ("Content-Type", f"{answer.kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            *answer.headers,
        ]
        status = f"{answer.status.value} {answer.status.phrase}"
        _secure(start_response, path)(status, headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _judge(self, environ: WSGIEnvironment, path: str) -> Answer | None:
        """Give the gate's own answer, or None for what may pass."""
        if path == "/healthz":
            return self._tell_health(environ)
        if self.password is None:
            if not is_for_loopback(environ):
                return Answer(
                    HTTPStatus.MISDIRECTED_REQUEST,
                    "Without a password this dashboard answers as localhost only.\n",
                )
        elif path == "/login":
            return self._log_in(environ, self.password)
        else:
            refusal = self._check_identity(environ, self.password)
            if refusal is not None:
                return refusal
        return self._check_method(environ)

    def _tell_health(self, environ: WSGIEnvironment) -> Answer:
        if environ["REQUEST_METHOD"] not in READING:
            return _refuse_method()
        if self.is_answering():
            return Answer(HTTPStatus.OK, "ok\n")
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer\n")

    def _check_identity(self, environ: WSGIEnvironment, password: Password) -> Answer | None:
        """Refuse who has neither a ticket nor the password; None for the others."""
        if self.tickets.hold(environ.get("HTTP_COOKIE", "")):
            return None
        guess = _read_basic(environ.get("HTTP_AUTHORIZATION", ""))
        if guess is not None:
            verdict = self._hear(environ, password, guess)
            if verdict is not HTTPStatus.UNAUTHORIZED:
                return None if verdict is HTTPStatus.OK else _refuse_guesses()
        elif "text/html" in environ.get("HTTP_ACCEPT", "") and _is_reading(environ):
            goal = quote(environ.get("PATH_INFO", ""))
            query = environ.get("QUERY_STRING")
            target = urlencode({"goal": f"{goal}?{query}" if query else goal})
            return _redirect(f"/login?{target}")
        return Answer(HTTPStatus.UNAUTHORIZED, "A password is needed.\n", (CHALLENGE,))

    def _hear(self, environ: WSGIEnvironment, password: Password, guess: str) -> HTTPStatus:
        """Judge a guess: OK, UNAUTHORIZED, or TOO_MANY_REQUESTS without looking at it."""
        address = environ.get("REMOTE_ADDR", "")
        if self.guesses.are_too_many(address):
            return HTTPStatus.TOO_MANY_REQUESTS
        if password.matches(guess):
            return HTTPStatus.OK
        self.guesses.add_wrong(address)
        return HTTPStatus.UNAUTHORIZED

    def _log_in(self, environ: WSGIEnvironment, password: Password) -> Answer:
        """Show the login page, or judge what was typed there."""
        if _is_reading(environ):
            goal = parse_qs(environ.get("QUERY_STRING", "")).get("goal", [HOME])[0]
            return _show_page(HTTPStatus.OK, _check_goal(goal))
        if environ["REQUEST_METHOD"] != "POST":
            return _refuse_method("GET, HEAD, POST")
        if not is_same_origin(environ):
            return _refuse_origin()
        form = _read_form(environ)
        goal = _check_goal(form.get("goal", HOME))
        verdict = self._hear(environ, password, form.get("password", ""))
        if verdict is HTTPStatus.OK:
            cookie = self.tickets.issue(is_https=is_https(environ))
            return _redirect(goal, ("Set-Cookie", cookie))
        if verdict is HTTPStatus.TOO_MANY_REQUESTS:
            return _show_page(verdict, goal, "Too many wrong passwords. Wait a minute.")
        return _show_page(HTTPStatus.FORBIDDEN, goal, "Wrong password.")

    def _check_method(self, environ: WSGIEnvironment) -> Answer | None:
        if _is_reading(environ):
            return None
        if not self.allow_edit:
            return _refuse_method()
        return None if is_same_origin(environ) else _refuse_origin()


def _secure(start_response: StartResponse, path: str) -> StartResponse:
    def respond(status, headers, exc_info=None):  # type: ignore[no-untyped-def]
        return start_response(status, secure_headers(path, headers), exc_info)

    return respond


def _is_reading(environ: WSGIEnvironment) -> bool:
    return environ["REQUEST_METHOD"] in READING


def _redirect(path: str, *headers: Header) -> Answer:
    return Answer(HTTPStatus.SEE_OTHER, "", (("Location", path), *headers))


def _show_page(status: HTTPStatus, goal: str, complaint: str = "") -> Answer:
    return Answer(status, write_login_page(goal, complaint), kind="text/html")


def _refuse_method(allowed: str = "GET, HEAD") -> Answer:
    return Answer(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "This dashboard only shows; `sweep dashboard --allow-edit` lets it change things.\n",
        (("Allow", allowed),),
    )


def _refuse_origin() -> Answer:
    return Answer(HTTPStatus.FORBIDDEN, "Changes are taken from this dashboard's pages only.\n")


def _refuse_guesses() -> Answer:
    wait = ("Retry-After", str(round(PERIOD_S)))
    return Answer(HTTPStatus.TOO_MANY_REQUESTS, "Too many wrong passwords.\n", (wait,))


def _read_basic(header: str) -> str | None:
    """Give the password of an HTTP basic header, whoever is named in it, or None."""
    kind, _, code = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        text = base64.b64decode(code, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return text.partition(":")[2]


def _read_form(environ: WSGIEnvironment) -> dict[str, str]:
    """Read a short form; a longer one counts as empty."""
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    if not 0 < length <= MAX_FORM_BYTES:
        return {}
    text = environ["wsgi.input"].read(length).decode("utf-8", "replace")
    return {name: values[0] for name, values in parse_qs(text).items()}


def _check_goal(goal: str) -> str:
    """Give where to go after the login: a path of ours, whatever was asked for."""
    is_ours = goal.startswith("/") and not goal.startswith(("//", "/\\", "/login"))
    return quote(goal, safe="/?=&%,:+-._~()") if is_ours else HOME
