"""Exported models loaded again: judged on the features they were trained on, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from made import DATA
from safetensors.torch import save_file

from sweep.errors import ModelError
from sweep.metrics.table import EFFICIENCY, FP_RATE
from sweep.models import ARCHITECTURES
from sweep.results.evaluation import evaluate_export, open_judged
from sweep.results.operating_curve import trace_operating_curve

STRUCTURE = {"hidden_size": 4, "num_layers": 1, "head": "identity", "activation": "relu"}


def write_export(folder: Path, config: Any) -> Path:
    """Write the parts of an export that are needed to load it."""
    folder.mkdir()
    weights = ARCHITECTURES["cnn"].build(STRUCTURE).state_dict()
    positive = {name: tensor.abs() for name, tensor in weights.items()}  # more in, more out
    save_file(positive, folder / "weights.safetensors")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def make_config(**data: Any) -> dict[str, Any]:
    """Make the config of an export."""
    return {
        "model": "cnn",
        "hyperparameters": STRUCTURE,
        "sweep_config": {"data": DATA | data},
    }


@pytest.fixture
def both_features(tmp_path: Path) -> Path:
    """A PV-Finder file with both kinds of features, which differ."""
    path = tmp_path / "both.h5"
    kernel = np.zeros((3, 4000), np.float16)
    kernel[:, 1000:1010] = 0.5
    target = np.zeros_like(kernel)
    target[:, 1003:1007] = 0.3
    with h5py.File(path, "w") as file:
        for name in ("kernel", "poca_KDE_A", "poca_KDE_B"):
            file[name] = kernel * (1.0 if name == "kernel" else 0.25)
        for name in ("Xmax", "Ymax", "poca_KDE_A_xMax", "poca_KDE_A_yMax", "pv_other"):
            file[name] = np.zeros_like(kernel)
        file["pv"] = target
    return path


def test_model_is_judged_on_the_features_it_was_trained_on(
    tmp_path: Path, both_features: Path
) -> None:
    """Where a file has both kinds, the kind of the training is taken, unless another is named."""
    folder = write_export(tmp_path / "model", make_config(variant="poca"))
    trained = evaluate_export(*open_judged(folder, [both_features]))
    poca = evaluate_export(*open_judged(folder, [both_features], variant="poca"))
    kernel = evaluate_export(*open_judged(folder, [both_features], variant="kernel"))
    assert trained == poca
    assert trained.validation_loss != kernel.validation_loss


def test_evaluation_tells_how_far_it_is(tmp_path: Path, both_features: Path) -> None:
    """Events are read, then judged."""
    folder = write_export(tmp_path / "model", make_config())
    told: list[tuple[int, int]] = []
    judged = open_judged(folder, [both_features], progress=lambda *done: told.append(done))
    evaluate_export(*judged, progress=lambda *done: told.append(done))
    assert told == [(3, 3), (3, 3)]


def test_network_that_overflows_is_refused_in_one_line(
    tmp_path: Path, call: Callable[..., Any]
) -> None:
    """Events that float32 just holds may be too much for a network; the line names them."""
    folder = write_export(tmp_path / "model", make_config())
    x_NCL, y_NL = np.zeros((2, 4, 4000), np.float32), np.zeros((2, 4000), np.float32)
    x_NCL[1, :, 50:60] = 3e38
    np.savez(tmp_path / "huge.npz", X=x_NCL, y=y_NL)
    answer = call("evaluate", folder, "--data", "huge.npz")
    assert answer.fault.startswith("error: huge.npz: peak finder: a histogram ")
    assert "the model has diverged" in answer.err


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "", "\udcff", "{" * 9])
def test_config_that_is_no_json_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    """Brackets without end, no UTF-8 and nothing are one clear line, not a traceback."""
    folder = write_export(tmp_path / "model", make_config())
    (folder / "config.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ModelError, match=r"not readable, got .*, expected JSON") as caught:
        evaluate_export(*open_judged(folder))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "config",
    [
        [],
        {"model": "cnn"},
        {"model": "cnn", "hyperparameters": STRUCTURE, "sweep_config": {}},
        {"model": "cnn", "hyperparameters": STRUCTURE, "sweep_config": {"data": {}}},
        {"model": "cnn", "hyperparameters": [], "sweep_config": {"data": DATA}},
        make_config() | {"model": "transformer"},
        make_config() | {"hyperparameters": STRUCTURE | {"hidden_size": 8}},
    ],
)
def test_broken_export_is_refused_in_one_line(
    tmp_path: Path, both_features: Path, config: Any
) -> None:
    """A config that is not an export's, or weights of another network, are one clear line."""
    folder = write_export(tmp_path / "model", config)
    with pytest.raises(ModelError) as caught:
        evaluate_export(*open_judged(folder, [both_features]))
    assert len(str(caught.value).splitlines()) == 1


def test_curve_over_settings_is_drawn_with_the_point_in_use_below_it(
    tmp_path: Path, both_features: Path, call: Callable[..., Any]
) -> None:
    """No setting on it finds less than a stricter one; the model's own is what its score says."""
    folder = write_export(tmp_path / "model", make_config())
    exported, events = open_judged(folder, [both_features])
    curve = trace_operating_curve(exported, events, "model")
    rates = [point.fp_rate for point in curve.points]
    shares = [point.efficiency for point in curve.points]
    assert rates == sorted(set(rates)) and shares == sorted(set(shares))
    score = evaluate_export(exported, events)
    assert (EFFICIENCY.measure(score), FP_RATE.measure(score)) == (
        curve.own.efficiency,
        curve.own.fp_rate,
    )
    answer = call("evaluate", folder, "--data", both_features, "--plot", "curve.png")
    assert (answer.code, Path("curve.png").read_bytes()[:4]) == (0, b"\x89PNG")
    assert call("evaluate", folder, "--plot", "curve.txt").code == 1
