"""What a network may cost to be called the best: a part of what defines a sweep."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class LimitsConfig(BaseModel):
    """What a network may cost to be called the best; None where anything is allowed.

    Attributes:
        max_fp: False positives per event. An objective at a fixed rate takes them for its rate.
        max_parameters: Parameters of the network.
        max_latency_us: Microseconds for an event, on the device of the trial.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_fp: float | None = Field(default=None, gt=0)
    max_parameters: int | None = Field(default=None, gt=0)
    max_latency_us: float | None = Field(default=None, gt=0)
