"""Compiles functions for the processor, and keeps them for the next process where it can.

numba keeps a function until the file that it is written in changes, while others that it calls, and
the values of names, are compiled into it. Here it is kept until any of them changes. This is the
one place that knows numba from inside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.serialize import dumps


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Have numba compile a function when it is first called; other threads go on while it runs.

    It is kept beside the module or in the user's cache, or in NUMBA_CACHE_DIR. Where none of them
    can be written to, each process compiles it anew.

    Args:
        options: Further ones of `numba.njit`.
    """

    def compile_later(function: Callable[..., Any]) -> Any:
        with suppress(OSError):  # now: it may be edited before it is first called
            vars(function)["source"] = Path(function.__code__.co_filename).read_bytes()
        later = numba.njit(nogil=True, **options)(function)
        with suppress(RuntimeError):  # numba's word for: no place to keep it
            later._cache = _Kept(function)  # type: ignore[no-untyped-call]
        return later

    return compile_later


class _Kept(FunctionCache):
    """What was compiled of a function, by all that was compiled into it."""

    def _index_key(self, *of: Any) -> Any:
        origin: dict[str, bytes] = {}
        _gather(self._py_func, origin)
        key = super()._index_key(*of)  # type: ignore[no-untyped-call]
        return key, hashlib.sha256(repr(origin).encode()).hexdigest()


def _gather(function: FunctionType, origin: dict[str, bytes]) -> None:
    """Gather the source of a function and of those that it calls, and the values that it names."""
    place = f"{function.__module__}.{function.__qualname__}"
    if place in origin:
        return
    origin[place] = vars(function).get("source", function.__code__.co_code)
    names = set(_list_names(function.__code__))
    spaces = {"": function.__globals__}
    spaces |= {
        name: vars(value)
        for name, value in function.__globals__.items()
        if name in names and isinstance(value, ModuleType)
    }
    for of, space in sorted(spaces.items()):
        for name in sorted(names & space.keys() - spaces.keys()):
            if hasattr(space[name], "py_func"):
                _gather(space[name].py_func, origin)
            else:
                origin[f"{place}: {of}.{name}"] = dumps(space[name])  # type: ignore[no-untyped-call]


def _list_names(code: CodeType) -> Iterator[str]:
    """List the names that code looks up, with those in its comprehensions."""
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _list_names(part)
