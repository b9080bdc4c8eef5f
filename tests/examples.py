"""The examples of the documents: command lines, and blocks of Python and TOML."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "deploy/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "benchmarks").rglob("*.md")),
]
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A command line of a document.

    Attributes:
        page: File that it stands in.
        line: As it stands there.
        words: What `sweep` is called with; of alternatives (`csv|json`, `copy / backup`) one.
        settings: Variables that are set before it, in its line or its block.
        is_whole: Whether nothing is left out: it stands in a block, or between backticks with
            arguments and without dots.
        is_told: Whether what it prints is there, too.
    """

    page: Path
    line: str
    words: tuple[str, ...]
    settings: tuple[tuple[str, str], ...] = ()
    is_whole: bool = True
    is_told: bool = False

    def __str__(self) -> str:
        return f"{self.page.name}: {self.line}"


def list_blocks(page: Path, kind: str) -> list[str]:
    """List the blocks of a kind, such as `python`, of a document; those of no kind have none."""
    return [text for name, text in FENCE.findall(page.read_text(encoding="utf-8")) if name == kind]


def list_examples() -> list[Example]:
    """List the command lines of all documents, those in blocks and those between backticks."""
    return [example for page in PAGES for example in _list_of_page(page)]


def _list_of_page(page: Path) -> Iterator[Example]:
    for block in list_blocks(page, ""):
        settings: dict[str, str] = {}
        for line in block.replace("\\\n", " ").splitlines():
            is_told = line.startswith("$ ")
            words = shlex.split(line.removeprefix("$ "), comments=True) if "sweep" in line else []
            if words[:1] == ["export"]:
                settings |= dict(word.split("=", 1) for word in words[1:])
            elif words[:1] == ["sweep"]:
                for chosen in _choose(words[1:]):
                    yield Example(page, line, chosen, tuple(settings.items()), is_told=is_told)
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    for span in re.findall(r"`([^`]+)`", prose):
        line = " ".join(span.split())
        found = re.match(r"((?:\w+=\S+ )*)sweep (?=\S)", line)
        if found:
            words = [word.strip("[]") for word in shlex.split(line[found.end() :])]
            is_whole = len(words) > 2 and not {"...", "/"}.intersection(words)
            for chosen in _choose(words):
                yield Example(page, line, chosen, is_whole=is_whole)


def _choose(words: list[str]) -> Iterator[tuple[str, ...]]:
    """Choose one of the alternatives of each word in turn: `a|b`, or `a / b`; dots are dropped."""
    parts: list[list[str]] = []
    for before, word in zip(["", *words], words, strict=False):
        if before == "/":
            parts[-1].append(word)
        elif word not in ("/", "..."):
            parts.append(word.split("|") if re.fullmatch(r"[\w|]+", word) else [word])
    yield from itertools.product(*parts)
