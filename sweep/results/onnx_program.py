"""A network as ONNX, compared with PyTorch: an extra, which cannot hold every network.

PyTorch has two exporters. The one that records a run takes a second, also of a recurrent network,
but keeps the way that this run took; the one that captures the program takes minutes there. So a
run is recorded first, where the network does not choose its way by the values of the events.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sweep.data.events import EventSet
from sweep.data.geometry import NUM_BINS, NUM_FEATURES

ONNX_FILE = "model.onnx"
EXTRA = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-3
"""Largest difference of a predicted height between ONNX and PyTorch."""
NUM_RECORDED = 2
BATCH_SIZES = (5, 1)
"""That are compared: others than the one that is recorded."""
OPSET = 18
READERS = frozenset(
    (
        *("__bool__", "__int__", "__float__", "__complex__", "__index__", "__contains__"),
        *("__array__", "item", "tolist", "numpy", "equal", "allclose", "is_nonzero"),
    )
)
"""What gives Python a tensor's values, by which it may then choose its way."""


class OnnxError(Exception):
    """The network is not there as ONNX, for this reason."""


@dataclass(frozen=True)
class Answer:
    """A batch of events and what PyTorch predicts for it."""

    x_BCL: np.ndarray
    y_BL: np.ndarray


def write_onnx(
    path: Path, network: nn.Module, events: EventSet, say: Callable[[str], None]
) -> None:
    """Write a network as ONNX and compare its output with PyTorch's.

    Args:
        path: Of the file; nothing is left there when it cannot be.
        network: Is copied, not changed.
        events: The first of them are compared.
        say: Told in a line what takes long.

    Raises:
        OnnxError: when the extra is not installed, or cannot hold the network.
    """
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise OnnxError(f"{', '.join(missing)} not installed (install pv-sweep[export])")
    say(f"writing {path.name}")
    try:
        network = copy.deepcopy(network).eval()
        answers, is_read = _ask(network, events)
    except (Exception, SystemExit) as exc:  # a network raises anything
        raise OnnxError(f"ONNX cannot hold this network: {_describe(exc)}") from exc
    if not is_read:
        try:
            _write(_record, path, network, answers)
            return
        except OnnxError:
            pass  # the other exporter has the last word
    is_recurrent = any(isinstance(part, nn.RNNBase) for part in network.modules())
    say(f"capturing the network for {path.name}" + ", which takes minutes" * is_recurrent)
    _write(_capture, path, network, answers)


class _Watch(TorchFunctionMode):
    """Notices whether Python is given a tensor's values."""

    is_read = False

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.is_read |= getattr(func, "__name__", "") in READERS
        return func(*args, **(kwargs or {}))


def _ask(network: nn.Module, events: EventSet) -> tuple[list[Answer], bool]:
    """Let PyTorch predict batches of several sizes, and tell whether it reads their values."""
    x_BCL, _y_BL = events.load(range(min(max(BATCH_SIZES), len(events))))
    answers = []
    watch = _Watch()
    network = copy.deepcopy(network)  # it may change itself
    for size in BATCH_SIZES:
        asked_BCL = np.resize(x_BCL, (size, *x_BCL.shape[1:]))  # again from the first on
        with torch.inference_mode(), watch:  # a copy: a network may change its input in place
            predicted_BL = network(torch.from_numpy(asked_BCL.copy()))
        answers.append(Answer(asked_BCL, predicted_BL.float().numpy()))
    return answers, watch.is_read


def _write(
    convert: Callable[[Path, nn.Module, Tensor], None],
    path: Path,
    network: nn.Module,
    answers: Sequence[Answer],
) -> None:
    """Write ONNX in one way and compare it; nothing is left where it is not the same.

    Raises:
        OnnxError: when it cannot be, or predicts something else.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, we do not
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # of what may go wrong, which the comparison finds
            convert(path, copy.deepcopy(network), torch.zeros(NUM_RECORDED, NUM_FEATURES, NUM_BINS))
        difference = _compare(path, answers)
    except (Exception, SystemExit) as exc:  # each of the three, and the network, raise anything
        _remove(path)
        raise OnnxError(f"ONNX cannot hold this network: {_describe(exc)}") from exc
    if not difference <= TOLERANCE:
        _remove(path)
        raise OnnxError(
            f"ONNX predicts something else than PyTorch, got a difference of {difference:.2g}, "
            f"expected at most {TOLERANCE}"
        )


def _record(path: Path, network: nn.Module, x_BCL: Tensor) -> None:
    """Record a run of the network."""
    torch.onnx.export(
        network,
        (x_BCL,),
        str(path),
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
        opset_version=OPSET,
        dynamo=False,
        verbose=False,
    )


def _capture(path: Path, network: nn.Module, x_BCL: Tensor) -> None:
    """Capture the network's program."""
    program = torch.onnx.export(
        network,
        (x_BCL,),
        input_names=["x"],
        output_names=["y"],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=65536)},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise OnnxError("PyTorch wrote no program")
    program.save(str(path))


def _compare(path: Path, answers: Sequence[Answer]) -> float:
    """Give the largest difference of a height; infinite where the shapes differ."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    differences = []
    for answer in answers:
        found_BL = session.run(["y"], {"x": answer.x_BCL})[0]
        if found_BL.shape != answer.y_BL.shape:
            return float("inf")
        differences.append(float(np.abs(found_BL - answer.y_BL).max()))
    return float(np.max(differences))  # NaN stays NaN


def _remove(path: Path) -> None:
    for left in path.parent.glob(f"{path.name}*"):  # large weights lie in a file beside it
        left.unlink()


def _describe(exc: BaseException) -> str:
    """Write the innermost reason in one line: the exporter wraps it in pages of advice."""
    while exc.__cause__ is not None:
        exc = exc.__cause__
    lines = [line for line in str(exc).splitlines() if line.strip()]
    return f"{type(exc).__name__}: {lines[0].strip()[:200]}" if lines else type(exc).__name__
