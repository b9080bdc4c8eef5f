"""What the fresh process that checks an export says, and what becomes of its fault."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from workers import work

import sweep.results.export
import sweep.results.onnx_program
from sweep.data.formats import open_events
from sweep.errors import ModelError
from sweep.results.best import find_best_trial
from sweep.results.export import export_trial
from sweep.results.onnx_program import ONNX_FILE, OnnxError, write_onnx
from sweep.results.status import Status, read_status
from sweep.trial.session import Session


@pytest.fixture(scope="module")
def trained(make_session: Callable[..., Session]) -> tuple[Session, Status]:
    """A sweep of one trial of a network that says when it is built; the tests only read it."""
    session = make_session(network="TalkingNet", trials=1, epochs=1)
    work(session)
    return session, read_status(session.engine, session.sweep)


@pytest.mark.usefixtures("forked_check")
def test_what_the_check_of_an_export_says_is_passed_on(
    trained: tuple[Session, Status], tmp_path: Path
) -> None:
    """A person waits for it, as for ONNX, so both are for them to hear."""
    session, status = trained
    heard: list[str] = []
    trial = find_best_trial(status)
    export_trial(status, trial, session.artifacts, tmp_path / "model", say=heard.append)
    assert f"built with {trial.params['hidden_size']}" in heard
    has_onnx = (tmp_path / "model" / "model.onnx").is_file()
    assert any("writing model.onnx" in line for line in heard) == has_onnx


@pytest.mark.usefixtures("forked_check")
def test_model_that_scores_otherwise_is_refused(
    trained: tuple[Session, Status], tmp_path: Path
) -> None:
    """As by weights of another trial: nothing is left of the folder."""
    session, status = trained
    (trial,) = status.ranked
    assert trial.best is not None
    better = replace(trial, best=replace(trial.best, found=trial.best.found - 2))
    with pytest.raises(ModelError, match="found differs when it is computed again, got"):
        export_trial(status, better, session.artifacts, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.usefixtures("forked_check")
def test_fault_of_the_check_is_said_once(
    trained: tuple[Session, Status],
    tmp_path: Path,
    own_network: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A network that needs a file beside its own does not load elsewhere; nothing is left."""
    session, status = trained
    own_network.with_name("table.txt").write_text("1 2 3\n", encoding="utf-8")
    monkeypatch.setenv("NET_TABLE", "table.txt")
    heard: list[str] = []
    with pytest.raises(ModelError, match=r"does not load in a fresh process.*table\.txt"):
        export_trial(
            status, find_best_trial(status), session.artifacts, tmp_path / "model", say=heard.append
        )
    assert not any("table.txt" in line for line in heard)
    assert not (tmp_path / "model").exists()


class DoubleNet(nn.Module):
    """Computes in double precision, which ONNX's convolutions cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv1d(4, 1, 3, padding=1).double()

    def forward(self, x_BCL: torch.Tensor) -> torch.Tensor:
        return self.layer(x_BCL.double())[:, 0]


class InPlaceNet(nn.Module):
    """Changes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x_BCL: torch.Tensor) -> torch.Tensor:
        return x_BCL.mul_(2)[:, 0] * self.scale


class ExitingNet(InPlaceNet):
    """Ends the process where it can."""

    def forward(self, x_BCL: torch.Tensor) -> torch.Tensor:
        sys.exit(3)


@pytest.mark.parametrize("network", [DoubleNet, ExitingNet])
def test_network_that_onnx_cannot_hold_is_said_in_a_line(
    network: type[nn.Module], events_file: Path, tmp_path: Path
) -> None:
    """Nothing of it is left, and the rest of the export is whole without it."""
    pytest.importorskip("onnxruntime")
    with pytest.raises(OnnxError, match="ONNX cannot hold this network: ") as caught:
        write_onnx(tmp_path / ONNX_FILE, network(), open_events([events_file]), lambda _line: None)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_network_that_changes_its_input_is_the_same_as_onnx(
    events_file: Path, tmp_path: Path
) -> None:
    """The two never share a buffer, so that neither sees what the other made of it."""
    pytest.importorskip("onnxruntime")
    events = open_events([events_file])
    write_onnx(tmp_path / ONNX_FILE, InPlaceNet(), events, lambda _line: None)
    assert (tmp_path / ONNX_FILE).is_file()


class BranchNet(InPlaceNet):
    """Takes another way where its events are bright: a recorded run shows one of the two."""

    def forward(self, x_BCL: torch.Tensor) -> torch.Tensor:
        y_BL = x_BCL[:, 0] * self.scale
        if bool(x_BCL.mean() > 1e6):
            y_BL = y_BL * 2
        return y_BL


class StepNet(InPlaceNet):
    """Uses an operation that only the capturing exporter knows."""

    def forward(self, x_BCL: torch.Tensor) -> torch.Tensor:
        return torch.heaviside(x_BCL, self.scale)[:, 0]


class RecurrentNet(nn.Module):
    """As long as the recurrent architectures on a GPU's defaults: a step for every bin."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(4, 1, batch_first=True, bidirectional=True)

    def forward(self, x_BCL: torch.Tensor) -> torch.Tensor:
        out_BLH, _ = self.layer(x_BCL.transpose(1, 2))
        return out_BLH.mean(dim=2)


def test_way_that_depends_on_the_values_of_events_is_not_frozen(
    events_file: Path, tmp_path: Path
) -> None:
    """The captured program refuses such a choice, where a recorded run would keep one way."""
    pytest.importorskip("onnxruntime")
    heard: list[str] = []
    with pytest.raises(OnnxError, match="ONNX cannot hold this network: "):
        write_onnx(tmp_path / ONNX_FILE, BranchNet(), open_events([events_file]), heard.append)
    assert heard == ["writing model.onnx", "capturing the network for model.onnx"]
    assert list(tmp_path.iterdir()) == []


def test_recurrent_network_is_there_as_onnx_at_once(events_file: Path, tmp_path: Path) -> None:
    """One node for all its steps, which capturing the program would unroll for minutes."""
    pytest.importorskip("onnxruntime")
    heard: list[str] = []
    write_onnx(tmp_path / ONNX_FILE, RecurrentNet(), open_events([events_file]), heard.append)
    assert heard == ["writing model.onnx"]
    assert (tmp_path / ONNX_FILE).stat().st_size < 100_000


def test_network_that_cannot_be_recorded_is_captured(
    events_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pages that the first exporter prints of it reach nobody."""
    pytest.importorskip("onnxruntime")
    heard: list[str] = []
    write_onnx(tmp_path / ONNX_FILE, StepNet(), open_events([events_file]), heard.append)
    assert heard[-1] == "capturing the network for model.onnx"
    assert (tmp_path / ONNX_FILE).is_file()
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("forked_check")
def test_export_without_the_extra_is_whole(
    trained: tuple[Session, Status],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[..., Any],
) -> None:
    """The note, the model card and the JSON say why there is no ONNX.

    The JSON is alone on standard output: what the network prints stands beside the notes.
    """
    monkeypatch.setattr(sweep.results.onnx_program, "EXTRA", ("no_such_package",))
    session, _status = trained
    place = ("--storage", str(session.engine.url), "--artifacts", session.artifacts)
    answer = call("best", "--json", "--trust-code", "--export", tmp_path / "model", *place)
    assert answer.code == 0
    fault = "no_such_package not installed (install pv-sweep[export])"
    assert json.loads(answer.out)["export"] == {
        "folder": str(tmp_path / "model"),
        "onnx": False,
        "onnx_fault": fault,
    }
    assert f"without ONNX: {fault}" in answer.err
    assert "built with" in answer.err
    assert fault in (tmp_path / "model" / "README.md").read_text()
