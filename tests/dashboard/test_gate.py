"""Who may come in at the gate, and to do what: asked as a WSGI server asks, header by header."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from sweep.dashboard.gate import Gate
from sweep.dashboard.guesses import OF_ADDRESS, OF_ALL, OF_VISITOR, Guesses
from sweep.dashboard.health import AFTER_S, Health
from sweep.dashboard.passwords import Password
from sweep.dashboard.tickets import LIFE_S, Tickets
from tests.dashboard.asking import PASSWORD, ask, inner, log_in, make_basic

CHANGING = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


@pytest.mark.parametrize("number", ["2147483648", "-9999999999999999999", "9" * 5000])
def test_number_beyond_those_of_a_database_is_not_found(number: str) -> None:
    """The application asks the database, which fails on it; the last one there is may pass."""
    gate = Gate(inner, lambda: True)
    for path in (f"/csv/{number}", f"/api/studies/{number}/plot/edf", f"/artifacts/{number}/a"):
        assert ask(gate, path).code == 404
    assert ask(gate, "/csv/2147483647").code == 200
    assert ask(gate, f"/static/{number}.js").code == 200


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
        ("/artifacts", "default-src 'none'.*sandbox"),
        ("//artifacts/1/2/ab", "default-src 'none'.*sandbox"),
        ("/./artifacts/1/2/ab", "default-src 'none'.*sandbox"),
        ("/dashboard%2e%2e/artifacts/1/2/ab", "default-src 'none'.*sandbox"),
        ("/dashboards", "default-src 'none'.*sandbox"),
        ("/Artifacts/1/2/ab", "default-src 'none'.*sandbox"),
        ("/csv/1", "default-src 'none'.*sandbox"),
        ("/api/studies", "default-src 'none'.*sandbox"),
        ("/static/bundle.js", "default-src 'none'"),
        ("/healthz", "default-src 'none'.*sandbox"),
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


@pytest.mark.parametrize(
    "path",
    [
        "/%FFartifacts/1/2/ab",
        "/art%C0%AFifacts/1/2/ab",
        "/artifacts%80/1/2/ab",
        "/%ED%A0%80artifacts/1",
        "/artifacts/1/2/ab%00",
        "/dashboard/%0d%0aSet-Cookie:a=b",
        "/dashboard/%C2%85",
        "artifacts/1/2/ab",
        "*",
    ],
)
def test_path_that_means_another_one_is_refused(open_gate: Gate, gate: Gate, path: str) -> None:
    """The application behind leaves out bytes that are no UTF-8; nobody is served so."""
    for answer in (ask(open_gate, path), ask(gate, path, authorization=make_basic(PASSWORD))):
        assert answer.code == 400
        assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("path", "kind", "given"),
    [
        ("/artifacts/1/2/ab", "text/javascript", "text/plain"),
        ("/artifacts/1/2/ab", "Application/ECMAScript; charset=x", "text/plain"),
        ("/artifacts/1/ab", "text/css", "text/plain"),
        ("/artifacts/1/2/ab", "image/png", "image/png"),
        ("/artifacts/1/2/ab", "text/html", "text/html"),
        ("/static/bundle.js", "text/javascript", "text/javascript"),
    ],
)
def test_files_are_no_part_of_a_page(open_gate: Gate, path: str, kind: str, given: str) -> None:
    """No page can take a worker's file for a script or a style of the dashboard's own."""
    assert ask(open_gate, f"{path}?{kind}").headers["Content-Type"] == given


@pytest.mark.parametrize(
    ("told", "given"),
    [
        ("http://evil.example/dashboard", "/dashboard"),
        ("//evil.example/dashboard?a=b#c", "/dashboard?a=b#c"),
        ("http://evil.example//other.example/x", "/other.example/x"),
        ("http://evil.example", "/"),
    ],
)
def test_nobody_is_sent_elsewhere(told: str, given: str) -> None:
    """The application's redirections name whatever host the request named."""

    def send(environ, start_response) -> Iterable[bytes]:  # type: ignore[no-untyped-def]
        start_response("302 Found", [("Location", told)])
        return []

    answer = ask(Gate(send, lambda: True), "/")
    assert (answer.code, answer.headers["Location"]) == (302, given)


def test_application_is_told_what_the_browser_unpacks() -> None:
    """It fails where a request says nothing of that."""

    def look(environ, start_response) -> Iterable[bytes]:  # type: ignore[no-untyped-def]
        start_response("200 OK", [])
        return [f"<{environ['HTTP_ACCEPT_ENCODING']}>".encode()]

    gate = Gate(look, lambda: True)
    assert ask(gate, "/static/bundle.js").text == "<>"
    assert ask(gate, "/static/bundle.js", accept_encoding="gzip").text == "<gzip>"


def test_stranger_is_sent_to_the_login_page(gate: Gate) -> None:
    """A browser that wanted a page; everything else is told that a password is needed."""
    page = ask(gate, "/dashboard/%C3%BC?x=a b", accept="text/html,*/*")
    where = urlsplit(page.headers["Location"])
    assert (page.code, where.path) == (303, "/login")
    assert parse_qs(where.query) == {"goal": ["/dashboard/%C3%BC?x=a b"]}
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
    for told in ("https", "HTTPS", "https, http"):
        answer = ask(gate, "/login", "POST", form, x_forwarded_proto=told)
        assert answer.headers["Set-Cookie"].endswith("; Secure")
    plain = ask(gate, "/login", "POST", form, x_forwarded_proto="http")
    assert "Secure" not in plain.headers["Set-Cookie"]


def test_logout_ends_the_ticket(gate: Gate) -> None:
    """On the server too, so that a copy of it opens nothing; other tickets stay."""
    tickets = [log_in(gate).headers["Set-Cookie"].partition(";")[0] for _ in range(2)]
    answer = ask(gate, "/logout", "POST", cookie=tickets[0])
    assert (answer.code, answer.headers["Location"]) == (303, "/login")
    assert answer.headers["Set-Cookie"].startswith("sweep_dashboard=; Path=/; Max-Age=0; ")
    assert [ask(gate, cookie=ticket).code for ticket in tickets] == [401, 200]


def test_new_login_ends_the_ticket_before(gate: Gate) -> None:
    """A browser has one."""
    old = log_in(gate).headers["Set-Cookie"].partition(";")[0]
    assert ask(gate, "/login", "POST", {"password": PASSWORD}, cookie=old).code == 303
    assert ask(gate, cookie=old).code == 401


def test_logout_from_another_site_is_refused(gate: Gate) -> None:
    """And an address alone, as a picture in a note has one, ends nothing."""
    ticket = log_in(gate).headers["Set-Cookie"].partition(";")[0]
    form = {"cookie": ticket, "origin": "https://evil.example"}
    assert ask(gate, "/logout", "POST", **form).code == 403
    assert ask(gate, "/logout", "DELETE", cookie=ticket).code == 405
    page = ask(gate, "/logout", cookie=ticket)
    assert 'method="post" action="/logout"' in page.text
    assert ask(gate, "/logout").headers["Location"] == "/login"
    assert ask(gate, cookie=ticket).code == 200


def test_page_has_a_corner_of_ours() -> None:
    """Whole, whatever part the browser asked for; the logout is for those who have a ticket."""
    seen = []

    def page(environ, start_response) -> Iterable[bytes]:  # type: ignore[no-untyped-def]
        seen.append(environ)
        start_response("200 OK", [("Content-Length", "27"), ("ETag", "1"), ("X-Kept", "1")])
        return iter([b"<body>sweeps", b"</body></html>"])

    gate = Gate(page, lambda: True, Password(PASSWORD))
    ticket = log_in(gate).headers["Set-Cookie"].partition(";")[0]
    answer = ask(gate, "/dashboard/studies/1", cookie=ticket, range="bytes=0-3")
    assert re.fullmatch(
        r'<body>sweeps<nav .*<a href="/sweeps".*<form method="post" action="/logout".*'
        r'</form>\n</nav>\n<script src="/sweeps/history.js" defer></script>\n</body></html>',
        answer.text,
        re.DOTALL,
    )
    assert answer.headers["Content-Length"] == str(len(answer.text))
    assert ("ETag" in answer.headers, answer.headers["X-Kept"]) == (False, "1")
    assert "HTTP_RANGE" not in seen[0]
    head = ask(gate, "/dashboard", "HEAD", cookie=ticket)
    assert (head.text, head.headers["Content-Length"]) == ("", answer.headers["Content-Length"])
    other = ask(gate, "/dashboard", authorization=make_basic(PASSWORD))
    assert 'href="/sweeps"' in other.text
    assert "/logout" not in other.text


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


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """The clock of `slow_gate`."""
    return Clock()


@pytest.fixture
def slow_gate(clock: Clock) -> Gate:
    """A gate with a password whose clock stands still."""
    return Gate(inner, lambda: True, Password(PASSWORD), guesses=Guesses(clock))


def guess(gate: Gate, password: str = "wrong", **headers: str) -> int:
    """Guess by HTTP basic; gives the code."""
    return ask(gate, authorization=make_basic(password), **headers).code


def test_wrong_guesses_put_a_visitor_off(slow_gate: Gate, clock: Clock) -> None:
    """After some, what comes sooner than told is not looked at; then the right one is, always."""
    ticket = log_in(slow_gate).headers["Set-Cookie"].partition(";")[0]
    assert {guess(slow_gate) for _ in range(OF_VISITOR.at_once)} == {401}
    for _ in range(3):  # what is not looked at does not count either
        answer = ask(slow_gate, authorization=make_basic(PASSWORD))
        assert (answer.code, answer.headers["Retry-After"]) == (429, "10")
    page = log_in(slow_gate)
    assert (page.code, page.headers["Retry-After"]) == (429, "10")
    assert "Wait 10 seconds." in page.text
    assert ask(slow_gate, cookie=ticket).code == 200
    clock.now_s += 10.0
    assert guess(slow_gate, PASSWORD) == 200
    assert log_in(slow_gate).code == 303
    assert [guess(slow_gate), guess(slow_gate)] == [401, 429]


def test_ten_wrong_guesses_put_nobody_off(slow_gate: Gate) -> None:
    """Not even the one who made them."""
    for _ in range(10):
        assert log_in(slow_gate, "wrong").code == 403
    assert log_in(slow_gate).code == 303


@pytest.mark.parametrize("name", ["x_forwarded_for", "user_agent"])
def test_visitors_of_one_proxy_are_heard_each(slow_gate: Gate, name: str) -> None:
    """One who guesses for ever does not put the others off, known by address or by browser."""
    for _ in range(OF_VISITOR.at_once * 4):
        guess(slow_gate, **{name: "spoofed, 203.0.113.1"})
    assert guess(slow_gate, PASSWORD, **{name: "spoofed, 203.0.113.1"}) == 429
    assert guess(slow_gate, PASSWORD, **{name: "spoofed, 203.0.113.2"}) == 200


def test_one_address_is_put_off_whatever_it_calls_itself(slow_gate: Gate) -> None:
    """Other addresses are heard meanwhile; an IPv6 address is one with its network."""
    for address in ("192.0.2.7", "2001:db8::"):
        found = [
            guess(
                slow_gate,
                x_forwarded_for=str(n),
                address=f"{address}{n:x}" if address.endswith(":") else address,
            )
            for n in range(OF_ADDRESS.at_once + 5)
        ]
        assert found == [401] * OF_ADDRESS.at_once + [429] * 5
    assert guess(slow_gate, PASSWORD, address="2001:db8::ffff") == 429
    assert guess(slow_gate, PASSWORD, address="2001:db8:0:1::1") == 200
    assert guess(slow_gate, PASSWORD, address="192.0.2.8") == 200


def test_all_together_guess_in_vain(slow_gate: Gate, clock: Clock) -> None:
    """Of all that many addresses send in a day, less than thirty thousand are looked at."""
    heard = [guess(slow_gate, address=f"192.0.2.{n}") for n in range(OF_ALL.at_once + 5)]
    assert heard == [401] * OF_ALL.at_once + [429] * 5
    assert 86_400 / OF_ALL.every_s < 30_000
    assert OF_ALL.at_once > OF_ADDRESS.at_once > OF_VISITOR.at_once
    assert OF_ALL.every_s < OF_ADDRESS.every_s < OF_VISITOR.every_s
    clock.now_s += OF_ALL.every_s
    assert guess(slow_gate, PASSWORD, address="198.51.100.1") == 200


def test_health_is_told_to_everybody() -> None:
    """Without a password, under any name, and without a secret."""
    for is_answering, code in ((True, 200), (False, 503)):
        gate = Gate(inner, lambda says=is_answering: says, password=Password(PASSWORD))
        answer = ask(gate, "/healthz", host="10.1.2.3:8080")
        assert (answer.code, len(answer.text) < 40) == (code, True)
        assert ask(gate, "/healthz", "POST").code == 405
        assert ask(gate, "/healthz", "HEAD").text == ""


def test_database_is_asked_once_a_second(clock: Clock) -> None:
    """However often strangers ask how it is."""
    looks = []

    def look() -> bool:
        looks.append(clock.now_s)
        return len(looks) != 2

    health = Health(look, clock)
    assert [health() for _ in range(5)] == [True] * 5
    clock.now_s += AFTER_S
    assert [health() for _ in range(5)] == [False] * 5
    assert looks == [0.0, AFTER_S]
