"""Our own pages beside optuna-dashboard's: a WSGI application in front of it, behind the gate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import sqlalchemy as sa
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage

from sweep.dashboard import answers
from sweep.dashboard.answers import Answer
from sweep.dashboard.editing import edit_sweep
from sweep.dashboard.forms import MAX_FORM_BYTES, FormTokens, read_form
from sweep.dashboard.headers import read_path
from sweep.dashboard.page_frame import FOLDER
from sweep.dashboard.routes import EDITS, HISTORY_SCRIPT, Route, find_route, is_ours
from sweep.dashboard.sweep_pages import Forms, Reply, write_sweep_page, write_sweeps_page
from sweep.dashboard.visits import get_visit
from sweep.errors import FormError, SweepError
from sweep.figures.templates import read_file
from sweep.results.status import read_status
from sweep.storage.errors import StorageError
from sweep.storage.passwords import hide_passwords
from sweep.storage.sweeps import Sweep, list_sweeps

FAULTS = (SweepError, StorageError, OptunaError, sa.exc.SQLAlchemyError)


@dataclass(frozen=True)
class Pages:
    """A WSGI application that answers for our own addresses and hands the others on.

    Args:
        inner: optuna-dashboard.
        allow_edit: Whether the forms that change a sweep are there at all.
        refusal: Why nothing can be changed although it might, in one line; empty where it can.
    """

    inner: WSGIApplication
    engine: sa.Engine
    storage: BaseStorage
    allow_edit: bool = False
    refusal: str = ""
    tokens: FormTokens = field(default_factory=FormTokens)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request for a page of ours, or hand it on."""
        path = read_path(environ)
        if path is None or not is_ours(path):
            return self.inner(environ, start_response)
        has_body = environ["REQUEST_METHOD"] != "HEAD"
        return self._answer(environ, path).give(start_response, has_body=has_body)

    def _answer(self, environ: WSGIEnvironment, path: str) -> Answer:
        if path == HISTORY_SCRIPT and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return Answer(HTTPStatus.OK, read_file(FOLDER, "history.js"), kind="text/javascript")
        route = find_route(path)
        if route is None or (route.edit is not None and not self.allow_edit):
            return answers.NOTHING_HERE
        allowed = "GET, HEAD" if route.edit is None else "POST"
        if environ["REQUEST_METHOD"] not in allowed.split(", "):
            return answers.expect_method(allowed)
        try:
            if route.edit is not None:
                return self._take_form(environ, route, route.edit)
            if route.sweep_id is not None:
                return self._show_sweep(
                    environ, route.sweep_id, HTTPStatus.OK, _read_reply(environ)
                )
            return answers.show(HTTPStatus.OK, write_sweeps_page(self.engine, get_visit(environ)))
        except FAULTS as exc:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{_write_fault(exc)}\n")

    def _show_sweep(
        self, environ: WSGIEnvironment, sweep_id: int, code: HTTPStatus, reply: Reply
    ) -> Answer:
        sweep = self._find(sweep_id)
        if sweep is None:
            return answers.NOTHING_HERE
        visit = get_visit(environ)
        forms = None
        if self.allow_edit:
            paths = {edit: Route(sweep_id, edit).path for edit in EDITS}
            issued = {e: self.tokens.issue(visit.session, path) for e, path in paths.items()}
            forms = Forms(self.refusal, issued)
        status = read_status(self.engine, sweep)
        page = write_sweep_page(self.engine, self.storage, status, visit, forms, reply)
        return answers.show(code, page)

    def _take_form(self, environ: WSGIEnvironment, route: Route, edit: str) -> Answer:
        """Do what a form says and send the browser to what came of it; else say why not."""
        visit, form = get_visit(environ), read_form(environ)
        sweep = self._find(route.sweep_id)
        if sweep is None:
            return answers.NOTHING_HERE
        try:
            self._check(form, visit.session, route.path)
            number = edit_sweep(self.engine, sweep, edit, form or {}, visit.author)
        except (SweepError, StorageError) as exc:
            reply = Reply(_write_fault(exc), form or {})
            return self._show_sweep(environ, sweep.id, HTTPStatus.CONFLICT, reply)
        return answers.redirect(f"{Route(sweep.id).path}?done={number}")

    def _check(self, form: dict[str, str] | None, session: str, path: str) -> None:
        """Refuse a form that is not one of ours, or not for now."""
        if self.refusal:
            raise FormError(self.refusal)
        if form is None:
            raise FormError(
                f"form: not readable, got too much, expected at most {MAX_FORM_BYTES} bytes of "
                "fields; shorten it"
            )
        if not self.tokens.spend(form.get("token", ""), session, path):
            raise FormError(
                "form: not taken, got one that is too old, was sent before or comes from another "
                "page, expected this one; look at the sweep as it is now, and send it again"
            )

    def _find(self, sweep_id: int | None) -> Sweep | None:
        return next((one for one in list_sweeps(self.engine) if one.id == sweep_id), None)


def _read_reply(environ: WSGIEnvironment) -> Reply:
    number = parse_qs(environ.get("QUERY_STRING", "")).get("done", [""])[0]
    is_number = number.isascii() and number.isdecimal() and len(number) < 10
    return Reply(edit=int(number) if is_number else None)


def _write_fault(exc: Exception) -> str:
    return hide_passwords(" ".join((str(exc) or repr(exc)).split()))
