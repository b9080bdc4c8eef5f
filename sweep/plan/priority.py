"""What a sweep's priority may be. Loads nothing heavy."""

from __future__ import annotations

from sweep.errors import ConfigError

MAX_PRIORITY = 1000


def check_priority(priority: int | None) -> None:
    """Refuse a priority that no database need hold.

    Raises:
        ConfigError: when it is one.
    """
    if priority is not None and abs(priority) > MAX_PRIORITY:
        raise ConfigError(
            f"priority: got {priority}, expected from {-MAX_PRIORITY} to {MAX_PRIORITY}; change "
            "--priority"
        )
