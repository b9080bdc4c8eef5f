"""The network of a sweep: one of this project's architectures, or a person's own."""

from __future__ import annotations

import hashlib
from pathlib import Path

from models import Architecture, find_architecture
from sweep.errors import ModelError


def resolve_model(model: str) -> str:
    """Give an architecture's name, or a person's own network by a path that holds anywhere."""
    file, colon, name = model.rpartition(":")
    return f"{Path(file).resolve()}:{name}" if colon else model


def load_model(model: str) -> tuple[Architecture, str]:
    """Load an architecture, with the hash of its file where it is a person's own.

    Raises:
        ModelError: when there is none of that name or its file cannot be used.
    """
    try:
        architecture = find_architecture(model)
    except ValueError as exc:
        raise ModelError(str(exc)) from exc
    if ":" not in model:
        return architecture, ""
    content = Path(model.rpartition(":")[0]).read_bytes()
    return architecture, hashlib.blake2b(content, digest_size=8).hexdigest()
