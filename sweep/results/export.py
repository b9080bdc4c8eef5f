"""Takes the best model home: a folder that loads without the database, checked before it is done.

The folder holds the weights (safetensors), the config, the metrics with their intervals, a model
card, ONNX where that extra is installed, and a person's own network file where there is one. It is
written under a temporary name, loaded again by a fresh process that judges it on the sweep's own
validation events, compared with what the trial had, and only then given its name.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.data.progress import Progress
from sweep.data.selection import reopen_split
from sweep.errors import ModelError, SweepError
from sweep.files.trust import VARIABLE
from sweep.machine.process import COMMAND
from sweep.machine.provenance import describe_versions
from sweep.metrics.score import LOSS, PEAK_COUNTS, Score, make_score
from sweep.metrics.writing import describe_score
from sweep.models.source import Source
from sweep.plan.network import open_kept
from sweep.results.best import get_trial_score
from sweep.results.confirmation import Confirmation
from sweep.results.evaluation import (
    METRICS_FILE,
    WEIGHTS_FILE,
    rebuild_network,
)
from sweep.results.export_folder import CONFIG_FILE
from sweep.results.fresh_process import run_afresh
from sweep.results.model_card import write_model_card
from sweep.results.onnx_program import ONNX_FILE, OnnxError, write_onnx
from sweep.results.status import Status
from sweep.storage.artifacts import TrialFolder
from sweep.storage.epochs import TrialRow
from sweep.storage.files import write_folder

LOSS_TOLERANCE = 5e-4
"""Largest relative difference of the loss when it is computed again: another process may use
another number of threads, which changes the order of sums, or a CPU, which rounds otherwise than
the GPU that judged the trial."""
COUNT_TOLERANCE = 1e-3
"""Largest share of the true peaks by which a count may differ then, and one peak at least: whose
height is at a threshold tips over by its last digit."""


@dataclass(frozen=True)
class Export:
    """What was written: the folder, the score computed again from it, and why ONNX is not in."""

    folder: Path
    score: Score
    onnx_fault: str | None

    def to_json(self) -> dict[str, Any]:
        """Give what `sweep best --export --json` says of it."""
        return {
            "folder": str(self.folder),
            "onnx": self.onnx_fault is None,
            "onnx_fault": self.onnx_fault,
        }


def export_trial(
    status: Status,
    trial: TrialRow,
    artifacts: Path,
    folder: Path,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda _line: None,
    confirmation: Confirmation | None = None,
) -> Export:
    """Write a trial's model into a folder of its own and check it.

    Args:
        trial: Complete and feasible.
        folder: To be made; must not be there yet.
        say: Told, line by line, what takes long, and what the fresh process that checks the
            folder says.
        confirmation: Of which the trial is the winner's; None where the search alone chose it.

    Raises:
        SweepError: when the folder exists, the weights are missing, or the model that was read
            back differs from the trial; nothing is left then.
    """
    if folder.exists():
        raise SweepError(
            f"{folder}: exists already, got a file or folder, expected a new name; "
            "choose another or remove it"
        )
    status, trial = status.narrow_to(trial)
    split = reopen_split(status.config.data, progress)
    weights = TrialFolder(artifacts, status.sweep, trial.slot).weights
    network = rebuild_network(status, trial, artifacts)
    source = open_kept(status.config, status.load_files()).source
    checked: list[Export] = []

    def write(temporary: Path) -> None:
        _write_parts(temporary, status, trial, weights, source, confirmation)
        fault = None
        try:
            write_onnx(temporary / ONNX_FILE, network, split.validation, say)
        except OnnxError as exc:  # an extra: without it the export is whole
            fault = str(exc)
        write_model_card(
            temporary / "README.md",
            status,
            trial,
            get_trial_score(trial),
            fault,
            source,
            confirmation,
        )
        checked.append(Export(folder, _check(temporary, trial, source, say), fault))

    try:
        write_folder(folder, write)
    except OSError as exc:
        raise SweepError(
            f"{folder}: cannot be written, got {exc}, expected a new folder where there is room; "
            "choose another"
        ) from exc
    return checked[0]


def _write_parts(
    folder: Path,
    status: Status,
    trial: TrialRow,
    weights: Path,
    source: Source | None,
    confirmation: Confirmation | None,
) -> None:
    config = status.config
    score = get_trial_score(trial)
    shutil.copyfile(weights, folder / WEIGHTS_FILE)
    for path, content in source.files.items() if source else ():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    _write_json(
        folder / CONFIG_FILE,
        {
            "model": config.model,
            "hyperparameters": dict(trial.params),
            **({"decode": score.operating.decode.to_json()} if score.operating else {}),
            "sweep": status.sweep.name,
            "trial": trial.number,
            "sweep_config": config.to_json(),
            "trained_with": dict(status.sweep.provenance),
            "exported_with": describe_versions(),
        },
    )
    metrics = {**describe_score(score), "null_loss": config.data.null_loss}
    if confirmation is not None:
        metrics["confirmation"] = confirmation.describe()
    _write_json(folder / METRICS_FILE, metrics)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _check(
    folder: Path, trial: TrialRow, source: Source | None, say: Callable[[str], None]
) -> Score:
    """Judge the folder's model in a fresh process and compare it with the trial.

    Raises:
        ModelError: when the process fails or the metrics differ.
    """

    def pass_on(line: str) -> None:
        if not line.startswith("error: "):  # the fault is raised here
            say(line)

    process = run_afresh(
        [*COMMAND, "evaluate", str(folder), "--json"],
        say=pass_on,
        settings={VARIABLE: source.seal} if source else {},
    )
    if process.code != 0:
        raise ModelError(
            f"export: the model does not load in a fresh process, got {process.last_line!r} and "
            f"exit code {process.code}, expected its metrics; correct the network"
        )
    found = json.loads(process.output)
    score = get_trial_score(trial)
    _compare(describe_score(score), found)
    return make_score(found)


def _compare(expected: dict[str, Any], found: dict[str, Any]) -> None:
    tolerance = max(1.0, COUNT_TOLERANCE * expected["true_peaks"])
    for key in PEAK_COUNTS:
        if abs(expected[key] - found[key]) > tolerance * (key != "events"):
            raise ModelError(
                f"export: {key} differs when it is computed again, got {found[key]}, expected "
                f"{expected[key]} as the trial had; export on the machine that trained it"
            )
    loss = expected[LOSS]
    if abs(found[LOSS] - loss) > LOSS_TOLERANCE * loss:
        raise ModelError(
            f"export: the loss differs when it is computed again, got "
            f"{found['validation_loss']}, expected {loss}; export on the machine that trained it"
        )
