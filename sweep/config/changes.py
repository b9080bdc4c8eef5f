"""What was changed of a sweep while it ran: a part of what defines it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from sweep.config.architectures import ArchitectureConfig


class ChangeConfig(BaseModel):
    """One change of a sweep, which ended a version of it and began the next.

    Attributes:
        made_s: When, in seconds since 1970 by the database's clock.
        author: Who, as user and machine.
        why: In the author's words; None where they said nothing.
        said: What was changed, one `what from A to B` each.
        before: The space and the search as they were, where they were others: JSON of those parts
            of the config.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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
