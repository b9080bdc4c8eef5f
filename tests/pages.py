"""`sweep dashboard` as a process of its own, asked over HTTP."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

import pytest

from forks import Command
from sweep.dashboard.connections import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NO_CHROMIUM = "no Chromium: apt-get install chromium"
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def run_chromium() -> Iterator[Any]:
    """Run the browser of this machine."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=CHROMIUM_ARGUMENTS
        )
        yield chromium
        chromium.close()


@contextlib.contextmanager
def serve(folder: Path, *arguments: str, **environment: str) -> Iterator[Command]:
    """Run `sweep dashboard` on a free port; it is killed where the test left it running."""
    server = Command("dashboard", "--port", "0", *arguments, folder=folder, settings=environment)
    try:
        yield server
    finally:
        server.kill()
        server.communicate()


@contextlib.contextmanager
def serve_here(
    application: WSGIApplication, limit: Callable[[str], int] = lambda _: 1 << 16
) -> Iterator[int]:
    """Serve an application in a thread of this process; gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(application, listener, limit)
    thread = threading.Thread(target=server.run)
    thread.start()

    def stop() -> None:
        for connection in list(server.active_channels.values()):
            connection.hang_up()
        server.close()

    try:
        yield int(listener.getsockname()[1])
    finally:
        server.trigger.pull_trigger(stop)
        thread.join()
        server.task_dispatcher.shutdown()


def read_address(server: Command) -> str:
    """Read the address that the command prints, and see that it answers there."""
    line = server.stderr.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, line + server.stderr.read()
    with urllib.request.urlopen(f"{found[0]}/healthz") as answer:
        assert answer.read() == b"ok\n"
    return found[0]


def ask(address: str, method: str = "GET", password: str | None = None) -> tuple[int, Any]:
    """Ask for something, with a password or without; gives the code and the JSON that came back."""
    request = urllib.request.Request(address, method=method)
    if password is not None:
        ticket = base64.b64encode(f"sweep:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {ticket}")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, None
