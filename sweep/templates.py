"""How the pages of this program are filled in: what is put into a template is escaped."""

from __future__ import annotations

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
