"""Database addresses fit to be printed: whatever may be part of a password is replaced by stars."""

from __future__ import annotations

import re

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

STARS = "***"
SHOWN = (
    *("application_name", "connect_timeout", "dbname", "host", "hostaddr", "passfile", "port"),
    *("service", "sslmode", "sslrootcert", "target_session_attrs", "user"),
)
"""Settings of an address that are printed with their values; any other may hold a secret."""
_KEYWORD = re.compile(
    r"""(\w*(?:passw|passphrase|pwd|secret|token)\w*)(\s*(?:=|%3D)\s*)
        ('(?:[^'\\]|\\.)*'? | "[^"]*"? | [^\s&;]+)""",
    re.IGNORECASE | re.VERBOSE,
)
"""A password in libpq's form, `password = 'se cret'`, also within an option of an address."""


def hide_password(text: str) -> str:
    """Give what was meant as a database address fit to be printed, whether or not it is one."""
    text = hide_keywords(text)
    try:
        return show_url(make_url(text))
    except (sa.exc.ArgumentError, ValueError):
        _, at, tail = text.rpartition("@")
        if at:
            return f"{STARS}@{tail}"
        return re.sub(r"(?<=[^\s:/]):(?!//)[^\s/]+", f":{STARS}", tail)


def show_url(url: URL) -> str:
    """Write a database address without its password, wherever in it that stands."""
    shown = url.set(query={k: v if k in SHOWN else STARS for k, v in url.query.items()})
    text, _, query = shown.render_as_string(hide_password=True).partition("?")
    text, query = hide_keywords(text), hide_keywords(query.replace("%2A", "*"))
    scheme, separator, rest = text.partition("://")
    # With an unescaped @ or / the password runs into the host or even the name of the database.
    login, at, place = rest.replace("%40", "@").rpartition("@")
    user, colon, _ = login.replace("%3A", ":").partition(":")
    if at and url.get_backend_name() != "sqlite":
        text = f"{scheme}{separator}{user}{f':{STARS}' if colon else ''}@{place}"
    return f"{text}?{query}" if query else text


def hide_passwords(text: str) -> str:
    """Hide the passwords of all database addresses within a text."""
    return re.sub(r"\w[\w+]*://\S+", lambda found: hide_password(found[0]), hide_keywords(text))


def hide_keywords(text: str) -> str:
    """Replace the values of `password=...` and its like within a text."""
    return _KEYWORD.sub(rf"\1\2{STARS}", text)
