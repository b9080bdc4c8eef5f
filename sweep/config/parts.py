"""Parts of a config: one of its architectures, what networks may cost, what was changed."""

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


class Frozen(BaseModel):
    """A frozen group of settings that refuses names it does not know."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", allow_inf_nan=False)


class ArchitectureConfig(Frozen):
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


class LimitsConfig(Frozen):
    """What a network may cost to be called the best; None where anything is allowed.

    Attributes:
        max_fp: False positives per event. An objective at a fixed rate takes them for its rate.
        max_parameters: Parameters of the network.
        max_latency_us: Microseconds for an event, on the device of the trial.
    """

    max_fp: float | None = Field(default=None, gt=0)
    max_parameters: int | None = Field(default=None, gt=0)
    max_latency_us: float | None = Field(default=None, gt=0)


class ChangeConfig(Frozen):
    """One change of a sweep, which ended a version of it and began the next.

    Attributes:
        made_s: When, in seconds since 1970 by the database's clock.
        author: Who, as user and machine.
        why: In the author's words; None where they said nothing.
        said: What was changed, one `what from A to B` each.
        before: The space and the search as they were, where they were others: JSON of those parts
            of the config.
    """

    made_s: float
    author: str
    why: str | None = None
    said: tuple[str, ...]
    before: dict[str, Any] = {}

    def narrow(self, label: str) -> ChangeConfig:
        """Give the change as one architecture of several sees it: its own space was another."""
        before = {key: value for key, value in self.before.items() if key != "architectures"}
        for part in self.before.get("architectures", ()):
            if ArchitectureConfig.model_validate(part).label == label:
                before["space"] = part["space"]
        return self.model_copy(update={"before": before})
