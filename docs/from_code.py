"""Makes the reference out of the program itself, for Sphinx: nothing of it is written twice.

Commands and options come from Typer, keys of `sweep.toml` from the table that reads it, functions
from their docstrings, the notebook from its cells. Files outside of this folder are included, and
their links lead to the pages that include them.
"""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import sweep
import sweep.errors
import sweep.storage.errors
from sweep.cli import build_command
from sweep.settings.settings_file import KINDS, SITES, SPACE

DOCS = Path(__file__).resolve().parent
INCLUDED_BY = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "deploy/README.md": "deploy.md",
    "benchmarks/search/README.md": "benchmarks.md",
}
"""By a file outside of this folder: the page that it is part of."""


def list_commands() -> Iterator[tuple[str, Any]]:
    """List the commands with their full names, groups left out, in the order of `sweep --help`."""
    yield from _list_leaves("sweep", build_command())


def _list_leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    for word, one in getattr(command, "commands", {"": command}).items():
        if word:
            yield from _list_leaves(f"{name} {word}", one)
        elif not one.hidden:
            yield name, one


def list_options(command: Any) -> list[tuple[str, str]]:
    """List the arguments and options of a command: how each is written, and what it is."""
    records = (one.get_help_record(_begin(command)) for one in command.params)
    return [record for record in records if record is not None]


def _begin(command: Any) -> Any:
    return command.context_class(command)


def list_keys() -> dict[str, str]:
    """List the keys of `sweep.toml`, each with the words of the option that it stands for."""
    commands = build_command().commands
    words = {
        names.split()[0].removeprefix("--").replace("-", "_"): text
        for name in ("worker", "run")
        for names, text in list_options(commands[name])
    }
    return {key: words[key] for key in KINDS} | {
        f"[{SPACE}]": "What `--set` and `--fix` say: a hyperparameter a key.",
        f"[{SITES}.NAME]": "Any of these keys, for those who choose that site.",
    }


def list_faults() -> list[type[Exception]]:
    """List the classes of faults that a person can put right."""
    return [
        one
        for module in (sweep.errors, sweep.storage.errors)
        for one in vars(module).values()
        if inspect.isclass(one) and issubclass(one, Exception)
    ]


class Made(SphinxDirective):
    """A directive whose content is Markdown that the program is asked for."""

    def run(self) -> list[nodes.Node]:
        """Make it, and read it as if it stood in the page."""
        text = "\n".join(self.write())
        return self.parse_text_to_nodes(text, allow_section_headings=True)

    def write(self) -> Iterator[str]:
        """Write the lines of it."""
        raise NotImplementedError


class Commands(Made):
    """Every command with its options, in the words of its `--help`."""

    def write(self) -> Iterator[str]:
        """Write a section a command."""
        for name, command in list_commands():
            yield f"## {name}\n\n{inspect.cleandoc(command.help)}\n"
            yield f"```text\n{name} {' '.join(command.collect_usage_pieces(_begin(command)))}\n```"
            yield f"```{{program}} {name}\n```\n"
            for names, words in list_options(command):
                yield f"```{{option}} {names}\n{words}\n```\n"


class Keys(Made):
    """Every key of `sweep.toml`, with the words of the option of the same name."""

    def write(self) -> Iterator[str]:
        """Write a definition a key."""
        for key, words in list_keys().items():
            yield f"`{key}`\n: {words}\n"


class Functions(Made):
    """Every name of `import sweep`."""

    def write(self) -> Iterator[str]:
        """Write an entry a name."""
        for name in sweep.__all__:
            kind = "class" if inspect.isclass(getattr(sweep, name)) else "function"
            yield f"```{{eval-rst}}\n.. auto{kind}:: sweep.{name}"
            yield from ("   :members:",) if kind == "class" else ()
            yield "```\n"


class Faults(Made):
    """Every class of faults that a person can put right."""

    def write(self) -> Iterator[str]:
        """Write an entry a class."""
        for one in list_faults():
            yield f"```{{eval-rst}}\n.. autoexception:: {one.__module__}.{one.__name__}\n```\n"


class NotebookParser(MystParser):
    """Reads a notebook as a page: its texts, and its code as blocks."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Parse a notebook's JSON."""
        parts = []
        for cell in json.loads(inputstring)["cells"]:
            text = "".join(cell["source"])
            parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        super().parse("\n\n".join(parts), document)


def lead_links(text: str, file: Path, page: Path) -> str:
    """Lead the links of a file that is included to where they lead from the page it is part of."""

    def lead(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(file.parent / match[1]))
        within = INCLUDED_BY.get(os.path.relpath(target, DOCS.parent))
        return f"]({os.path.relpath(DOCS / within if within else target, page.parent)}"

    return re.sub(r"\]\((?!\w+:|#)([^)#]+)", lead, text)


def read_page(app: Sphinx, page: str, content: list[str]) -> None:
    """Lead the links of a page of this folder to pages where they lead out of it."""
    path = Path(app.env.doc2path(page))
    content[0] = lead_links(content[0], path, path)


def read_included(_app: Sphinx, path: Path, page: str, content: list[str]) -> None:
    """Lead the links of an included file."""
    content[0] = lead_links(content[0], DOCS / path, DOCS / page)


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx what is here."""
    for name, directive in {
        "commands": Commands,
        "keys": Keys,
        "functions": Functions,
        "faults": Faults,
    }.items():
        app.add_directive(name, directive)
    app.add_source_suffix(".ipynb", "notebook")
    app.add_source_parser(NotebookParser)
    app.connect("source-read", read_page)
    app.connect("include-read", read_included)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
