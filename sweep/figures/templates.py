"""How the pages of this program are filled in: what is put into a template is escaped."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources

import jinja2


def open_templates(package: str) -> jinja2.Environment:
    """Open the templates that lie beside the modules of a package; a name they lack is a fault."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package, ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def read_file(package: str, name: str) -> str:
    """Read a text that lies beside the modules of a package."""
    return (importlib.resources.files(package) / name).read_text(encoding="utf-8")


def hash_part(text: str) -> str:
    """Give the hash of a page's script or style, as a content security policy names it."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
