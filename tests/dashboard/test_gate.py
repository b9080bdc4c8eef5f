"""Who may come in at the gate, and to do what: asked as a WSGI server asks, header by header."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from sweep.dashboard.gate import Gate
from sweep.dashboard.passwords import MAX_GUESSES, MAX_GUESSES_OF_ALL, PERIOD_S, Guesses, Password
from sweep.dashboard.tickets import LIFE_S, Tickets

PASSWORD = "found: 97 % ünder 0.03"
CHANGING = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


@dataclass(frozen=True)
class Answer:
    """What came back."""

    code: int
    headers: dict[str, str]
    text: str


def inner(environ, start_response) -> Iterable[bytes]:  # type: ignore[no-untyped-def]
    """The application behind the gate, which would let everybody do anything."""
    headers = [("Access-Control-Allow-Origin", "*"), ("Content-Security-Policy", "script-src *")]
    start_response("200 OK", headers)
    return [b"behind"]


def ask(  # type: ignore[no-untyped-def]
    gate: Gate, path: str = "/api/studies", method: str = "GET", form=None, **headers: str
) -> Answer:
    """Ask the gate for something; `Host` is localhost where nothing else is said."""
    where = urlsplit(path)
    body = urlencode(form or {}).encode()
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": where.path,
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


@pytest.fixture
def open_gate() -> Gate:
    """A gate on a loopback address, without a password."""
    return Gate(inner, is_answering=lambda: True)


@pytest.fixture
def gate() -> Gate:
    """A gate with a password."""
    return Gate(inner, is_answering=lambda: True, password=Password(PASSWORD))


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "127.0.0.1:8080", "[::1]:8080"])
def test_this_machine_needs_no_password(open_gate: Gate, host: str) -> None:
    """Under any of its own names."""
    assert ask(open_gate, host=host).text == "behind"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", ""]
)
def test_name_from_elsewhere_is_refused(open_gate: Gate, host: str) -> None:
    """A page whose name was rebound to this machine's address reads nothing."""
    assert ask(open_gate, host=host).code == 421


@pytest.mark.parametrize("method", CHANGING)
def test_changes_are_refused(open_gate: Gate, gate: Gate, method: str) -> None:
    """The dashboard only shows, with and without the password."""
    for answer in (
        ask(open_gate, "/api/studies/1", method),
        ask(gate, "/api/studies/1", method, authorization=make_basic(PASSWORD)),
    ):
        assert (answer.code, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 200),
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"origin": "http://localhost:8080"}, 200),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site", "origin": "http://localhost:8080"}, 403),
        ({"origin": "http://localhost:9999"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
    ],
)
def test_changes_come_from_own_pages_only(headers: dict[str, str], code: int) -> None:
    """Where they are allowed, another site's page cannot make the browser send them."""
    editable = Gate(inner, is_answering=lambda: True, allow_edit=True)
    assert ask(editable, "/api/studies/1", "DELETE", **headers).code == code


@pytest.mark.parametrize(
    ("path", "policy"),
    [
        ("/dashboard/studies/1", "script-src 'self' 'unsafe-eval'"),
        ("/artifacts/1/2/ab", "default-src 'none'.*sandbox"),
        ("/api/studies", "default-src 'none'"),
        ("/static/bundle.js", "default-src 'none'"),
        ("/healthz", "default-src 'none'"),
    ],
)
def test_answers_keep_the_browser_from_harm(open_gate: Gate, path: str, policy: str) -> None:
    """No frames, no guessed types, no other site that reads along; one policy, ours."""
    answer = ask(open_gate, path)
    assert answer.code == 200
    found = answer.headers["Content-Security-Policy"]
    assert re.search(policy, found)
    assert "frame-ancestors 'none'" in found
    assert "script-src *" not in found
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_stranger_is_sent_to_the_login_page(gate: Gate) -> None:
    """A browser that wanted a page; everything else is told that a password is needed."""
    page = ask(gate, "/dashboard/studies/1?x=a b", accept="text/html,*/*")
    where = urlsplit(page.headers["Location"])
    assert (page.code, where.path) == (303, "/login")
    assert parse_qs(where.query) == {"goal": ["/dashboard/studies/1?x=a b"]}
    for path in ("/api/studies", "/static/bundle.js", "/artifacts/1/2/ab", "/", "/csv/1"):
        answer = ask(gate, path)
        assert (answer.code, answer.text) == (401, "A password is needed.\n")
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (make_basic(PASSWORD), 200),
        (make_basic(PASSWORD + "x"), 401),
        (make_basic(""), 401),
        ("Basic not-base64", 401),
        ("Basic", 401),
        (f"Bearer {PASSWORD}", 401),
    ],
)
def test_password_by_http_basic(gate: Gate, header: str, code: int) -> None:
    """For curl and scripts; the user's name does not matter."""
    assert ask(gate, authorization=header).code == code


def test_login_gives_a_strict_ticket(gate: Gate) -> None:
    """No script reads it, no other site sends it, and it opens the gate."""
    answer = log_in(gate, goal="/dashboard/studies/3?numbers=1")
    assert (answer.code, answer.headers["Location"]) == (303, "/dashboard/studies/3?numbers=1")
    ticket, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert attributes == ["Path=/", f"Max-Age={LIFE_S}", "HttpOnly", "SameSite=Strict"]
    assert PASSWORD not in ticket
    assert ask(gate, cookie=f"other=1; {ticket}").text == "behind"


def test_ticket_given_by_https_goes_nowhere_else(gate: Gate) -> None:
    """The proxy in front says how the browser came."""
    form = {"password": PASSWORD}
    answer = ask(gate, "/login", "POST", form, x_forwarded_proto="https")
    assert answer.headers["Set-Cookie"].endswith("; Secure")


def test_false_tickets_do_not_hold(gate: Gate) -> None:
    """Those of another start, changed ones, nonsense, and old ones."""
    now_s = [1e9]
    own = Gate(inner, lambda: True, Password(PASSWORD), tickets=Tickets(lambda: now_s[0]))
    ticket = log_in(own).headers["Set-Cookie"].partition(";")[0]
    name, _, value = ticket.partition("=")
    expiry, rest = value.split(".", 1)
    changed = f"{name}={int(expiry) + 1}.{rest}"
    assert ask(own, cookie=ticket).code == 200
    assert ask(gate, cookie=ticket).code == 401
    for cookie in (changed, f"{name}=", f"{name}=..", f"{name}=ü.ü.ü", "=", ticket[:-1]):
        assert ask(own, cookie=cookie).code == 401
    now_s[0] += LIFE_S
    assert ask(own, cookie=ticket).code == 401


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD + " ", PASSWORD.upper()])
def test_wrong_password_is_refused_on_the_page(gate: Gate, password: str) -> None:
    """It says so, gives no ticket, and repeats nothing of what was typed."""
    answer = log_in(gate, password, goal="/dashboard")
    assert (answer.code, "Set-Cookie" in answer.headers) == (403, False)
    assert 'role="alert"' in answer.text
    assert not password or password not in answer.text


def test_login_from_another_site_is_refused(gate: Gate) -> None:
    """Nobody can be logged in by a foreign page, or have it guess."""
    form = {"password": PASSWORD}
    assert ask(gate, "/login", "POST", form, origin="https://evil.example").code == 403
    assert ask(gate, "/login", "PUT", form).code == 405


def test_password_in_an_address_is_not_looked_at(gate: Gate) -> None:
    """Addresses end in logs and histories."""
    answer = ask(gate, "/login?" + urlencode({"password": PASSWORD}))
    assert (answer.code, "Set-Cookie" in answer.headers) == (200, False)
    assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    ("goal", "where"),
    [
        ("/dashboard/studies/1?a=b&c=%C3%BC", "/dashboard/studies/1?a=b&c=%C3%BC"),
        ("//evil.example", "/dashboard"),
        ("/\\evil.example", "/dashboard"),
        ("https://evil.example", "/dashboard"),
        ("/x\r\nSet-Cookie: a=b", "/x%0D%0ASet-Cookie:%20a=b"),
        ("/login?goal=/login", "/dashboard"),
        ("", "/dashboard"),
    ],
)
def test_login_leads_to_own_pages_only(gate: Gate, goal: str, where: str) -> None:
    """Whatever the address of the login page said."""
    assert log_in(gate, goal=goal).headers["Location"] == where


def test_goal_cannot_write_into_the_page(gate: Gate) -> None:
    """What the address says is text on the page, never markup."""
    goal = '/"><script>alert(1)</script>'
    answer = ask(gate, "/login?" + urlencode({"goal": goal}))
    assert "<script" not in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_guesses_are_bounded() -> None:
    """After MAX_GUESSES an address is not heard for a while, not even with the right password."""
    now_s = [0.0]
    gate = Gate(inner, lambda: True, Password(PASSWORD), guesses=Guesses(lambda: now_s[0]))
    ticket = log_in(gate).headers["Set-Cookie"].partition(";")[0]
    for _ in range(MAX_GUESSES - 1):
        assert log_in(gate, "wrong").code == 403
    assert ask(gate, authorization=make_basic("wrong")).code == 401
    assert log_in(gate).code == 429
    refused = ask(gate, authorization=make_basic(PASSWORD))
    assert (refused.code, refused.headers["Retry-After"]) == (429, "60")
    assert ask(gate, cookie=ticket).code == 200
    assert ask(gate, authorization=make_basic(PASSWORD), address="192.0.2.8").code == 200
    now_s[0] += PERIOD_S
    assert log_in(gate).code == 303


def test_guesses_of_all_are_bounded(gate: Gate) -> None:
    """Many addresses together have no more than MAX_GUESSES_OF_ALL."""
    for number in range(MAX_GUESSES_OF_ALL):
        basic = make_basic("wrong")
        assert ask(gate, authorization=basic, address=f"192.0.2.{number}").code == 401
    assert ask(gate, authorization=make_basic(PASSWORD), address="198.51.100.1").code == 429


def test_health_is_told_to_everybody() -> None:
    """Without a password, under any name, and without a secret."""
    for is_answering, code in ((True, 200), (False, 503)):
        gate = Gate(inner, lambda says=is_answering: says, password=Password(PASSWORD))
        answer = ask(gate, "/healthz", host="10.1.2.3:8080")
        assert (answer.code, len(answer.text) < 40) == (code, True)
        assert ask(gate, "/healthz", "POST").code == 405
        assert ask(gate, "/healthz", "HEAD").text == ""
