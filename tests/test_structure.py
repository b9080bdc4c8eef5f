"""The rules of the house, read from the source: who imports whom, and who may print."""

from __future__ import annotations

import ast
import graphlib
import re
import runpy
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("models", "storage", "sweep")
DATABASE = (
    *("sqlalchemy", "storage.engine", "storage.transactions", "storage.tables", "storage.sweeps"),
    "storage.artifacts",
)
FORBIDDEN = {
    "models": ("sweep", "storage", "optuna", "sqlalchemy"),
    "storage": ("sweep", "models", "torch"),
    "sweep.errors": ("sweep", "storage", "models", "torch"),
    "sweep.config": ("torch", "storage", "models", "sweep.search", "sweep.plan", "sweep.trial"),
    "sweep.files": ("torch", "models", "sweep.config", "sweep.data"),
    "sweep.machine": ("storage", "models", "sweep.config", "sweep.data"),
    "sweep.settings": ("torch", "models", "sweep.config", "sweep.plan"),
    "sweep.metrics": ("torch", "models", "optuna", "sqlalchemy", "sweep.data", "sweep.training"),
    "sweep.data": ("torch", *DATABASE, "models", "optuna", "sweep.training", "sweep.results"),
    "sweep.training": ("storage", "models", "optuna", "sqlalchemy", "sweep.results", "sweep.trial"),
    "sweep.search": (
        "sqlalchemy",
        "storage.engine",
        "storage.transactions",
        "sweep.plan",
        "sweep.trial",
        "sweep.worker",
    ),
    "sweep.plan": ("sweep.trial", "sweep.worker", "sweep.launch", "sweep.results"),
    "sweep.trial": ("sweep.worker", "sweep.launch", "sweep.results"),
    "sweep.worker": ("sweep.launch", "sweep.results", "sweep.plan", "sweep.data", "models"),
    "sweep.results": ("sweep.launch", "sweep.worker", "sweep.dashboard", "sweep.report"),
    "sweep.api": ("sweep.launch", "sweep.worker", "sweep.dashboard", "sweep.report"),
    "sweep.report": ("sweep.launch", "sweep.worker", "sweep.dashboard"),
    "sweep.dashboard": ("sweep.launch", "sweep.worker", "sweep.training", "sweep.data", "models"),
    "sweep": ("sweep.cli",),
}
"""What a module, or all modules of a package, may not import; nobody imports the command line.

`models` and `storage` lie at the top, and are parts of the package by links: `sweep.models`.
"""
LINKED = re.compile(r"^sweep\.(?=(?:models|storage)\b)")


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES: dict[str, ast.Module] = {}
NODES: dict[str, list[ast.AST]] = {}
IMPORTS: dict[str, set[str]] = {}
"""What each module imports, in functions too."""
AT_ONCE: dict[str, set[str]] = {}
"""What each module imports as soon as it is loaded."""


@pytest.fixture(scope="module", autouse=True)
def source() -> Iterator[None]:
    """Read all modules for these tests alone: a process that is forked would carry them along."""
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            TREES[_name(path)] = ast.parse(path.read_text(encoding="utf-8"))
    NODES.update({name: list(ast.walk(tree)) for name, tree in TREES.items()})
    IMPORTS.update({name: set(_read_imports(nodes)) for name, nodes in NODES.items()})
    AT_ONCE.update({name: set(_read_imports(tree.body)) for name, tree in TREES.items()})
    yield
    for kept in (TREES, NODES, IMPORTS, AT_ONCE):
        kept.clear()


def _read_imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Give what statements import; `from package import module` counts as the module."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (LINKED.sub("", alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            module = LINKED.sub("", str(node.module))
            for alias in node.names:
                full = f"{module}.{alias.name}"
                yield full if full in TREES or module not in TREES else module


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("package", FORBIDDEN)
def test_module_imports_only_what_it_may(package: str) -> None:
    """The layers of STYLE: models, storage and the service do not leak into each other."""
    found = [
        (name, imported)
        for name in TREES
        if _is_in(name, package) and not (package == "sweep" and name.startswith("sweep.cli"))
        for imported in IMPORTS[name]
        for forbidden in FORBIDDEN[package]
        if _is_in(imported, forbidden) and name != "sweep.__main__"
    ]
    assert found == []


@pytest.mark.parametrize("package", ["models", "storage"])
def test_linked_folder_is_imported_as_a_part_of_the_package(package: str) -> None:
    """By its bare name it would be that of a project which has one of its own."""
    assert (ROOT / "sweep" / package).samefile(ROOT / package)
    bare = re.compile(rf"^\s*(?:from|import) {package}\b", flags=re.MULTILINE)
    paths = [path for folder in OURS for path in (ROOT / folder).rglob("*.py")]
    assert [str(path) for path in paths if bare.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("package", ["sweep.dashboard", "sweep.report"])
def test_only_the_command_line_imports_the_pages(package: str) -> None:
    """Pages are drawn from the database; nothing that trains depends on them."""
    found = [
        name
        for name in TREES
        if not _is_in(name, "sweep.cli") and not _is_in(name, package)
        for imported in IMPORTS[name]
        if _is_in(imported, package)
    ]
    assert found == []


def test_modules_import_each_other_in_no_circle() -> None:
    """A reader can go from the bottom to the top, also through what functions import."""
    graph = {name: {i for i in IMPORTS[name] if i in TREES} - {name} for name in TREES}
    graphlib.TopologicalSorter(graph).prepare()


OPTUNAS = ("storage.study_cache", "storage.study_reads", "storage.study_rows")
"""The adapter of Optuna's storage, with `storage.studies`."""


def test_underscored_names_stay_in_their_module() -> None:
    """What begins with an underscore is imported by nobody else, but Optuna's by its adapter."""
    found = [
        (name, alias.name)
        for name, nodes in NODES.items()
        if name not in OPTUNAS
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name.startswith("_") or any(p.startswith("_") for p in str(node.module).split("."))
    ]
    assert [entry for entry in found if entry[1] != "annotations"] == []


FORKED_ENDS = {(f"sweep.{name}", "os._exit") for name in ("launch.fork_server", "cli.apart")}
"""A forked process must never return into the callers of its parent: the one way to end it."""


def test_private_names_of_objects_are_used_only_by_their_own_class() -> None:
    """`other._name` is Optuna's or a neighbour's; only the adapter of studies knows Optuna's, and
    one module numba's.
    """
    found = [
        (name, ast.unparse(node))
        for name, nodes in NODES.items()
        if name not in ("storage.studies", *OPTUNAS, "sweep.machine.compiled")
        for node in nodes
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]
    assert {entry for entry in found if not entry[1].startswith("other._")} == FORKED_ENDS


def test_only_the_command_line_prints_or_exits() -> None:
    """Everything else returns, raises or logs; what is forked ends where it was forked."""
    found = [
        (name, ast.unparse(node.func))
        for name, nodes in NODES.items()
        if not _is_in(name, "sweep.cli")
        for node in nodes
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("print", "sys.exit", "exit", "quit", "os._exit")
    ]
    assert set(found) == {end for end in FORKED_ENDS if not _is_in(end[0], "sweep.cli")}


def test_tests_that_the_documents_name_are_there() -> None:
    """As `tests/PATH.py::NAME`."""
    named = {
        match
        for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
        for match in re.findall(r"(tests/[\w/]+\.py)::(\w+)", path.read_text(encoding="utf-8"))
    }
    assert len(named) >= 10
    lost = [
        (path, name)
        for path, name in sorted(named)
        if f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert lost == []


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "deploy" / "README.md"]
FOLDERS = (*OURS, "tests", "docs", "deploy")


def _read_prose(page: Path) -> str:
    """Read a page without its examples."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_the_documents_name_are_there(page: Path) -> None:
    """As `sweep/config/sweep.py` or as a link; capitals stand for a name to be chosen."""
    named = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w/.-]*)`", _read_prose(page))
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)", _read_prose(page))
    lost = [path for path in named if "NAME" not in path and not (ROOT / path).exists()]
    assert lost + [path for path in linked if not (page.parent / path).exists()] == []


def test_every_room_has_its_line() -> None:
    """The page on how the program is made names each folder and file at the top of the service."""
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = [f"`sweep/{path.name}/`" for path in (ROOT / "sweep").glob("*/") if path.name[0] != "_"]
    rooms += [f"`sweep/{path.name}`" for path in (ROOT / "sweep").glob("[a-z]*.py")]
    assert [room for room in rooms if room not in page] == []


def test_picture_of_the_rooms_shows_what_stands() -> None:
    """Its rooms, arrows and words are those of today; else draw it: docs/draw_architecture.py."""
    program = runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"))
    assert set(program["PLACES"]) == set(program["read_graph"]())
    assert program["draw"]() == (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_functions_that_the_documents_name_are_there(page: Path) -> None:
    """As `sweep/config/sweep.py` `build_recipe()`, in either order, and so classes and tables.

    What is named belongs to a file that is named in the same paragraph, item or row.
    """
    lost = []
    for part in re.split(r"\n\n|\n(?=\d\. |- |\| )", _read_prose(page)):
        paths = re.findall(rf"`((?:{'|'.join(OURS)})/[\w/]+\.py)`", part)
        files = [ROOT / path for path in paths if (ROOT / path).is_file()]
        sources = "".join(file.read_text(encoding="utf-8") for file in files)
        for name in re.findall(r"`(?:\w+\.)?(\w+)\(\)`", part):
            if not re.search(rf"(def|class) {name}\b", sources):
                lost.append(f"{name}() in {', '.join(paths) or 'no file'}")
        for name in re.findall(r"`([A-Z][A-Z_]{3,})`", part):
            if paths and not re.search(rf"\b{name}\b", sources):
                lost.append(f"{name} in {', '.join(paths)}")
    assert lost == []


def test_sections_that_the_code_cites_are_there() -> None:
    """Of the page on physics, as `docs/PHYSICS.md, "Loss"`."""
    page = (ROOT / "docs" / "PHYSICS.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^## (.+)$", page, flags=re.MULTILINE))
    cited = set()
    for package in (*OURS, "tests"):
        for path in (ROOT / package).rglob("*.py"):
            text = re.sub(r"\s*\n\s*(# )?", " ", path.read_text(encoding="utf-8"))
            sections = re.findall(r'PHYSICS\.md, "([^"]+)"', text)
            assert path == Path(__file__) or len(sections) == text.count("PHYSICS"), path
            cited.update(sections)
    assert cited - headings == set()


def test_files_stay_readable() -> None:
    """400 lines is the point to split."""
    long = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for package in OURS
        for path in (ROOT / package).rglob("*.py")
    }
    assert {path: lines for path, lines in long.items() if lines > 400} == {}


LIGHT: dict[str, set[str]] = {
    "sweep": set(),
    "sweep.cli": {"typer"},
    "sweep.config": {"pydantic"},
    "sweep.data.selection": {"numpy", "pydantic"},
    "storage.sweeps": {"sqlalchemy"},
    "sweep.launch.remote": set(),
    "sweep.cli.live": {"pydantic", "rich", "sqlalchemy", "typer"},
    "sweep.cli.run_job": {"numpy", "pydantic", "rich", "sqlalchemy", "typer"},
    "sweep.worker.worker": {
        *("numpy", "optuna", "pydantic", "safetensors", "sqlalchemy", "torch"),
    },
}
"""Modules, and all that they load of other projects; `torch` and `optuna` take seconds."""


def _list_loaded(name: str) -> set[str]:
    """List the modules of ours that are loaded with one, and what they load of others."""
    loaded: set[str] = set()
    waiting = {name}
    while waiting:
        one = waiting.pop()
        loaded.add(one)
        parents = {one[:end] for end in range(len(one)) if one[end] == "."}
        waiting |= (AT_ONCE.get(one, set()) | (parents & TREES.keys())) - loaded
    return loaded


HEAVY = {"torch", "optuna", "numpy", "pandas", "matplotlib", "plotly", "sqlalchemy"}


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_load_nothing_heavy(name: str) -> None:
    """`sweep --help` answers at once, because what it imports is light."""
    others = {one.partition(".")[0] for one in _list_loaded(name) - TREES.keys()}
    assert others - sys.stdlib_module_names - {"sweep", *OURS} == LIGHT[name]


def test_help_lists_the_commands_without_torch() -> None:
    """Asked as a person does, in a process of its own, which hardly looks for garbage."""
    code = (
        "import atexit, gc, runpy, sys\n"
        "atexit.register(lambda: print('frozen:', gc.get_freeze_count()))\n"
        "sys.argv = ['sweep', '--help']\n"
        "try:\n    runpy.run_module('sweep', run_name='__main__')\n"
        "except SystemExit as exc:\n    assert not exc.code\n"
        f"assert {HEAVY}.isdisjoint(sys.modules)\n"
        "assert gc.get_threshold()[0] > 100_000\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(process.stdout.rpartition("frozen:")[2]) > 10_000  # nor is one made at the end
    for command in (
        "run",
        "worker",
        "status",
        "list",
        "best",
        "evaluate",
        "predict",
        "score",
        "models",
        "dashboard",
        "report",
    ):
        assert command in process.stdout.split()
