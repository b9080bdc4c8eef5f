"""An exported model, loaded and judged on any events."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import safetensors.torch
import torch
from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError
from torch import Tensor, nn

from sweep.config import DataConfig, describe_fault
from sweep.config import Variant as DataVariant
from sweep.data.events import EventSet
from sweep.data.formats import open_events
from sweep.data.progress import Progress
from sweep.data.selection import reopen_split
from sweep.errors import ModelError
from sweep.files.foreign import parse_json, read_text
from sweep.files.trust import VARIABLE, is_trusted
from sweep.machine.device import choose_device
from sweep.metrics.decode import REFERENCE, Decode
from sweep.metrics.score import Score
from sweep.models import Architecture
from sweep.models.custom import refuse_ending
from sweep.models.value import Value
from sweep.plan.network import Network, is_own, load_model, open_kept, read_own
from sweep.plan.parts import read_variant
from sweep.results.decode_text import parse_decode
from sweep.results.export_folder import CONFIG_FILE, check_export
from sweep.results.status import Status
from sweep.storage.artifacts import TrialFolder
from sweep.storage.epochs import TrialRow
from sweep.training.batches import Batches
from sweep.training.decode_scan import score_chosen
from sweep.training.forward import FIRST_BATCH_SIZE, predict_batches
from sweep.training.state import StateError, restore_state

Judgement = TypeVar("Judgement")
WEIGHTS_FILE = "weights.safetensors"
METRICS_FILE = "metrics.json"


@dataclass(frozen=True)
class ExportedModel:
    """A network taken home: its class, its hyperparameters, its weights."""

    model: str
    hyperparameters: Mapping[str, Value]
    data: DataConfig
    network: nn.Module
    own_decode: Decode | None = None
    """What counts as a peak, where that was chosen with the network."""

    @property
    def decode(self) -> Decode:
        """What counts as a peak of its output."""
        return self.own_decode or REFERENCE

    def choose_variant(self, files: Sequence[Path], asked: str | None) -> DataVariant | None:
        """Choose the features of HDF5 files: those asked for, or those of the training."""
        is_hdf5 = not any(path.suffix == ".npz" for path in files)
        return read_variant(asked) or (self.data.variant if is_hdf5 else None)

    def choose_decode(self, asked: str | None) -> Decode | None:
        """Choose what counts as a peak: what is asked for over what is the model's own.

        Returns:
            The settings; None for the reference's, which nobody chose.
        """
        return self.own_decode if asked is None else parse_decode(asked, self.decode)


class _SweepPart(BaseModel):
    """What of the sweep's config an exported model needs."""

    data: DataConfig


class _DecodePart(BaseModel, strict=True):
    """How vertices are read off the network's output."""

    threshold: float = Field(gt=0, allow_inf_nan=False)
    integral: float = Field(ge=0, allow_inf_nan=False)
    min_width: int = Field(ge=1)


class _ExportConfig(BaseModel):
    """What of an export's config file is needed to load the model."""

    model: str
    decode: _DecodePart | None = None
    hyperparameters: dict[str, Value]
    sweep_config: _SweepPart


def build_network(architecture: Architecture, hyperparameters: Mapping[str, Value]) -> nn.Module:
    """Build a network of a trial's hyperparameters, those of the training left out.

    Raises:
        ModelError: when the architecture refuses a value.
    """
    try:
        if is_own(architecture.name):
            refuse_ending(architecture, hyperparameters)
        return architecture.build_trial(hyperparameters)
    except ValueError as exc:
        raise ModelError(str(exc)) from exc


def load_export(folder: Path) -> ExportedModel:
    """Load a model that `sweep best --export` wrote.

    Code that it brings along is run only where it is trusted (see `sweep.files.trust`).

    Raises:
        ModelError: when a file is missing or broken, its code is not trusted, or the weights are
            not of this network.
    """
    config = _read_config(folder)
    model = config.model
    if is_own(model):
        model = f"{folder / Path(model.rpartition(':')[0]).name}:{model.rpartition(':')[2]}"
    network = build_network(_load_own(model).architecture, config.hyperparameters)
    load_weights(network, folder / WEIGHTS_FILE)
    network.eval()
    decode = Decode(**config.decode.model_dump()) if config.decode else None
    return ExportedModel(model, config.hyperparameters, config.sweep_config.data, network, decode)


def _load_own(model: str) -> Network:
    """Load the architecture of an export; code in its folder is hashed before any of it runs."""
    if not is_own(model):
        return load_model(model)
    source = read_own(model)
    if not is_trusted(source.seal):
        raise ModelError(
            f"{Path(model).parent}: it brings code of its own, got "
            f"{', '.join(sorted(source.files))} that you did not train here, expected your "
            f"word that it may run; read it, then add --trust-code (or set {VARIABLE}=1)"
        )
    return load_model(model, source)


def load_weights(network: nn.Module, path: Path) -> None:
    """Load weights into a network.

    Raises:
        ModelError: when the file is missing, broken, or of another network.
    """
    try:
        restore_state(network, safetensors.torch.load_file(path))
    except FileNotFoundError as exc:
        raise ModelError(
            f"{path}: no weights, got a missing file, expected those of the trial; "
            "use the --artifacts folder of the machine that trained it"
        ) from exc
    except (SafetensorError, StateError, RuntimeError, OSError) as exc:
        reason = str(exc).splitlines()[0]
        raise ModelError(
            f"{path}: the weights do not fit, got {reason!r}, expected those of this network; "
            "export the model again"
        ) from exc


def rebuild_network(status: Status, trial: TrialRow, artifacts: Path) -> nn.Module:
    """Build a trial's network again, with the weights of its best epoch.

    Args:
        trial: Complete and feasible.

    Raises:
        ModelError, ConflictError: when the weights are not on this machine, or a person's own
            network is not there, not trusted, or another.
    """
    config = status.config.narrow_to(trial.params)
    architecture = open_kept(config, status.load_files()).architecture
    network = build_network(architecture, trial.params)
    load_weights(network, TrialFolder(artifacts, status.sweep, trial.slot).weights)
    return network


def evaluate(
    network: nn.Module,
    events: EventSet,
    device: torch.device,
    progress: Progress | None = None,
    decode: Decode | None = None,
) -> Score:
    """Judge a network on events: loss, efficiency, false positives per event.

    Args:
        network: Maps (B, 4, 4000) to (B, 4000).
        events: At least one.
        device: Where to compute, in full precision.
        decode: What counts as a peak of its output, where that was chosen.

    Raises:
        ModelError: when the network does not take these events, or its heights are beyond float32.
    """
    return judge(network, events, device, lambda seen: score_chosen(seen, decode).score, progress)


def judge(
    network: nn.Module,
    events: EventSet,
    device: torch.device,
    look: Callable[[Iterator[tuple[Tensor, Tensor]]], Judgement],
    progress: Progress | None = None,
    name: str | None = None,
) -> Judgement:
    """Look at what a network predicts of events.

    Args:
        network, events, device, progress: As `evaluate` takes them.
        look: Given predictions and targets, batch by batch, each (B, 4000).
        name: What a fault is told of; the events by default.

    Raises:
        ModelError: as `evaluate`.
    """
    batches = Batches(events, FIRST_BATCH_SIZE, device)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # a person's own network may print
            return look(predict_batches(network.to(device), batches, progress))
    except ValueError as exc:
        raise ModelError(f"{name or ' + '.join(events.labels)}: {exc}") from exc


def open_judged(
    folder: Path,
    files: Sequence[Path] = (),
    x_key: str | None = None,
    y_key: str | None = None,
    variant: str | None = None,
    progress: Progress | None = None,
) -> tuple[ExportedModel, EventSet]:
    """Load an exported model, and open the events that it is to be judged by.

    Args:
        files: Events; empty for those that the sweep judged its trials by.
        x_key, y_key: Names of the arrays in the files, where they are not found by shape.
        variant: Which features of an HDF5 file that has both; those of the training by default.

    Raises:
        ModelError, DataError: when the model or the events cannot be used.
    """
    with contextlib.redirect_stdout(sys.stderr):  # a person's own network may print
        exported = load_export(folder)
    if not files:
        return exported, reopen_split(exported.data, progress).validation
    chosen = exported.choose_variant(files, variant)
    events = open_events(files, x_key=x_key, y_key=y_key, variant=chosen, progress=progress)
    return exported, events


def evaluate_export(
    exported: ExportedModel,
    events: EventSet,
    decode: str | None = None,
    progress: Progress | None = None,
) -> Score:
    """Judge an exported model on events.

    Args:
        decode: What counts as a peak, as `--decode` takes it; the model's own by default.

    Raises:
        ModelError: as `evaluate`.
    """
    settings = exported.choose_decode(decode)
    return evaluate(exported.network, events, choose_device(), progress, settings)


def _read_config(folder: Path) -> _ExportConfig:
    check_export(folder)
    path = folder / CONFIG_FILE
    try:
        config = parse_json(read_text(path))
    except (ValueError, OSError) as exc:
        raise ModelError(
            f"{path}: not readable, got {exc}, expected JSON; export the model again"
        ) from exc
    try:
        return _ExportConfig.model_validate(config)
    except ValidationError as exc:
        raise ModelError(
            f"{path}: not a model's, got {describe_fault(exc)}, expected what "
            "`sweep best --export` wrote; export the model again"
        ) from exc
