"""Serves optuna-dashboard in this process behind the gate, until it is asked to stop."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import optuna_dashboard
import sqlalchemy as sa
from optuna.storages import BaseStorage

from sweep.dashboard.connections import Server
from sweep.dashboard.entrance import Entrance
from sweep.dashboard.gate import Gate
from sweep.dashboard.health import Health
from sweep.dashboard.pages import Pages
from sweep.dashboard.passwords import Password
from sweep.dashboard.publisher import Publisher
from sweep.errors import ConfigError
from sweep.storage.attachments import ArtifactStore
from sweep.storage.engine import is_answering
from sweep.storage.errors import RightsError
from sweep.storage.tables import check_writable

MAX_BODY_BYTES = 1 << 16
MAX_UPLOAD_BYTES = 128 << 20
"""What optuna-dashboard takes at most, where changes are allowed, of those who may make them."""


def serve(
    engine: sa.Engine,
    storage: BaseStorage,
    artifacts: Path,
    entrance: Entrance,
    say: Callable[[str], None],
) -> None:
    """Serve the dashboard until SIGINT or SIGTERM, and keep its pages fresh.

    Args:
        storage: Optuna's side of it, cached, so that a refresh reads only what is new.
        artifacts: Folder of pictures; it may be missing.
        say: Told the address, and what goes wrong with the pages.

    Raises:
        ConfigError: When it cannot listen there.
    """
    storage.get_all_studies()  # as the first page does: a right that is missing is told at once
    studies = optuna_dashboard.wsgi(storage, artifact_store=ArtifactStore(artifacts))
    refusal = _find_refusal(engine) if entrance.allow_edit else ""
    if refusal:
        say(f"--allow-edit: nothing can be changed: {refusal}")
    inner = Pages(studies, engine, storage, entrance.allow_edit, refusal)
    password = None if entrance.password is None else Password(entrance.password)
    gate = Gate(inner, Health(lambda: is_answering(engine)), password, entrance.allow_edit)
    listener = _listen(entrance)
    server = Server(gate, listener, lambda cookies: find_max_body_bytes(gate, cookies))
    logging.getLogger("waitress").setLevel(logging.ERROR)  # what waits is no fault
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Publisher(engine, storage, say=say):
            host = f"[{entrance.host}]" if ":" in entrance.host else entrance.host
            say(f"dashboard: http://{host}:{listener.getsockname()[1]}  (Ctrl-C stops it)")
            server.run()  # ends when interrupted, after the answers that are being written
    except KeyboardInterrupt:  # interrupted before or after that
        pass
    finally:
        server.close()
        signal.signal(signal.SIGTERM, before)


def _find_refusal(engine: sa.Engine) -> str:
    """Say why nothing in a database may be changed; empty where it may."""
    try:
        check_writable(engine)
    except RightsError as exc:
        return str(exc)
    return ""


def find_max_body_bytes(gate: Gate, cookies: str) -> int:
    """Tell how much may come before the gate sees it: a stranger sends no more than a form."""
    is_known = gate.password is None or gate.tickets.find(cookies) is not None
    return MAX_UPLOAD_BYTES if gate.allow_edit and is_known else MAX_BODY_BYTES


def _listen(entrance: Entrance) -> socket.socket:
    family = socket.AF_INET6 if ":" in entrance.host else socket.AF_INET
    try:
        return socket.create_server((entrance.host, entrance.port), family=family)
    except (OSError, OverflowError) as exc:
        reason = str(getattr(exc, "strerror", None) or exc).partition(" (while")[0]
        raise ConfigError(
            f"host, port: cannot listen, got {entrance.host} port {entrance.port} ({reason}), "
            "expected an address of this machine and a free port; change --host or --port"
        ) from exc
