"""What the forms of our own pages do: each change checked as the command of its name checks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sqlalchemy as sa

from sweep.dashboard.routes import POINT, PRIORITY, RESUME, STOP
from sweep.errors import FormError
from sweep.results.edits import change_priority, resume_sweep, stop_sweep, try_points
from sweep.storage.edits import list_edits
from sweep.storage.sweeps import Sweep, count_trials

Form = Mapping[str, str]

VALUE = "value."
"""Before the name of a hyperparameter: the field of its value."""
SEEN = "seen"
"""The field that says which priority the page showed when it was opened."""


def edit_sweep(engine: sa.Engine, sweep: Sweep, edit: str, form: Form, author: str) -> int:
    """Do what a form says.

    Args:
        edit: Which form, one of `routes.EDITS`.
        author: Who sent it; stored with it.

    Returns:
        The number of the edit.

    Raises:
        FormError, ConfigError, StorageError: when it cannot be done.
    """
    _EDITS[edit](engine, sweep, form, author)
    return list_edits(engine, sweep.id, 1)[0].number


def _stop(engine: sa.Engine, sweep: Sweep, _form: Form, author: str) -> None:
    if count_trials(engine, sweep.id).finished >= sweep.budget:
        raise FormError(
            f"sweep {sweep.name}: nothing to stop, got {sweep.budget} of {sweep.budget} trials "
            "finished, expected one that goes on"
        )
    stop_sweep(engine, sweep, author)


def _resume(engine: sa.Engine, sweep: Sweep, _form: Form, author: str) -> None:
    if not sweep.stop_requested:
        raise FormError(
            f"sweep {sweep.name}: nothing to resume, got one that is not stopped, expected one "
            "that is"
        )
    resume_sweep(engine, sweep, author)


def _set_priority(engine: sa.Engine, sweep: Sweep, form: Form, author: str) -> None:
    text = form.get(PRIORITY, "").strip()
    try:
        priority = int(text)
    except ValueError as exc:
        raise FormError(
            f"priority: not a whole number, got {text!r}, expected one; as 0 or 10"
        ) from exc
    if form.get(SEEN) != str(sweep.priority):
        raise FormError(
            f"priority: somebody else has changed it meanwhile, got {sweep.priority}, expected "
            f"{form.get(SEEN, 'none')}, which this page showed; look, and send it again"
        )
    change_priority(engine, sweep, priority, author)


def _try_point(engine: sa.Engine, sweep: Sweep, form: Form, author: str) -> None:
    texts = [
        f"{field.removeprefix(VALUE)}={text}"
        for field, text in form.items()
        if field.startswith(VALUE) and text.strip()
    ]
    if not texts:
        raise FormError("point: no value, got none, expected at least one; as lr 1e-3")
    try_points(engine, sweep, texts, author)


_EDITS: Mapping[str, Callable[[sa.Engine, Sweep, Form, str], None]] = {
    STOP: _stop,
    RESUME: _resume,
    PRIORITY: _set_priority,
    POINT: _try_point,
}
