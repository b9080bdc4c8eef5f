"""A network as ONNX, compared with PyTorch: an extra, which cannot hold every network."""

from __future__ import annotations

import copy
import importlib.util
import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sweep.data.events import EventSet
from sweep.geometry import NUM_BINS, NUM_FEATURES

ONNX_FILE = "model.onnx"
EXTRA = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-3
"""Largest difference of a predicted height between ONNX and PyTorch."""
NUM_COMPARED = 5


class OnnxError(Exception):
    """The network is not there as ONNX, for this reason."""


def write_onnx(
    path: Path, network: nn.Module, events: EventSet, report: Callable[[str], None]
) -> None:
    """Write a network as ONNX and compare its output with PyTorch's.

    Args:
        path: Of the file; nothing is left there when it cannot be.
        network: Is copied, not changed.
        events: The first of them are compared.
        report: Told in a line what takes long.

    Raises:
        OnnxError: when the extra is not installed, or cannot hold the network.
    """
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise OnnxError(f"{', '.join(missing)} not installed (install pv-sweep[export])")
    is_recurrent = any(isinstance(part, nn.RNNBase) for part in network.modules())
    report(f"writing {path.name}" + ", which takes minutes" * is_recurrent)
    try:
        network = copy.deepcopy(network).eval()
        _convert(path, network)
        difference = _compare(path, network, events)
    except (Exception, SystemExit) as exc:  # each of the three, and the network, raise anything
        _remove(path)
        raise OnnxError(f"ONNX cannot hold this network: {_describe(exc)}") from exc
    if not difference <= TOLERANCE:
        _remove(path)
        raise OnnxError(
            f"ONNX predicts something else than PyTorch, got a difference of {difference:.2g}, "
            f"expected at most {TOLERANCE}"
        )


def _convert(path: Path, network: nn.Module) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, we do not
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (torch.zeros(2, NUM_FEATURES, NUM_BINS),),
            input_names=["x"],
            output_names=["y"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=65536)},),
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise OnnxError("PyTorch wrote no program")
    program.save(str(path))


def _compare(path: Path, network: nn.Module, events: EventSet) -> float:
    """Give the largest difference of a height; infinite where the shapes differ."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x_BCL, _y_BL = events.load(range(min(NUM_COMPARED, len(events))))
    with torch.inference_mode():  # a copy: a network may change its input in place
        expected_BL = network(torch.from_numpy(x_BCL.copy())).float().numpy()
    found_BL = session.run(["y"], {"x": x_BCL})[0]
    if found_BL.shape != expected_BL.shape:
        return float("inf")
    return float(np.abs(found_BL - expected_BL).max())


def _remove(path: Path) -> None:
    for left in path.parent.glob(f"{path.name}*"):  # large weights lie in a file beside it
        left.unlink()


def _describe(exc: BaseException) -> str:
    """Write the innermost reason in one line: the exporter wraps it in pages of advice."""
    while exc.__cause__ is not None:
        exc = exc.__cause__
    lines = [line for line in str(exc).splitlines() if line.strip()]
    return f"{type(exc).__name__}: {lines[0].strip()[:200]}" if lines else type(exc).__name__
