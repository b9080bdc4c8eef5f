"""Networks and events in a notebook: vertices in mm, and scores as the commands give them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import sweep
from sweep.errors import DataError
from sweep.models import ARCHITECTURES

STRUCTURE = {"hidden_size": 4, "num_layers": 1, "head": "identity", "activation": "relu"}


class Copy(torch.nn.Module):
    """Gives its first feature back."""

    def forward(self, x_BCL: torch.Tensor) -> torch.Tensor:
        return x_BCL[:, 0]


def test_vertices_are_found_in_mm() -> None:
    """An array an event; the centre of bin 1000 is at 0.05 mm (docs/PHYSICS.md, "Histogram")."""
    x_NCL = np.zeros((3, 4, 4000))
    x_NCL[0, 0, 999:1002] = x_NCL[2, 0, [[0, 1, 2], [2000, 2001, 2002]]] = 0.2
    model = Copy()
    found = sweep.find_vertices(model, x_NCL)
    assert model.training
    assert [np.round(z_mm, 4).tolist() for z_mm in found] == [[0.05], [], [-99.85, 100.15]]
    assert sweep.find_vertices(model, x_NCL[:0]) == []
    with pytest.raises(DataError, match=r"x: wrong shape, got \(4, 4000\), expected \(events"):
        sweep.find_vertices(model, x_NCL[0])


def test_events_are_read_and_scored(events_file: Path) -> None:
    """The truth itself has every peak; nothing has none."""
    events = sweep.read_events(events_file)
    x_BCL, y_BL = events.load(range(4))
    assert x_BCL.shape == (4, 4, 4000)
    assert sweep.score(y_BL, y_BL)["efficiency"] == 1.0
    none = sweep.score(y_BL, np.zeros_like(y_BL))
    assert (none["efficiency"], none["events"]) == (0.0, 4)
    with pytest.raises(DataError, match="prediction: does not fit the truth, got 3 events"):
        sweep.score(y_BL, y_BL[:3])
    with pytest.raises(DataError, match="not finite"):
        sweep.score(y_BL, np.full_like(y_BL, np.inf))


def test_export_is_a_module_with_its_settings(tmp_path: Path) -> None:
    """In evaluation mode, with its hyperparameters and what counts as a peak of its output."""
    network = ARCHITECTURES["cnn"].build(STRUCTURE)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    data = {"num_train": 1, "num_validation": 1, "null_loss": 0.1}
    data |= {"train_fingerprint": "", "validation_fingerprint": ""}
    config = {"model": "cnn", "hyperparameters": STRUCTURE, "sweep_config": {"data": data}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = sweep.load_model(tmp_path)
    assert not model.training
    assert model.hyperparameters == STRUCTURE
    assert model.decode == {"threshold": 0.01, "integral": 0.2, "min_width": 3}
    x_BCL = torch.rand(2, 4, 4000)
    assert torch.equal(model(x_BCL), network.eval()(x_BCL))
