"""Every example of the documents is one that the program takes; none is run here."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import sweep
from examples import FENCE, PAGES, ROOT, Example, list_blocks, list_examples
from sweep.cli import build_command
from sweep.cli.job_options import check_options
from sweep.cli.request_options import SearchOptions
from sweep.cli.run import RunOptions
from sweep.plan.check_words import check_words

EXAMPLES = list(dict.fromkeys(list_examples()))
STANDS_FOR = {"MODEL": "cnn", "N": "10", "S": "1"}
COMMANDS = build_command()


def find_command(words: tuple[str, ...]) -> tuple[Any, list[str]]:
    """Find the command that words name, and the words after it."""
    command, left = COMMANDS, [STANDS_FOR.get(word, word) for word in words]
    while left and left[0] in getattr(command, "commands", {}):
        command = command.commands[left.pop(0)]
    return command, left


def list_options(command: Any) -> set[str]:
    """List how the options of a command are written."""
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {
        "--help"
    }


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_command_line_is_one_that_is_taken(
    example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is there with all its options, and reads their values."""
    command, words = find_command(example.words)
    if words[:1] == ["COMMAND"]:
        return
    written = {word.split("=")[0] for word in words if word.startswith("-")}
    assert written - list_options(command) == set()
    if hasattr(command, "commands"):
        assert words and words[0].startswith("-")
    elif example.is_whole:
        for name, value in example.settings:
            monkeypatch.setenv(name, value)
        with command.make_context("sweep", words) as context:
            asked = read_asked(context)
        if command.name == "run" and not example.is_told:
            check_run(asked)


def read_asked(context: Any) -> dict[str, Any]:
    """Read what a command is called with; a list of which nothing was typed is None to it."""
    return {name: None if value == () else value for name, value in context.params.items()}


def check_run(asked: dict[str, Any]) -> None:
    """Have `sweep run` look at its options as it does before it looks for any file."""
    told = {"data": None, "val_data": None, "test_data": None}
    search = {one.name: {**asked, **told}[one.name] for one in fields(SearchOptions)}
    check_words(SearchOptions(**search).make_request())
    check_options(RunOptions(**{one.name: asked[one.name] for one in fields(RunOptions)}))


PROGRAM = r"python ((?:benchmarks|docs|tests)/\S+?\.py)\b([^`]*)"
FOREIGN = {"--detach", "--numprocesses", "--stop-when-flat"}
"""Options of other programs that the documents name alone."""


def test_options_that_are_named_alone_are_there() -> None:
    """As `--trials`, of whatever command or benchmark of ours."""
    known = {name for command in list_commands() for name in list_options(command)} | FOREIGN
    for program in (ROOT / "benchmarks").rglob("*.py"):
        known |= set(re.findall(r"--[a-z][\w-]*", program.read_text(encoding="utf-8")))
    for page in PAGES:
        prose = FENCE.sub("", page.read_text(encoding="utf-8"))
        assert set(re.findall(r"`(--[a-z][\w-]*)", prose)) - known == set(), page


def list_commands() -> Iterator[Any]:
    """List the program itself, its groups and its commands."""
    waiting = [COMMANDS]
    for command in waiting:
        waiting += getattr(command, "commands", {}).values()
        yield command


def test_other_programs_that_are_named_are_there() -> None:
    """As `make docs`, and `python FILE --option`, whose file knows the option."""
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\n\n", "`")
        text = re.sub(r"\\?\n\s*", " ", text)
        made = re.findall(r"^make ([a-z]+)", "".join(list_blocks(page, "")), re.MULTILINE)
        assert {*made, *re.findall(r"`make ([a-z]+)", text)} - set(targets) == set(), page
        for program, words in re.findall(PROGRAM, text):
            source = (ROOT / program).read_text(encoding="utf-8")
            options = re.findall(r"(?<=\s)--[a-z][\w-]*", words.partition(" python ")[0])
            assert [option for option in options if f'"{option}"' not in source] == [], page


def test_readme_has_a_line_for_each_command() -> None:
    """In its table, a group by its name."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = " ".join(row.split("|")[1] for row in text.splitlines() if row.startswith("| `sweep"))
    assert [name for name in COMMANDS.commands if not re.search(rf"sweep {name}\b", rows)] == []


PYTHON = [(page, block) for page in PAGES for block in list_blocks(page, "python")]


@pytest.mark.parametrize(
    ("page", "block"), PYTHON, ids=[f"{page.name}-{block[:20]!r}" for page, block in PYTHON]
)
def test_python_names_what_is_there(page: Path, block: str) -> None:
    """It compiles, its imports are there, and so is each name of `sweep` that it uses."""
    tree = ast.parse(block, page.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            assert [one.name for one in node.names if not hasattr(module, one.name)] == []
        elif isinstance(node, ast.Import):
            for one in node.names:
                importlib.import_module(one.name)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "sweep":
            assert node.attr in sweep.__all__


TOML = [(page, block) for page in PAGES for block in list_blocks(page, "toml")]


@pytest.mark.parametrize(
    ("page", "block"), TOML, ids=[f"{page.name}-{block[:20]!r}" for page, block in TOML]
)
def test_toml_is_one_that_is_taken(page: Path, block: str, tmp_path: Path) -> None:
    """As a `sweep.toml`: all its keys are known, and the space is one."""
    path = tmp_path / "sweep.toml"
    path.write_text(block, encoding="utf-8")
    command, words = find_command(("run", "--config", str(path)))
    with command.make_context("run", words) as context:
        check_run(read_asked(context))
