"""The networks a sweep can search, one family a file. PyTorch only: no sweep, no database here.

What is searched of a family stands beside its network in `NAME_space.py`, which loads no torch, so
that an option can be refused at once. These files are found by their names.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from sweep.models.architecture import TRAINING_HYPERPARAMETERS, Architecture, count_parameters
from sweep.models.source import Source


def _find_architectures() -> Iterator[Architecture]:
    """Find the ARCHITECTURE of each file that ends in `_space.py`, by name."""
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        if found.name.endswith("_space"):
            yield importlib.import_module(f"{__name__}.{found.name}").ARCHITECTURE


ARCHITECTURES = {architecture.name: architecture for architecture in _find_architectures()}
"""All of this project, by the name that `--model` takes."""

__all__ = [
    "ARCHITECTURES",
    "TRAINING_HYPERPARAMETERS",
    "Architecture",
    "count_parameters",
    "find_architecture",
]


def find_architecture(name: str, source: Source | None = None) -> Architecture:
    """Find an architecture by its name, or load a person's own.

    Args:
        name: One of `ARCHITECTURES`, or file and class as `mynet.py:MyNet`.
        source: The files of a person's own, where they were read already.

    Raises:
        ValueError: When there is none of that name, or the person's file cannot be used.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if ":" in name or name.endswith(".py"):
        from sweep.models.custom import load_architecture  # loads torch

        return load_architecture(name, source)
    raise ValueError(
        f"model: unknown, got {name!r}, expected one of {', '.join(ARCHITECTURES)}, or "
        "file.py:ClassName for a network of your own"
    )
