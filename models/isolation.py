"""Runs the files of a network under names of their own.

Two sweeps may each have a `blocks.py`, a network may have a `models.py`: neither may take the
other's, or the program's. Each source therefore becomes a package of a name that nothing else has,
and its own `import blocks` is read as one from that package. What runs is what was read and hashed;
the disk is not looked at again.
"""

from __future__ import annotations

import builtins
import importlib
import itertools
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import decode_source, find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from sweep.models.source import INIT, Source

PREFIX = "_network_"
EARLIER = "models"
"""What `sweep.models` was called before 0.2: networks that sweeps have kept may ask for it."""
_NUMBERS = itertools.count(1)


def _is_ours(name: str) -> bool:
    """Say whether the earlier name is ours: nobody else has a package that is called so."""
    found = find_spec(name) if name == EARLIER else None
    place = found and found.origin and Path(found.origin).resolve().parent
    return name == EARLIER and place in (None, Path(__file__).resolve().parent)


def find_place(exc: BaseException) -> str | None:
    """Say where in a person's files an exception was raised, or what they called raised it.

    Returns:
        File, line and function; None where none of their code was being run.
    """
    place, trace = None, exc.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if str(frame.f_globals.get("__name__", "")).startswith(PREFIX):
            name = Path(frame.f_code.co_filename).name
            place = f"{name}, line {trace.tb_lineno} ({frame.f_code.co_name})"
        trace = trace.tb_next
    return place


class Isolation(MetaPathFinder, Loader):
    """A source as a package that Python can import.

    Args:
        folder: Where they were read: they may look for other files there.
    """

    def __init__(self, source: Source, folder: Path) -> None:
        self.package = f"{PREFIX}{next(_NUMBERS)}"
        self._source = source
        self._folder = folder
        self._main = f"{self.package}.{Path(source.main).stem.replace('.', '_')}"
        self._tops = {path.split("/")[0].removesuffix(".py") for path in source.files}
        self._builtins = {**vars(builtins), "__import__": self._import}

    def run(self) -> ModuleType:
        """Run the main file, and what it imports.

        Raises:
            Exception: What the files raise; no module of theirs is left then.
        """
        sys.meta_path.insert(0, self)
        try:
            return importlib.import_module(self._main)
        except BaseException:
            sys.meta_path.remove(self)
            for name in [name for name in sys.modules if self._is_inside(name)]:
                del sys.modules[name]
            raise

    def _is_inside(self, name: str) -> bool:
        return name == self.package or name.startswith(f"{self.package}.")

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of the source; called by Python for every import."""
        if not self._is_inside(fullname):
            return None
        if fullname == self._main:
            return self._describe(fullname, self._source.main, is_package=False)
        inner = fullname.removeprefix(self.package).removeprefix(".").replace(".", "/")
        folder = f"{inner}/" if inner else ""
        if f"{folder}{INIT}" in self._source.files and f"{folder}{INIT}" != self._source.main:
            return self._describe(fullname, f"{folder}{INIT}", is_package=True)
        if f"{inner}.py" in self._source.files:
            return self._describe(fullname, f"{inner}.py", is_package=False)
        if any(path.startswith(folder) for path in self._source.files):
            return self._describe(fullname, None, is_package=True)
        return None

    def _describe(self, name: str, path: str | None, is_package: bool) -> ModuleSpec:
        origin = None if path is None else str(self._folder / path)
        spec = ModuleSpec(name, self, origin=origin, loader_state=path, is_package=is_package)
        spec.has_location = path is not None
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """Run a file of the source in its module; called by Python."""
        assert module.__spec__ is not None
        path = module.__spec__.loader_state
        if path is None:  # a folder without code of its own
            return
        code = compile(
            self._source.files[path], str(self._folder / path), "exec", dont_inherit=True
        )
        vars(module)["__builtins__"] = self._builtins
        exec(code, vars(module))  # the one place that runs it, after its hash was compared

    def get_source(self, fullname: str) -> str | None:
        """Give the text of a module, for tracebacks and for `inspect`."""
        spec = self.find_spec(fullname)
        path = spec.loader_state if spec else None
        return None if path is None else decode_source(self._source.files[path])

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Import for a file of the source: its own modules from it, all others as ever."""
        top = name.partition(".")[0]
        if not level and top not in self._tops and _is_ours(top):
            module = builtins.__import__(f"sweep.{name}", globals, locals, fromlist or (), 0)
            return module if fromlist else sys.modules[f"sweep.{top}"]
        if level or top not in self._tops:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        own = f"{self.package}.{name}"
        module = builtins.__import__(own, globals, locals, fromlist or (), 0)
        return module if fromlist else sys.modules[f"{self.package}.{top}"]
