"""What of a sweep's config belongs to one of its architectures: a sweep may have several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

MODEL = "model"
"""What the study and a trial's hyperparameters call its architecture in a sweep of several."""
OF_SEVERAL = ("files", "recommended", "prefixed", "epoch_events", "cost", "architectures")
"""Parts of a config that one of a single architecture does not store."""


def get_label(model: str) -> str:
    """Give the name of an architecture for people: a person's own without its file."""
    return model.rpartition(":")[2]


def find_file(model: str) -> Path:
    """Give the file of a person's own network."""
    return Path(model.rpartition(":")[0])


class ArchitectureConfig(BaseModel):
    """An architecture that a sweep searches.

    Attributes:
        model: An architecture's name, or `FILE.py:CLASS` for a person's own network.
        model_digest: Hash of that file; empty for the architectures of this project.
        space: Each hyperparameter's dimension as `models.space.to_json` writes it; as text in
            sweeps of earlier versions.
        files: Which of the files that a sweep of several keeps are this network's.
        recommended: Slot of its recommended point in a sweep of several; None without one.
        prefixed: Hyperparameters that another one of the sweep has as well, and otherwise: in the
            study they have the architecture's name before their own.
        epoch_events: Training events that an epoch of its trials has, others each time; None for
            all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str
    model_digest: str = ""
    space: dict[str, dict[str, Any] | str]
    files: tuple[str, ...] = ()
    recommended: int | None = None
    prefixed: tuple[str, ...] = ()
    epoch_events: int | None = Field(default=None, gt=0)

    @property
    def label(self) -> str:
        """Name of the architecture for people, and within its sweep: the model without its file."""
        return get_label(self.model)
