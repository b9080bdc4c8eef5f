"""Where the dashboard may listen, and with which password: decided before anything is served."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from sweep.dashboard.entrance import Entrance
from sweep.dashboard.passwords import VARIABLE, read_password
from sweep.errors import ConfigError
from sweep.storage.engine import create_engine, parse_url
from sweep.storage.migrations import create_tables
from tests.conftest import Answer


def test_password_is_read(tmp_path: Path) -> None:
    """From the environment, or from a file; line ends and a byte order mark do not count."""
    file = tmp_path / "password"
    file.write_text("from a file \r\n", encoding="utf-8-sig")
    assert read_password({}, None) is None
    assert read_password({VARIABLE: "from outside\n"}, None) == "from outside"
    assert read_password({}, file) == "from a file "


@pytest.mark.parametrize(
    ("environment", "content", "words"),
    [
        ({VARIABLE: "short"}, None, "too short, got 5 characters"),
        ({VARIABLE: ""}, None, "too short, got 0 characters"),
        ({VARIABLE: " " * 8}, None, "too short, got 0 characters"),
        ({VARIABLE: "seven c   \u3000\u200b"}, None, "too short, got 6 characters"),
        ({VARIABLE: "a" * 20}, None, "too simple, got 1 different characters"),
        ({VARIABLE: "abcdabcdabcd"}, None, "too simple, got 4 different characters"),
        ({VARIABLE: "first line\nsecond line"}, None, "cannot be typed"),
        ({VARIABLE: "not utf8 \udcff long"}, None, "cannot be typed"),
        ({VARIABLE: "long enough" * 200}, None, "too long"),
        ({}, b"\n", "too short, got 0 characters"),
        ({}, b"long enough" * 1000, "too long"),
        ({}, b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe", "no text"),
        ({VARIABLE: "long enough"}, b"another one", "which one"),
    ],
)
def test_unfit_password_is_refused(
    tmp_path: Path, environment: dict[str, str], content: bytes | None, words: str
) -> None:
    """One line says why, without the password."""
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        read_password(environment, None if content is None else file)
    assert "long enough" not in str(caught.value)


def test_missing_password_file_is_refused(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(ConfigError, match="nowhere"):
        read_password({}, tmp_path / "nowhere")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_own_machine_needs_no_password(host: str) -> None:
    """Nobody else reaches it."""
    assert Entrance(host, 8080, None, allow_edit=False).password is None


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.0.2.1", "sweeps.example", "127.0.0.1.x"]
)
def test_open_host_needs_a_password(host: str) -> None:
    """It is refused without one."""
    with pytest.raises(ConfigError, match="without a password"):
        Entrance(host, 8080, None, allow_edit=False)
    assert Entrance(host, 8080, "long enough", allow_edit=False).password


def test_port_in_use_is_refused(sqlite_url: str, call: Callable[..., Answer]) -> None:
    """One line says which."""
    create_tables(create_engine(parse_url(sqlite_url)))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        answer = call("dashboard", "--storage", sqlite_url, "--port", port)
    assert answer.fault.startswith(f"error: host, port: cannot listen, got 127.0.0.1 port {port} (")


def test_missing_database_is_refused(sqlite_url: str, call: Callable[..., Answer]) -> None:
    """It is not made."""
    answer = call("dashboard", "--storage", sqlite_url)
    assert "no such file" in answer.fault


def test_password_is_no_option(call: Callable[..., Answer]) -> None:
    """Arguments are seen by everybody on the machine."""
    assert call("dashboard", "--password", "long enough").code == 2
