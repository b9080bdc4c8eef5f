"""A person's own network as files: its own, and the modules beside it that it imports.

They are read, compared and hashed here without any of them being run. What is installed is no part
of it, nor are files that a network opens by itself.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path, PurePosixPath

MAX_FILES = 200
MAX_BYTES = 4_000_000
MAX_PATH = 400
"""What a network may consist of, in files, in bytes of them all and in characters of a path."""
PROGRAM = Path(__file__).parent.parent
"""The package, of which a checkout has the networks by a link."""
INIT = "__init__.py"
BREAKAGE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What Python raises where it cannot parse a file."""


@dataclass(frozen=True)
class Source:
    """The files of a network.

    Attributes:
        main: Name of the file that has the network.
        files: Content of each file by its path from the folder of `main`, as `blocks/conv.py`.

    Raises:
        ValueError: When `main` is not among them, or a path leads elsewhere.
    """

    main: str
    files: Mapping[str, bytes]

    def __post_init__(self) -> None:
        """Believe no path: the files may come from a database or from another's folder."""
        for path in (self.main, *self.files):
            parts = PurePosixPath(path).parts
            is_plain = "/".join(parts) == path and not {"..", "."} & set(parts) and "\0" not in path
            if not is_plain or path.startswith("/") or not path.endswith(".py"):
                raise ValueError(
                    f"model: not a file of a network, got {path!r}, expected a path within its "
                    "folder that ends in .py; take the network from elsewhere"
                )
        if self.main not in self.files:
            raise ValueError(
                f"model: a file is missing, got {sorted(self.files)}, expected {self.main} among "
                "them; take the network from elsewhere"
            )

    @property
    def digest(self) -> str:
        """Hash of the content in 16 hex digits, to be shown and compared."""
        return self._hash(8)

    @property
    def seal(self) -> str:
        """Hash of the content in 64 hex digits, which nobody can meet with other content."""
        return self._hash(32)

    def _hash(self, size: int) -> str:
        if len(self.files) == 1:
            return hashlib.blake2b(self.files[self.main], digest_size=size).hexdigest()
        state = hashlib.blake2b(digest_size=size)
        for path, content in [(self.main, b""), *sorted(self.files.items())]:
            for part in (path.encode(), content):
                state.update(len(part).to_bytes(8, "big") + part)
        return state.hexdigest()


def read_source(path: Path) -> Source:
    """Read a network's file and, of its folder, every module that it imports, and they in turn.

    Args:
        path: The file; a link is followed first, as Python does.

    Raises:
        ValueError: When one is missing, no Python, or imports from outside of the folder, or they
            are too many or too long.
    """
    if not path.is_file():
        raise ValueError(f"model: no such file, got {str(path)!r}, expected a Python file")
    if path.suffix != ".py":
        raise ValueError(f"model: not a Python file, got {str(path)!r}, expected a name in .py")
    path = path.resolve()
    files: dict[str, bytes] = {}
    waiting = [path.name]
    while waiting:
        name = waiting.pop()
        if name in files:
            continue
        files[name] = _read(path.parent / name, MAX_BYTES - sum(map(len, files.values())))
        tree = _parse(path.parent / name, files[name])
        waiting += _list_imported(path.parent, name, tree)
        if len(files) > MAX_FILES or len(name) > MAX_PATH:
            raise ValueError(
                f"model: {path} imports too many files beside it, got more than {MAX_FILES} or "
                f"a path longer than {MAX_PATH}, expected a network; install the rest as a package"
            )
    return Source(path.name, files)


def _read(path: Path, room: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(max(0, room) + 1)
    except OSError as exc:
        raise ValueError(
            f"model: {path} cannot be read, got {exc.strerror}, expected a readable file; check "
            "its permissions"
        ) from exc
    if len(content) > room:
        raise ValueError(
            f"model: {path} and the files that it imports are too long, got more than "
            f"{MAX_BYTES:,} bytes, expected a network; install the rest as a package"
        )
    return content


def _parse(path: Path, content: bytes) -> ast.Module:
    try:
        return ast.parse(content, str(path))
    except BREAKAGE as exc:
        where = f", line {exc.lineno}: {exc.msg}" if isinstance(exc, SyntaxError) else f": {exc}"
        raise ValueError(f"model: syntax error in {path}{where}; correct the file") from exc


def _list_imported(root: Path, name: str, tree: ast.Module) -> Iterator[str]:
    """List the files of a folder that one of them imports."""
    package = name.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _find_top(root, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = node.module.split(".") if node.module else []
            find = _find_top
            if node.level:
                if node.level > len(package) + 1:
                    raise ValueError(
                        f"model: {root / name}, line {node.lineno}: it imports from outside of its "
                        f"folder, got {'.' * node.level}{node.module or ''}, expected a module "
                        "beside the file; put it there or install it"
                    )
                base = package[: len(package) + 1 - node.level] + base
                find = _find
                if (root / INIT).is_file():
                    yield INIT
            for alias in node.names:
                yield from find(root, [*base, alias.name])


def _find_top(root: Path, parts: Sequence[str]) -> Iterator[str]:
    """Find what an import by its full name takes from the folder, as for a script that is run.

    What lies there comes before what is installed; but a folder without `__init__.py` after it.
    """
    place = root / parts[0]
    ours = [(PROGRAM / name).resolve() for name in ("", "models", "storage")]
    if parts[0] in sys.builtin_module_names or place in ours:
        return
    is_module = (place / INIT).is_file() or place.with_name(f"{parts[0]}.py").is_file()
    if not is_module:
        installed = PathFinder.find_spec(parts[0])
        if installed is not None and installed.loader is not None:
            return
    yield from _find(root, parts)


def _find(root: Path, parts: Sequence[str]) -> Iterator[str]:
    """Find the files of a dotted name, its packages' too."""
    for length in range(1, len(parts) + 1):
        path = "/".join(parts[:length])
        if (root / path / INIT).is_file():
            yield f"{path}/{INIT}"
        elif (root / f"{path}.py").is_file():
            yield f"{path}.py"
            return
        elif not (root / path).is_dir():
            return


def list_changes(stored: Source, found: Source) -> list[str]:
    """List the files of two sources that do not do the same.

    Comments, layout and where the main file lies make no difference; nor do docstrings, unless
    some file reads them.
    """
    first, second = ({**s.files, "": s.files[s.main]} for s in (stored, found))
    del first[stored.main], second[found.main]
    is_read = any(
        word in content
        for content in (*first.values(), *second.values())
        for word in (b"__doc__", b"getdoc")
    )
    return [
        path or found.main
        for path in sorted({*first, *second})
        if _read_meaning(first.get(path), is_read) != _read_meaning(second.get(path), is_read)
    ]


def _read_meaning(content: bytes | None, with_docstrings: bool) -> object:
    """Give what a file does, to be compared; its bytes where it cannot be parsed."""
    if content is None:
        return None
    try:
        tree = ast.parse(content)
    except BREAKAGE:
        return content
    return list(_list_tokens(tree, with_docstrings))


def _list_tokens(tree: ast.AST, with_docstrings: bool) -> Iterator[object]:
    """Write a tree out, without positions and in a form that all versions of Python share."""
    waiting: list[object] = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, ast.AST):
            if not with_docstrings:
                _drop_docstring(item)
            yield type(item).__name__
            fields = [(name, value) for name, value in ast.iter_fields(item) if value is not None]
            waiting.append(_END)
            for name, value in fields:
                if value != [] and name not in ("kind", "type_comment"):
                    waiting += [value, (name,)]
        elif isinstance(item, list):
            waiting += [_END, *reversed(item)]
        else:
            yield item if isinstance(item, tuple) else f"{type(item).__name__} {item!r}"


_END = ("end",)


def _drop_docstring(node: ast.AST) -> None:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        first = node.body[0] if node.body else None
        text = first.value if isinstance(first, ast.Expr) else None
        if isinstance(text, ast.Constant) and isinstance(text.value, str):
            del node.body[0]


def list_file_uses(source: Source) -> list[str]:
    """List where a network asks for the place of its own file, as `net.py, line 3`.

    It may read other files there, which are not among its source.
    """
    return [
        f"{path}, line {node.lineno}"
        for path, content in source.files.items()
        for node in ast.walk(ast.parse(content))
        if isinstance(node, ast.Name) and node.id == "__file__"
    ]
