"""The versions of a sweep that was changed while it ran: its config as it was until each change."""

from __future__ import annotations

from sweep.config import SweepConfig
from sweep.plan.differences import list_differences
from sweep.plan.space import read_space, write_space


def give_version(config: SweepConfig, version: int) -> SweepConfig:
    """Give a sweep's config as it was in one of its versions, with all changes."""
    parts: dict[str, object] = {}
    for change in reversed(config.changes[version - 1 :]):
        parts |= change.before
    return SweepConfig.from_json({**config.to_json(), **parts}) if parts else config


def list_versions(config: SweepConfig) -> list[SweepConfig]:
    """List all versions of a config, in their order."""
    return [give_version(config, number + 1) for number in range(len(config.changes) + 1)]


def find_varied(config: SweepConfig, label: str) -> set[str]:
    """Find the hyperparameters of an architecture that are not the same in all versions."""
    spaces = [read_space(version.narrow(label)) for version in list_versions(config)]
    names = {name for space in spaces for name in space}
    return {n for n in names if any(one.get(n) != spaces[0].get(n) for one in spaces)}


def list_outdated(stored: SweepConfig, asked: SweepConfig) -> list[str]:
    """List what is asked as an earlier version had it, one `place: stored X, asked Y` each."""
    places = [
        {line.partition(": ")[0] for line in _compare(version, asked)}
        for version in list_versions(stored)[:-1]
    ]
    lines = _compare(stored, asked)
    return [
        line for line in lines if any(line.partition(": ")[0] not in others for others in places)
    ]


def _compare(stored: SweepConfig, asked: SweepConfig) -> list[str]:
    return list_differences(write_space(stored), write_space(asked))
