"""How our own pages look: one template, one style sheet, no script, and the policy that says so."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
from typing import Any

import jinja2
from markupsafe import Markup

from sweep.templates import open_templates
from sweep.wording import write_date


@functools.cache
def read_file(name: str) -> str:
    """Read a file of this folder."""
    return (importlib.resources.files("sweep.dashboard") / name).read_text(encoding="utf-8")


STYLE = read_file("page.css")
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; img-src data:; style-src 'sha256-{_DIGEST}'; form-action 'self'"


def write_page(template: str, **content: Any) -> str:
    """Write a page of ours; all that is put into it is escaped.

    Args:
        template: File of this folder.
        content: By the names that the template has for it.
    """
    return _open_templates().get_template(template).render(style=Markup(STYLE), **content)


@functools.cache
def _open_templates() -> jinja2.Environment:
    environment = open_templates("sweep.dashboard")
    environment.filters["date"] = write_date
    return environment
