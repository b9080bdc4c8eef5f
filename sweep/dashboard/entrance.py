"""Where the dashboard listens, and who may do what there. Loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.dashboard.addresses import is_loopback
from sweep.dashboard.passwords import VARIABLE
from sweep.errors import ConfigError


@dataclass(frozen=True)
class Entrance:
    """Where the dashboard listens, and who may do what there.

    Attributes:
        host: Address or name; any other than a loopback one needs a password.
        port: From 1 to 65535, or 0 for one that is free.
    """

    host: str
    port: int
    password: str | None
    allow_edit: bool

    def __post_init__(self) -> None:
        """Refuse an entrance that would be open to everybody."""
        if self.password is None and not is_loopback(self.host):
            raise ConfigError(
                f"host: open to others, got {self.host} without a password, expected one; set "
                f"{VARIABLE}, name a file with --password-file, or leave --host out"
            )
