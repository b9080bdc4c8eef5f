"""Options that several commands have in common: each is a field of a dataclass, written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take options for each parameter whose type is a dataclass of them.

    The fields that Typer has been told of (`Annotated`) become options, in the place of the
    parameter; the command gets an object of the class.
    """
    hints = get_type_hints(command, include_extras=True)
    taken: list[inspect.Parameter] = []
    groups: dict[str, list[str]] = {}
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if not is_dataclass(kind):
            taken.append(parameter.replace(annotation=kind))
            continue
        of_fields = get_type_hints(kind, include_extras=True)
        options = [one for one in fields(kind) if hasattr(of_fields[one.name], "__metadata__")]
        groups[parameter.name] = [one.name for one in options]
        taken += [
            parameter.replace(name=one.name, annotation=of_fields[one.name], default=one.default)
            for one in options
        ]

    def call(**given: Any) -> None:
        for name, names in groups.items():
            given[name] = hints[name](**{option: given.pop(option) for option in names})
        command(**given)

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in taken}
    signature = inspect.Signature([one.replace(kind=one.KEYWORD_ONLY) for one in taken])
    call.__signature__ = signature  # type: ignore[attr-defined]  # where Typer looks
    return call
