"""A person's own network, from a file of theirs: `--model mynet.py:MyNet`.

The protocol is three lines: what is searched, what builds the network, what it computes.

    class MyNet(torch.nn.Module):
        space = {"hidden_size": "8:64:log"}
        def __init__(self, hidden_size: int) -> None: ...
        def forward(self, x_BCL): ...  # (B, 4, 4000) -> (B, 4000)

A value of `space` is what `sweep.models.space_text.build_dimension` takes: a dimension, its text, a
list of Python values to choose from, or one value; they arrive in `__init__` with their types.
Learning rate and Adam's betas are searched in ranges that suit most networks, unless `space` names
them too. Loading the file runs it, like any program.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Hashable, Mapping
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from sweep.models.adam import BETAS, DEFAULT_BETAS
from sweep.models.architecture import PROBE_SHAPE, Architecture
from sweep.models.isolation import Isolation
from sweep.models.rehearsal import find_ending
from sweep.models.source import Source, read_source
from sweep.models.space import Choice, Dimension, Fixed, Float, Int
from sweep.models.space_text import build_dimension
from sweep.models.value import Value

TRAINING_SPACE: Mapping[str, Dimension] = {
    "lr": Float(1e-4, 1e-2, "log"),
    **BETAS,
}
TRAINING_DEFAULTS: Mapping[str, Value] = {"lr": 1e-3, **DEFAULT_BETAS}


def load_architecture(name: str, source: Source | None = None) -> Architecture:
    """Load a person's own network and check it on two empty events.

    Args:
        name: File and class, as `mynet.py:MyNet`.
        source: The files, where they were read already; then these run, whatever the disk has.

    Returns:
        The architecture, called by that name; each default is the middle of its dimension, and
        there are no starting points.

    Raises:
        ValueError: When the name has no class, the file is missing or cannot be run, the class is
            missing or no `torch.nn.Module`, its space is missing or does not fit its `__init__`,
            or its output has the wrong shape.
    """
    file_name, colon, class_name = name.rpartition(":")
    if not colon or not file_name or not class_name.isidentifier():
        raise ValueError(
            f"model: no class named, got {name!r}, expected file.py:ClassName; name the class"
        )
    path = Path(file_name)
    source = source or read_source(path)
    network = _find_class(_run_source(source, path), path, class_name)
    space = {**TRAINING_SPACE, **_read_space(network, name)}
    middles = {key: _find_middle(dimension) for key, dimension in space.items()}
    defaults = {
        key: TRAINING_DEFAULTS[key]
        if key in TRAINING_DEFAULTS and space[key].contains(TRAINING_DEFAULTS[key])
        else middle
        for key, middle in middles.items()
    }
    architecture = Architecture(
        name=name,
        network=network,
        rationale=(network.__doc__ or "A network from a file.").strip(),
        defaults=defaults,
        space=space,
    )
    _check_output(architecture, source)
    return architecture


def _run_source(source: Source, path: Path) -> ModuleType:
    """Run a network's files under names of their own."""
    ending = find_ending(Isolation(source, path.parent).run, (path, source.seal))
    if ending is not None:
        raise ValueError(
            f"model: {path} ends the process that runs it, got {ending}, expected a module; "
            "correct the file"
        )
    isolation = Isolation(source, path.parent)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # standard output is for results alone
            return isolation.run()
    except (Exception, SystemExit) as exc:
        reason = _describe(exc).replace(f"{isolation.package}.", "")
        raise ValueError(f"model: {path} cannot be run, got {reason}; correct the file") from exc


def _find_class(module: ModuleType, path: Path, class_name: str) -> type[nn.Module]:
    """Find the network's class in its module."""
    found = vars(module).get(class_name)
    if found is None:
        classes = sorted(
            key
            for key, value in vars(module).items()
            if isinstance(value, type) and value.__module__ == module.__name__
        )
        raise ValueError(
            f"model: no such class in {path}, got {class_name!r}, expected one of {classes}"
        )
    if not isinstance(found, type) or not issubclass(found, nn.Module):
        raise ValueError(
            f"model: {class_name} in {path} is no network, got {found!r}, expected a class derived "
            "from torch.nn.Module"
        )
    return found


def _read_space(network: type[nn.Module], name: str) -> dict[str, Dimension]:
    """Read the class attribute `space`."""
    written = getattr(network, "space", None)
    if not isinstance(written, Mapping):
        raise ValueError(
            f"model: {name} has no space, got {written!r}, expected a class attribute such as "
            'space = {"hidden_size": "8:64:log"}'
        )
    space: dict[str, Dimension] = {}
    for key, entry in written.items():
        if not isinstance(key, str):
            raise ValueError(f"{name}.space: got the name {key!r}, expected text; put it in quotes")
        try:
            space[key] = build_dimension(entry, TRAINING_SPACE.get(key))
        except ValueError as exc:
            raise ValueError(f"{name}.space.{key}: {exc}; correct the class") from exc
    return space


def _find_middle(dimension: Dimension) -> Value:
    """Find a value in the middle of a dimension, on its scale."""
    if isinstance(dimension, Fixed):
        return dimension.value
    if isinstance(dimension, Choice):
        return dimension.values[len(dimension.values) // 2]
    if isinstance(dimension, Int):
        if dimension.log:
            return round(math.sqrt(dimension.low * dimension.high))
        num_steps = (dimension.high - dimension.low) // dimension.step
        return dimension.low + num_steps // 2 * dimension.step
    if dimension.scale == "log":
        return math.sqrt(dimension.low * dimension.high)
    if dimension.scale == "one_minus_log":
        return 1 - math.sqrt((1 - dimension.low) * (1 - dimension.high))
    return (dimension.low + dimension.high) / 2


def _check_output(architecture: Architecture, source: Source) -> None:
    """Build the network at its defaults and look at what comes out, drawing no shared numbers."""
    refuse_ending(architecture, architecture.defaults, (architecture.name, source.seal))
    with torch.random.fork_rng(devices=[]):
        try:
            output = _predict(architecture, architecture.defaults)
        except (Exception, SystemExit) as exc:
            raise ValueError(
                f"model: {architecture.name} fails on a batch of shape {PROBE_SHAPE} with "
                f"{dict(architecture.defaults)}, got {_describe(exc)}; correct the class"
            ) from exc
    expected = (PROBE_SHAPE[0], PROBE_SHAPE[2])
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if shape != expected:
        raise ValueError(
            f"model: {architecture.name} gives the wrong output, got {shape}, expected {expected} "
            f"for a batch of shape {PROBE_SHAPE}; correct its forward"
        )


def refuse_ending(
    architecture: Architecture, hyperparameters: Mapping[str, Value], subject: Hashable = None
) -> None:
    """Refuse a network that ends the process which builds it or has it predict two empty events.

    Args:
        subject: What is tried, as `find_ending` takes it.

    Raises:
        ValueError: When it does; what it raises is not looked at.
    """
    ending = find_ending(lambda: _predict(architecture, hyperparameters), subject)
    if ending is not None:
        raise ValueError(
            f"model: {architecture.name} ends the process that builds it or has it predict, got "
            f"{ending} with {dict(hyperparameters)}, expected a prediction; correct the class"
        )


def _predict(architecture: Architecture, hyperparameters: Mapping[str, Value]) -> object:
    with torch.no_grad():
        return architecture.build_trial(hyperparameters).eval()(torch.zeros(PROBE_SHAPE))


def _describe(exc: BaseException) -> str:
    """Write an exception in one line."""
    return f"{type(exc).__name__}: {' '.join(str(exc).split())}"
