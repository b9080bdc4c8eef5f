"""When a process looks for garbage: hardly while it loads, as usual then, and not at its end.

Nothing that is loaded is garbage. A search through half of what `sweep run` loads takes as long as
forking a worker, and the last one of a process, which takes all apart, a quarter of `sweep status`.
"""

from __future__ import annotations

import atexit
import gc


def begin_loading() -> None:
    """Hardly look for garbage from here on, and leave all that there is at the end to the system.

    What has to be put away must not wait for Python to take it apart.
    """
    gc.set_threshold(1_000_000)  # twice the objects of PyTorch, Optuna and numba
    atexit.register(gc.freeze)


def end_loading() -> None:
    """Look for garbage as usual from here on, which may hold tensors, but not in what is loaded."""
    gc.freeze()
    gc.set_threshold(700)
