"""What visitors may hold of the server: places, time and memory; asked over real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from pages import serve_here

from sweep.dashboard import connections
from sweep.dashboard.connections import MAX_CONNECTIONS
from sweep.dashboard.gate import Gate
from sweep.dashboard.passwords import Password
from sweep.dashboard.server import find_max_body_bytes

PASSWORD = "correct horse"
LONG = b"x" * (1 << 20)
Connect = Callable[..., socket.socket]


class Application:
    """Says `hello`, much on `/long`, and on `/slow` nothing until it may."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.ended = threading.Event()

    def __call__(self, environ, start_response):  # type: ignore[no-untyped-def]
        if environ["PATH_INFO"] == "/slow":
            self.may_answer.wait(60.0)
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/long":
            return self._say_much()
        return [b"hello " + str(len(environ["wsgi.input"].read())).encode()]

    def _say_much(self) -> Iterator[bytes]:
        try:
            for _ in range(64):
                yield LONG
        finally:
            self.ended.set()


@pytest.fixture
def application() -> Application:
    """What is served where a test says nothing else."""
    return Application()


@pytest.fixture
def patience_s(monkeypatch: pytest.MonkeyPatch) -> float:
    """A server with less patience."""
    monkeypatch.setattr(connections, "PATIENCE_S", 0.5)
    return 0.5


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    """Serve an application in a thread; gives the port."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(serve_here(*arguments))


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect from a loopback address, and send something."""
    with ExitStack() as stack:

        def open_one(port: int, piece: bytes = b"", address: str = "127.0.0.1") -> socket.socket:
            made = socket.create_connection(("127.0.0.1", port), 30.0, (address, 0))
            stack.callback(made.close)
            made.sendall(piece)
            return made

        yield open_one


def say(path: str = "/", *lines: str, body: bytes = b"") -> bytes:
    """Write a request."""
    kind = "POST" if body else "GET"
    head = [f"{kind} {path} HTTP/1.1", "Host: localhost", *lines]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + body


def is_answered(connection: socket.socket) -> bool:
    """Say whether an answer comes; False when the connection is closed instead."""
    try:
        return connection.recv(12) == b"HTTP/1.1 200"
    except ConnectionError:
        return False


@pytest.mark.parametrize(
    ("piece", "num_addresses"),
    [(b"", 1), (say()[:-2], 1), (say(body=b"half a form")[:-4], 50)],
)
def test_half_open_connections_silence_nobody(
    serve: Callable[..., int],
    connect: Connect,
    application: Application,
    piece: bytes,
    num_addresses: int,
) -> None:
    """More of them than there are places: who asks whole is answered, from the same address too."""
    port = serve(application)
    for number in range(MAX_CONNECTIONS + 20):
        connect(port, piece, f"127.0.0.{1 + number % num_addresses}")
    assert is_answered(connect(port, say()))


def test_greediest_address_makes_room(
    serve: Callable[..., int], connect: Connect, application: Application
) -> None:
    """A browser that keeps its connection, and has kept it for longest, keeps its place."""
    port = serve(application)
    kept = connect(port, say(), "127.0.0.2")
    assert is_answered(kept)
    many = [connect(port) for _ in range(MAX_CONNECTIONS + 20)]
    assert is_answered(connect(port, say(), "127.0.0.3"))
    kept.sendall(say())
    assert b"200 OK" in kept.recv(4096)[-1000:] or is_answered(kept)
    assert many[0].recv(1) == b""


def test_requests_in_a_heap_are_not_heard(
    serve: Callable[..., int], connect: Connect, application: Application
) -> None:
    """One connection asks for one thing at a time."""
    greedy = connect(serve(application), say("/slow") * 20)
    assert not is_answered(greedy)
    application.may_answer.set()


def test_places_at_work_go_round(
    serve: Callable[..., int], connect: Connect, application: Application
) -> None:
    """Who holds all of them, and asks for much, does not keep others out."""
    port = serve(application)
    for number in range(MAX_CONNECTIONS + 20):
        connect(port, say("/slow"), f"127.0.0.{3 + number % 4}")
    late = connect(port, say("/slow"), "127.0.0.2")
    for _ in range(20):
        connect(port, say("/slow"), "127.0.0.3")
    application.may_answer.set()
    assert is_answered(connect(port, say()))
    assert is_answered(late)


@pytest.mark.parametrize(
    ("begun", "pace"),
    [
        (say()[:-2], b"X: y\r\n"),
        (say(body=b"x" * 4000)[:-3990], b"x"),
        (say(), b"\r\n\r\n"),
    ],
    ids=["header", "form", "blank lines"],
)
@pytest.mark.usefixtures("patience_s")
def test_trickle_is_hung_up_on(
    serve: Callable[..., int], connect: Connect, application: Application, begun: bytes, pace: bytes
) -> None:
    """Whatever part of a request comes byte by byte, or none of the next one."""
    slow = connect(serve(application), begun)
    slow.settimeout(0.1)
    began_s = time.monotonic()
    while time.monotonic() < began_s + 10.0:
        try:
            slow.sendall(pace)
            if slow.recv(4096) == b"":
                return
        except TimeoutError:
            pass
        except ConnectionError:
            return
    pytest.fail("the connection is still open")


def test_who_waits_for_the_server_is_not_hung_up_on(
    serve: Callable[..., int], connect: Connect, application: Application, patience_s: float
) -> None:
    """However long the answer takes."""
    port = serve(application)
    patient, silent = connect(port, say("/slow")), connect(port)
    assert silent.recv(1) == b""
    time.sleep(2 * patience_s)
    application.may_answer.set()
    assert is_answered(patient)


@pytest.mark.usefixtures("patience_s")
def test_answer_that_nobody_takes_frees_its_thread(
    serve: Callable[..., int], connect: Connect, application: Application
) -> None:
    """The thread that writes it would wait for ever; what was taken at first does not count."""
    stuck = connect(serve(application), say("/long"))
    assert stuck.recv(1 << 18)
    assert application.ended.wait(30.0)


@pytest.mark.usefixtures("patience_s")
def test_long_answer_is_given_time(
    serve: Callable[..., int],
    connect: Connect,
    application: Application,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To who takes it steadily, longer than the server waits for one that stands still."""
    monkeypatch.setattr(connections, "SLOWEST_BYTES_PER_S", 8 << 20)
    taker = connect(serve(application), say("/long", "Connection: close"))
    num_taken = 0
    began_s = time.monotonic()
    while data := taker.recv(1 << 18):
        num_taken += len(data)
        time.sleep(0.005)
    assert num_taken > 64 * len(LONG)
    assert time.monotonic() - began_s > 1.0


def test_header_has_a_bound(
    serve: Callable[..., int], connect: Connect, application: Application
) -> None:
    """It is refused before it is all there."""
    answer = connect(serve(application), say("/", "X: " + "x" * 20_000)).recv(4096)
    assert answer.startswith(b"HTTP/1.1 431 ") or answer.startswith(b"HTTP/1.0 431 ")


@pytest.mark.parametrize(
    ("allow_edit", "is_known", "is_taken"),
    [(False, True, False), (True, False, False), (True, True, True)],
)
def test_stranger_sends_no_more_than_a_form(
    serve: Callable[..., int],
    connect: Connect,
    application: Application,
    allow_edit: bool,
    is_known: bool,
    is_taken: bool,
) -> None:
    """Where changes are allowed, uploads are for those who have logged in."""
    gate = Gate(application, lambda: True, Password(PASSWORD), allow_edit)
    port = serve(gate, lambda cookies: find_max_body_bytes(gate, cookies))
    ticket = gate.tickets.issue(is_https=False).partition(";")[0]
    cookie = f"Cookie: {ticket if is_known else 'sweep_dashboard=none'}"
    assert is_answered(connect(port, say("/api", cookie)[:-2] + b"\r\n")) == is_known
    wanted = connect(port, say("/api", cookie, "Content-Length: 200000").replace(b"GET", b"POST"))
    if is_taken:
        wanted.sendall(b"x" * 200_000)
        assert is_answered(wanted)
    else:
        assert wanted.recv(4096).startswith(b"HTTP/1.1 413 ")
