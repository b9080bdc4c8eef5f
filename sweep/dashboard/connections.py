"""The web server under the gate: waitress, with a bound on what its visitors may hold.

waitress takes 100 connections, waits two minutes for those that say nothing, and for as long as
somebody likes on those that say little; the next visitor waits with it. Here a connection in whose
turn nothing comes is closed after PATIENCE_S, and where all places are taken the newcomer gets that
of the address that holds most. So nobody is refused for where they come from: a proxy, behind which
all have one address, at most opens a connection anew.
"""

from __future__ import annotations

import copy
import resource
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIApplication

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer

from sweep.dashboard.addresses import find_network

NUM_THREADS = 8
MAX_CONNECTIONS = 500
MAX_ACCEPTED = 50
"""At once, before others are served."""
FRESH_S = 1.0
"""Within which a newcomer is not counted among those that have not asked."""
PATIENCE_S = 20.0
"""In which a request must be whole, and its answer taken."""
SLOWEST_BYTES_PER_S = 16 << 10
"""Of long ones: each so many bytes give another second."""
MAX_HEADER_BYTES = 16 << 10


class HttpRequest(HTTPRequestParser):  # type: ignore[misc]  # waitress says no types
    """A request while it comes in; how long it may be is decided when its header is there."""

    def __init__(self, settings: Adjustments, find_max_body_bytes: Callable[[str], int]) -> None:
        super().__init__(settings)
        self._find_max_body_bytes = find_max_body_bytes

    def parse_header(self, header_plus: bytes) -> None:
        """Read the header."""
        super().parse_header(header_plus)
        self.adj: Adjustments = copy.copy(self.adj)
        self.adj.max_request_body_size = self._find_max_body_bytes(self.headers.get("COOKIE", ""))


class Connection(HTTPChannel):  # type: ignore[misc]
    """One visitor's connection; it knows until when the server waits for it.

    It is the visitor's turn from the beginning, and again from an answer's first byte: to take the
    answer and to send the next request.

    Attributes:
        due_s: When the visitor's turn is over, in seconds of the monotonic clock.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._begin_turn()
        super().__init__(*arguments, **options)
        self.network = find_network(self.addr[0])

    def parser_class(self, settings: Adjustments) -> HttpRequest:
        """Begin a request."""
        return HttpRequest(settings, self.server.find_max_body_bytes)

    def _begin_turn(self) -> None:
        self.due_s = time.monotonic() + PATIENCE_S

    def _count(self, num_bytes: int) -> None:
        """Give time for what came through, but never more than there is from now on."""
        latest_s = time.monotonic() + PATIENCE_S
        self.due_s = min(latest_s, self.due_s + num_bytes / SLOWEST_BYTES_PER_S)

    def recv(self, buffer_size: int) -> bytes:
        """Receive, and count it."""
        data: bytes = super().recv(buffer_size)
        self._count(len(data))
        return data

    def received(self, data: bytes) -> bool:
        """Take what has come; hang up on who asks again before the answer, as no browser does."""
        was_taken: bool = super().received(data)
        if len(self.requests) > 1:
            self.hang_up()
        return was_taken

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send, and count it."""
        num_sent: int = super().send(data, do_close)
        self._count(num_sent)
        return num_sent

    def write_soon(self, data: Any) -> int:
        """Take a part of an answer."""
        if not self.total_outbufs_len:
            self._begin_turn()
        num_written: int = super().write_soon(data)
        return num_written

    @property
    def is_at_turn(self) -> bool:
        """Whether the server waits for the visitor, not the visitor for the server."""
        return not self.requests or self.total_outbufs_len > 0

    def hang_up(self) -> None:
        """Close, whatever is still to send; a thread that waits for that goes on."""
        self.will_close = True
        self.handle_close()


class Server(TcpWSGIServer):  # type: ignore[misc]
    """Serves an application on one listening socket until it is interrupted.

    Args:
        listener: The socket; it is closed with the server.
        find_max_body_bytes: Tells how long the body of a request with these cookies may be.
    """

    channel_class = Connection

    def __init__(
        self,
        application: WSGIApplication,
        listener: socket.socket,
        find_max_body_bytes: Callable[[str], int],
    ) -> None:
        self.find_max_body_bytes = find_max_body_bytes
        self.max_connections = _find_max_connections()
        place = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(
            application,
            _sock=listener,
            bind_socket=False,
            sockinfo=place,
            threads=NUM_THREADS,
            ident=None,
            connection_limit=self.max_connections + MAX_ACCEPTED,  # so many in work: others wait
            cleanup_interval=1,
            asyncore_use_poll=True,  # select() cannot wait for files beyond the 1,024th
            max_request_header_size=MAX_HEADER_BYTES,
            clear_untrusted_proxy_headers=False,  # the gate reads them, and believes little
        )

    def maintenance(self, _now: float) -> None:
        """Hang up on who is at turn and has not used it; called every second."""
        now_s = time.monotonic()
        for connection in list(self.active_channels.values()):
            if connection.is_at_turn and connection.due_s < now_s:
                connection.hang_up()

    def handle_accept(self) -> None:
        """Take new connections, in the place of others where there is no room."""
        for _ in range(MAX_ACCEPTED):
            num_before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == num_before:
                break
        num_over = len(self.active_channels) - self.max_connections
        if num_over > 0:
            self._make_room(num_over)

    def _make_room(self, num_over: int) -> None:
        """Hang up on some of who has most, one by one: on those at whom it is least felt."""
        fresh_s = time.monotonic() + PATIENCE_S - FRESH_S

        def rank(each: Connection) -> tuple[bool, float]:
            has_dawdled = each.is_at_turn and each.due_s < fresh_s
            return not has_dawdled, each.due_s

        held: dict[str, list[Connection]] = defaultdict(list)
        for each in sorted(self.active_channels.values(), key=rank, reverse=True):
            held[each.network].append(each)
        for _ in range(num_over):
            max(held.values(), key=len).pop().hang_up()


def _find_max_connections() -> int:
    """Find how many there may be: half of the files that this process may open, at most."""
    num_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_CONNECTIONS if num_files < 0 else min(MAX_CONNECTIONS, num_files // 2)
