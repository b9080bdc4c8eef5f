"""The networks a sweep can search, one family a file. PyTorch only: no sweep, no database here.

What is searched of a family stands beside its network in a file that loads no torch, so that an
option can be refused at once.
"""

from __future__ import annotations

from models import birnn_space, cnn_space, mlp_space, rcnn_space
from models.architecture import TRAINING_HYPERPARAMETERS, Architecture, count_parameters
from models.source import Source

ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        birnn_space.ARCHITECTURE,
        cnn_space.ARCHITECTURE,
        rcnn_space.ARCHITECTURE,
        mlp_space.ARCHITECTURE,
    )
}

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

    Returns:
        The architecture.

    Raises:
        ValueError: When there is none of that name, or the person's file cannot be used.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if ":" in name or name.endswith(".py"):
        from models.custom import load_architecture  # loads torch

        return load_architecture(name, source)
    raise ValueError(
        f"model: unknown, got {name!r}, expected one of {', '.join(ARCHITECTURES)}, or "
        "file.py:ClassName for a network of your own"
    )
