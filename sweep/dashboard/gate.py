"""The gate before optuna-dashboard: who may come in, and to do what.

optuna-dashboard 0.21 has no password, no protection against other sites, and an unauthenticated
`DELETE` removes a study. Here every request is judged first: by its path, its host, its password or
ticket, and its method.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, quote, urlencode
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from sweep.dashboard import answers
from sweep.dashboard.answers import Answer
from sweep.dashboard.corner import serve_with_corner
from sweep.dashboard.forms import read_form
from sweep.dashboard.guesses import Guesses, Hearing, recognise
from sweep.dashboard.headers import (
    is_for_loopback,
    is_https,
    is_page,
    is_same_origin,
    read_path,
    secure_headers,
)
from sweep.dashboard.page_frame import write_page
from sweep.dashboard.passwords import Password
from sweep.dashboard.routes import MAX_ID, find_route, is_ours
from sweep.dashboard.tickets import Tickets
from sweep.dashboard.visits import KEY as VISIT_KEY
from sweep.dashboard.visits import Visit, clean_name

HOME = "/dashboard"
WITH_IDS = ("/api/", "/csv/", "/artifacts/")
READING = ("GET", "HEAD")
READING_AND_FORM = "GET, HEAD, POST"


@dataclass(frozen=True)
class Gate:
    """A WSGI application that lets through to another one what may pass.

    Args:
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
        path = read_path(environ)
        answer = answers.UNREADABLE_PATH if path is None else self._judge(environ, path)
        environ.setdefault("HTTP_ACCEPT_ENCODING", "")  # the application fails without
        respond = _secure(start_response, path)
        if answer is not None:
            return answer.give(respond, has_body=environ["REQUEST_METHOD"] != "HEAD")
        visit = self._recognise(environ)
        environ[VISIT_KEY] = visit
        if is_page(path) and _is_reading(environ):
            return serve_with_corner(self.inner, environ, respond, visit)
        return self.inner(environ, respond)

    def _recognise(self, environ: WSGIEnvironment) -> Visit:
        """Say who it is that may pass."""
        ticket = self.tickets.find(environ.get("HTTP_COOKIE", ""))
        if ticket is not None:
            return Visit(ticket.name, ticket.key, has_ticket=True)
        told = None if self.password is None else _read_basic(environ)
        return Visit() if told is None else Visit(clean_name(told.name), f"basic {told.name!r}")

    def _judge(self, environ: WSGIEnvironment, path: str) -> Answer | None:
        """Give the gate's own answer, or None for what may pass."""
        if path == "/healthz":
            return self._tell_health(environ)
        if self.password is None:
            if not is_for_loopback(environ):
                return answers.OTHER_HOST
        elif path == "/login":
            return self._log_in(environ, self.password)
        elif path == "/logout":
            return self._log_out(environ)
        else:
            if refusal := self._check_identity(environ, path, self.password):
                return refusal
        return self._check_method(environ, path) or _check_ids(path)

    def _tell_health(self, environ: WSGIEnvironment) -> Answer:
        if not _is_reading(environ):
            return answers.refuse_method()
        if self.is_answering():
            return Answer(HTTPStatus.OK, "ok\n")
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer\n")

    def _has_ticket(self, environ: WSGIEnvironment) -> bool:
        return self.tickets.find(environ.get("HTTP_COOKIE", "")) is not None

    def _check_identity(
        self, environ: WSGIEnvironment, path: str, password: Password
    ) -> Answer | None:
        """Refuse who has neither a ticket nor the password; None for the others."""
        if self._has_ticket(environ):
            return None
        told = _read_basic(environ)
        if told is not None:
            hearing = self._hear(environ, password, told.password)
            if hearing.is_right:
                return None
            if hearing.wait_s:
                return answers.put_off(hearing.wait_s)
        elif "text/html" in environ.get("HTTP_ACCEPT", "") and _is_reading(environ):
            query = environ.get("QUERY_STRING")
            goal = f"{quote(path)}?{query}" if query else quote(path)
            return answers.redirect(f"/login?{urlencode({'goal': goal})}")
        return answers.NO_PASSWORD

    def _hear(self, environ: WSGIEnvironment, password: Password, guess: str) -> Hearing:
        return self.guesses.hear(recognise(environ), lambda: password.matches(guess))

    def _log_in(self, environ: WSGIEnvironment, password: Password) -> Answer:
        """Show the login page, or judge what was typed there."""
        if _is_reading(environ):
            goal = parse_qs(environ.get("QUERY_STRING", "")).get("goal", [HOME])[0]
            return answers.show(HTTPStatus.OK, self._write_login_page(_check_goal(goal)))
        if refusal := _check_form(environ):
            return refusal
        form = read_form(environ) or {}
        goal = _check_goal(form.get("goal", HOME))
        hearing = self._hear(environ, password, form.get("password", ""))
        if hearing.is_right:
            self.tickets.end(environ.get("HTTP_COOKIE", ""))
            name = clean_name(form.get("username", "")) if self.allow_edit else ""
            cookie = self.tickets.issue(is_https=is_https(environ), name=name)
            return answers.redirect(goal, ("Set-Cookie", cookie))
        if hearing.wait_s:
            page = self._write_login_page(goal, answers.say_wait(hearing.wait_s))
            wait = answers.tell_wait(hearing.wait_s)
            return answers.show(HTTPStatus.TOO_MANY_REQUESTS, page, wait)
        page = self._write_login_page(goal, "Wrong password.")
        return answers.show(HTTPStatus.FORBIDDEN, page)

    def _write_login_page(self, goal: str, complaint: str = "") -> str:
        """Write the page that asks for the password, and says why the last try did not do."""
        return write_page("login.html", goal=goal, complaint=complaint, asks_name=self.allow_edit)

    def _log_out(self, environ: WSGIEnvironment) -> Answer:
        """Show a button, or end the ticket of who has pressed it."""
        if _is_reading(environ):
            if self._has_ticket(environ):
                return answers.show(HTTPStatus.OK, write_page("logout.html"))
            return answers.redirect("/login")
        if refusal := _check_form(environ):
            return refusal
        cookie = self.tickets.end(environ.get("HTTP_COOKIE", ""))
        return answers.redirect("/login", ("Set-Cookie", cookie))

    def _check_method(self, environ: WSGIEnvironment, path: str) -> Answer | None:
        if _is_reading(environ):
            return None
        if not self.allow_edit:
            route = find_route(path) if is_ours(path) else None
            is_edit = route is not None and route.edit is not None
            return answers.NOTHING_HERE if is_edit else answers.refuse_method()
        return None if is_same_origin(environ) else answers.OTHER_ORIGIN


def _secure(start_response: StartResponse, path: str | None) -> StartResponse:
    def respond(status, headers, exc_info=None):  # type: ignore[no-untyped-def]
        return start_response(status, secure_headers(path, headers), exc_info)

    return respond


def _is_reading(environ: WSGIEnvironment) -> bool:
    return environ["REQUEST_METHOD"] in READING


def _check_ids(path: str) -> Answer | None:
    """Say that nothing has a number that no database gives."""
    parts = [part.lstrip("-0") for part in path.split("/")] if path.startswith(WITH_IDS) else []
    numbers = [part for part in parts if part.isdecimal()]
    if any(len(number) > len(str(MAX_ID)) or int(number) > MAX_ID for number in numbers):
        return answers.NOTHING
    return None


def _check_form(environ: WSGIEnvironment) -> Answer | None:
    """Refuse what is not sent by a form of our own pages."""
    if environ["REQUEST_METHOD"] != "POST":
        return answers.refuse_method(READING_AND_FORM)
    return None if is_same_origin(environ) else answers.OTHER_ORIGIN


@dataclass(frozen=True)
class Told:
    """What an HTTP basic header says."""

    name: str
    password: str


def _read_basic(environ: WSGIEnvironment) -> Told | None:
    """Read an HTTP basic header; None where there is none."""
    kind, _, code = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        text = base64.b64decode(code, validate=True).decode()
    except (binascii.Error, ValueError):
        return Told("", "")
    name, _, password = text.partition(":")
    return Told(name, password)


def _check_goal(goal: str) -> str:
    """Give where to go after the login: a path of ours, whatever was asked for."""
    is_ours = goal.startswith("/") and not goal.startswith(("//", "/\\", "/login", "/logout"))
    return quote(goal, safe="/?=&%,:+-._~()") if is_ours else HOME
