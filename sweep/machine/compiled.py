"""Compiles functions for the processor, and keeps them for the next process where it can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Have numba compile a function when it is first called; other threads go on while it runs.

    It is kept beside the module or in the user's cache, or in NUMBA_CACHE_DIR. Where none of them
    can be written to, each process compiles it anew.

    Args:
        options: Further ones of `numba.njit`.
    """

    def compile_later(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # numba's word for: no place to keep it
            return numba.njit(nogil=True, **options)(function)

    return compile_later
