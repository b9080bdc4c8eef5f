"""How `make docs` builds the site: every page of this folder, nothing from a network."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
sys.path.insert(0, str(HERE))  # where `from_code` lies

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "from_code"]
project = "sweep"
version = release = PACKAGE["version"]
html_title = f"sweep {version}"
html_theme = "furo"  # fonts of the reader's system, light and dark, narrow screens
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
html_show_sphinx = html_show_copyright = False
html_use_index = html_domain_indices = False  # there is a search
smartquotes = False  # they would write an option with a dash
default_role = "literal"  # what docstrings write in single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
highlight_language = "bash"  # of blocks that say no other
napoleon_numpy_docstring = False
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
