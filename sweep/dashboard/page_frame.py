"""How our own pages look: one template, one style sheet, no script, and the policy that says so."""

from __future__ import annotations

import functools
from typing import Any

import jinja2
from markupsafe import Markup

from sweep.figures.templates import hash_part, open_templates, read_file
from sweep.metrics.wording import write_date

FOLDER = "sweep.dashboard"
STYLE = read_file(FOLDER, "page.css")
POLICY = f"default-src 'none'; img-src data:; style-src '{hash_part(STYLE)}'; form-action 'self'"


def write_page(template: str, **content: Any) -> str:
    """Write a page of ours; all that is put into it is escaped.

    Args:
        content: By the names that the template has for it.
    """
    return _open_templates().get_template(template).render(style=Markup(STYLE), **content)


@functools.cache
def _open_templates() -> jinja2.Environment:
    environment = open_templates(FOLDER)
    environment.filters["date"] = write_date
    return environment
