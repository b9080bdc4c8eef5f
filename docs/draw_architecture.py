"""Draws architecture.svg: rooms and arrows from the imports, words from ARCHITECTURE.md.

    python docs/draw_architecture.py

Arrows that a path of others implies are left out, so that the picture can be read.
"""

from __future__ import annotations

import ast
import functools
import graphlib
import html
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
PACKAGES = ("models", "storage", "sweep")
PLACES = {  # left edge and width; the row follows from who imports whom
    "api": (20, 160),
    "cli": (195, 685),
    "trackers": (20, 160),
    "report": (195, 160),
    "dashboard": (370, 160),
    "worker": (545, 160),
    "launch": (720, 160),
    "trial": (370, 335),
    "figures": (195, 335),
    "results": (195, 335),
    "plan": (195, 510),
    "search": (20, 335),
    "training": (370, 335),
    "settings": (720, 160),
    "models": (20, 160),
    "data": (370, 335),
    "machine": (720, 160),
    "config": (195, 160),
    "files": (545, 335),
    "metrics": (195, 335),
    "storage": (195, 685),
}
HEIGHT, PITCH, TOP = 70, 100, 20
COLOURS = ("#1f5fbf", "#1d7d3c", "#b3261e", "#8a5a00", "#6a3d9a")


@functools.cache
def read_graph() -> dict[str, set[str]]:
    """Read which room imports which; the single files of `sweep/` are none."""
    graph: dict[str, set[str]] = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            room = find_room(".".join(path.relative_to(ROOT).with_suffix("").parts))
            if room is None:
                continue
            graph.setdefault(room, set())
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [f"{node.module}.{alias.name}" for alias in node.names]
                graph[room] |= {other for name in names if (other := find_room(name))} - {room}
    return graph


def find_room(module: str) -> str | None:
    """Find the room of a module; None of another's and of the files at the top of `sweep/`."""
    first, _, rest = module.partition(".")
    if first != "sweep":
        return first if first in PACKAGES else None
    room = rest.partition(".")[0]
    return room if (ROOT / "sweep" / room).is_dir() and room.isidentifier() else None


def drop_implied(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Leave out each arrow that a longer path implies."""
    reached: dict[str, set[str]] = {}
    for room in graphlib.TopologicalSorter(graph).static_order():
        reached[room] = graph[room].union(*(reached[other] for other in graph[room]))
    return {
        room: {other for other in others if not any(other in reached[o] for o in others)}
        for room, others in graph.items()
    }


def find_rows(graph: dict[str, set[str]]) -> dict[str, int]:
    """Put each room right below the lowest one that imports it."""
    rows = dict.fromkeys(graph, 0)
    for room in reversed(list(graphlib.TopologicalSorter(graph).static_order())):
        for other in graph[room]:
            rows[other] = max(rows[other], rows[room] + 1)
    return rows


def read_words(page: str) -> dict[str, str]:
    """Read what each room is for from the table of rooms."""
    rows = re.findall(r"^\| `(?:sweep/)?(\w+)/` \| (.+) \|$", page, flags=re.MULTILINE)
    return {room: words.replace("`", "") for room, words in rows}


def read_flows(page: str) -> dict[str, set[str]]:
    """Read which rooms each flow goes through: those of the files that its section names."""
    sections = re.findall(r"^## (An? .+?)$(.+?)(?=^## )", page, flags=re.MULTILINE | re.DOTALL)
    return {
        title.replace("`", ""): set(re.findall(r"`(?:sweep/)?(\w+)/[\w/]*\w+\.py`", text))
        for title, text in sections
    }


def draw() -> str:
    """Draw the picture as SVG."""
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    graph, words, flows = read_graph(), read_words(page), read_flows(page)
    rows, direct = find_rows(graph), drop_implied(graph)
    bottom = TOP + (max(rows.values()) + 1) * PITCH
    parts = [
        draw_arrow(rows, room, other)
        for room in PLACES
        for other in PLACES
        if other in direct.get(room, ())
    ]
    parts.append(draw_start(rows))
    for room in sorted(graph, key=list(PLACES).index):
        marks = [number for number, rooms in enumerate(flows.values()) if room in rooms]
        parts.append(draw_room(room, rows[room], words.get(room, ""), marks))
    files = sorted(path.stem for path in (ROOT / "sweep").glob("[a-z]*.py"))
    lines = textwrap.wrap("files that any room may ask: " + ", ".join(files), 125)
    parts += [write(20, bottom + 10 + 16 * i, line, 12, "#333") for i, line in enumerate(lines)]
    y = bottom + 42
    for number, title in enumerate(flows):
        x, line = 20 + 310 * (number % 3), number // 3
        parts += [
            draw_mark(x + 10, y + 24 * line, number),
            write(x + 26, y + 4 + 24 * line, title, 12, "#333"),
        ]
    height = y + 24 * (len(flows) // 3 + 1)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 {height}" width="900" '
        f'height="{height}" font-family="Helvetica, Arial, sans-serif" role="img" '
        'aria-label="The rooms of sweep, and who asks whom">\n'
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
        'markerHeight="8" orient="auto">'
        '<path d="M0,0 L10,5 L0,10 z" fill="#555"/></marker></defs>\n'
        f'<rect width="900" height="{height}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def draw_arrow(rows: dict[str, int], room: str, other: str) -> str:
    """Draw who asks whom: straight down where the two overlap, else bent."""
    (left, width), (others_left, others_width) = PLACES[room], PLACES[other]
    low, high = max(left, others_left), min(left + width, others_left + others_width)
    start = end = (low + high) / 2
    if high - low < 30:
        start = min(max(others_left + others_width / 2, left + 30), left + width - 30)
        end = min(max(left + width / 2, others_left + 30), others_left + others_width - 30)
    above, below = TOP + rows[room] * PITCH + HEIGHT, TOP + rows[other] * PITCH
    middle = (above + below) / 2
    return (
        f'<path d="M{start:g},{above} C{start:g},{middle:g} {end:g},{middle:g} {end:g},{below}" '
        'fill="none" stroke="#555" stroke-width="1.5" marker-end="url(#tip)"/>'
    )


def draw_start(rows: dict[str, int]) -> str:
    """Draw that a launcher starts workers, as processes and without importing them."""
    y = TOP + rows["launch"] * PITCH + HEIGHT / 2
    left = PLACES["worker"][0] + PLACES["worker"][1]
    return (
        f'<path d="M{PLACES["launch"][0]},{y:g} H{left}" stroke="#555" stroke-width="1.5" '
        'stroke-dasharray="5 3" marker-end="url(#tip)"/>'
        + write(
            PLACES["launch"][0] + 10,
            TOP + rows["launch"] * PITCH + HEIGHT + 14,
            "starts processes",
            11,
            "#555",
        )
    )


def draw_room(room: str, row: int, words: str, marks: list[int]) -> str:
    """Draw a room with what it is for and the flows that go through it."""
    left, width = PLACES[room]
    y = TOP + row * PITCH
    fill = "#efe6f7" if room in PACKAGES else "#e3eefb"
    parts = [
        f'<rect x="{left}" y="{y}" width="{width}" height="{HEIGHT}" rx="5" fill="{fill}" '
        'stroke="#4a5a6a"/>',
        write(left + 10, y + 20, room, 15, "#111", ' font-weight="bold"'),
    ]
    for number, line in enumerate(textwrap.wrap(words, int((width - 12) / 6.2))[:3]):
        parts.append(write(left + 10, y + 36 + 14 * number, line, 11.5, "#333"))
    for number, mark in enumerate(reversed(marks)):
        parts.append(draw_mark(left + width - 14 - 20 * number, y + 14, mark))
    return "\n".join(parts)


def draw_mark(x: float, y: float, number: int) -> str:
    """Draw the letter of a flow."""
    return f'<circle cx="{x:g}" cy="{y:g}" r="8.5" fill="{COLOURS[number]}"/>' + write(
        x, y + 4, "abcde"[number], 11.5, "#fff", ' text-anchor="middle" font-weight="bold"'
    )


def write(x: float, y: float, text: str, size: float, colour: str, more: str = "") -> str:
    """Write a line of text."""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}"{more}>'
        f"{html.escape(text)}</text>"
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
