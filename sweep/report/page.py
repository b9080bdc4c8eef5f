"""Turns sections into one HTML page that asks the network for nothing.

Plotly is kept in it once, compressed, and inflated by the browser. Where that cannot be, each
figure still has its description and its numbers.
"""

from __future__ import annotations

import base64
import functools
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from sweep.figures.templates import hash_part, open_templates, read_file
from sweep.files.output_file import write_output
from sweep.report.blocks import Section

MAX_BYTES = 5_000_000
"""A page beyond this is slow to open and to send; the person is told so."""

TEMPLATE, STYLE, SCRIPT = "page.html", "page.css", "page.js"


@dataclass(frozen=True)
class Page:
    """A page: its title, what it comes to in a few sentences, and its sections."""

    title: str
    summary: Sequence[str]
    sections: Sequence[Section]


def write_page(path: Path, page: Page) -> int:
    """Write a page whole or not at all.

    Returns:
        Its size in bytes.

    Raises:
        DataError: when it cannot be written; what was there before is then still there.
    """
    content = render_page(page).encode("utf-8")
    write_output(path, lambda temporary: temporary.write_bytes(content))
    return len(content)


def render_page(page: Page) -> str:
    """Write a page as HTML."""
    environment = open_templates("sweep.report")
    environment.filters["as_data"] = as_data
    style, script = (read_file("sweep.report", name) for name in (STYLE, SCRIPT))
    plotly, plotly_hash = pack_plotly()
    return environment.get_template(TEMPLATE).render(
        page=page,
        style=Markup(style),
        script=Markup(script),
        plotly=plotly,
        hashes=(hash_part(script), plotly_hash),
    )


def as_data(text: str) -> Markup:
    """Make JSON fit to stand in a script element, where nothing is unescaped."""
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))


@functools.cache
def pack_plotly() -> tuple[str, str]:
    """Compress the plotting library.

    Returns:
        Its gzip as base64, and the hash of it inflated.
    """
    script: str = get_plotlyjs()
    packed = gzip.compress(script.encode("utf-8"), mtime=0)
    return base64.b64encode(packed).decode("ascii"), hash_part(script)
