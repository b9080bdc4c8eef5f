"""Measures how long a request to `sweep dashboard` waits while others hold connections half-open.

    python benchmarks/connections.py [PATIENCE_S]

Held are connections that send nothing, half a header, or half a form, from one loopback address or
from eight. Told are the seconds that each of ten requests from 127.0.0.1 waited, at most PATIENCE_S
each, and how many connections the server has closed at their end.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path

from sweep.storage.engine import create_engine, parse_url
from sweep.storage.migrations import create_tables

NUM_REQUESTS = 10
PIECES = {
    "nothing": b"",
    "half a header": b"GET /dashboard HTTP/1.1\r\nHost: localhost\r\nX-",
    "half a form": b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\np",
}


@contextmanager
def serve(folder: Path) -> Iterator[int]:
    """Run the dashboard with a password on a free port."""
    url = f"sqlite:///{folder / 'sweep.db'}"
    create_tables(create_engine(parse_url(url)))
    process = subprocess.Popen(
        [sys.executable, "-m", "sweep", "dashboard", "--port", "0", "--storage", url],
        cwd=folder,
        env=os.environ | {"SWEEP_DASHBOARD_PASSWORD": "correct horse"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        found = re.search(r"127\.0\.0\.1:(\d+)", process.stderr.readline())
        assert found is not None
        yield int(found[1])
    finally:
        process.terminate()
        process.communicate()


def hold(
    port: int, num: int, num_addresses: int, piece: bytes, held: ExitStack
) -> list[socket.socket]:
    """Open connections and leave them half-open."""
    found = []
    for number in range(num):
        source = (f"127.0.0.{2 + number % num_addresses}", 0) if num_addresses > 1 else None
        found.append(held.enter_context(socket.create_connection(("127.0.0.1", port), 5, source)))
        found[-1].sendall(piece)
    return found


def measure_s(port: int, patience_s: float) -> float:
    """Measure one request; PATIENCE_S where no answer came."""
    began_s = time.perf_counter()
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/login", timeout=patience_s).read()
    except (urllib.error.URLError, TimeoutError):
        return patience_s
    return time.perf_counter() - began_s


def is_closed(connection: socket.socket) -> bool:
    """Say whether the server has closed a connection."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def measure_case(port: int, num: int, num_addresses: int, name: str, patience_s: float) -> str:
    """Hold connections, ask, and say how long it took."""
    with ExitStack() as held:
        others = hold(port, num, num_addresses, PIECES[name], held)
        waits_s = [measure_s(port, patience_s)]
        while len(waits_s) < NUM_REQUESTS and waits_s[-1] < patience_s:
            waits_s.append(measure_s(port, patience_s))
        closed = sum(map(is_closed, others))
    return f"{num:4}  {name:13}  {num_addresses:9}  {max(waits_s):16.3f}  {closed:14}\n"


def main() -> None:
    """Measure each case with a server of its own."""
    patience_s = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    sys.stdout.write("held  sent           addresses  longest wait / s  closed by then\n")
    for num, name, num_addresses in product((0, 130, 500, 1000), PIECES, (1, 8)):
        with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as port:
            sys.stdout.write(measure_case(port, num, num_addresses, name, patience_s))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
