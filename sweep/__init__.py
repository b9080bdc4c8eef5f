"""sweep: hyperparameter sweeps for networks that find proton-proton collision points.

In Python, what the commands do and tables of pandas:

    import sweep

    sweep.start("cnn", trials=50).follow()      # `sweep run`, shown live in the cell
    database = sweep.open("sqlite:///sweep.db")
    trials = database.trials("cnn")             # a pandas.DataFrame, as of database.epochs("cnn")
    model = sweep.load_model("my_model")        # that `sweep best --export` wrote
    x, y = sweep.read_events("Set_1.npz").load(range(10))
    sweep.find_vertices(model, x)               # positions in mm, an array an event

Nothing is loaded before it is used: `import sweep` takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.api.database import Database, open
    from sweep.api.events import read_events, score
    from sweep.api.finder import VertexFinder, find_vertices, load_model, predict
    from sweep.api.running import RunningSweep, start
    from sweep.figures.event import draw_event

__all__ = [
    "open",
    "Database",
    "start",
    "RunningSweep",
    "load_model",
    "VertexFinder",
    "predict",
    "find_vertices",
    "read_events",
    "score",
    "draw_event",
]

_PLACES = {
    "open": "sweep.api.database",
    "Database": "sweep.api.database",
    "start": "sweep.api.running",
    "RunningSweep": "sweep.api.running",
    "load_model": "sweep.api.finder",
    "VertexFinder": "sweep.api.finder",
    "predict": "sweep.api.finder",
    "find_vertices": "sweep.api.finder",
    "read_events": "sweep.api.events",
    "score": "sweep.api.events",
    "draw_event": "sweep.figures.event",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module 'sweep' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
