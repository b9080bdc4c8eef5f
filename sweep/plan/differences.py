"""What differs between a stored sweep and one that is asked for, so that it may go on or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sweep.config import WHEREABOUTS, DataConfig, SweepConfig


def list_differences(stored: SweepConfig, asked: SweepConfig) -> list[str]:
    """List what differs between two configs, one `place: stored X, asked Y` each."""
    derived = {"starting_points", "num_hand_tuned", "changes"}  # what is in force says it better
    first, second = (
        {key: value for key, value in config.to_json().items() if key not in derived}
        for config in (stored, asked)
    )
    for part, config in ((first, stored), (second, asked)):
        if config.architectures:
            part["architectures"] = {one.label: one.model_dump() for one in config.architectures}
    if stored.data.is_same(asked.data):
        first["data"], second["data"] = ({**part["data"], **_NOWHERE} for part in (first, second))
    lines = _list_differences("", first, second)
    if _is_reordered(stored.data, asked.data):
        lines.append("data: the same files in another order, which splits the events otherwise")
    return lines


_NOWHERE = dict.fromkeys(WHEREABOUTS)


def _is_reordered(stored: DataConfig, asked: DataConfig) -> bool:
    """Say whether other events are files of the same names in another order."""
    names = [
        [
            [Path(name).name for name in files]
            for files in (data.files, data.validation_files, data.test_files)
        ]
        for data in (stored, asked)
    ]
    is_alike = [sorted(files) for files in names[0]] == [sorted(files) for files in names[1]]
    return is_alike and names[0] != names[1] and not stored.is_same(asked)


def _list_differences(where: str, stored: Any, asked: Any) -> list[str]:
    if isinstance(stored, dict) and isinstance(asked, dict):
        return [
            line
            for key in dict.fromkeys([*stored, *asked])
            for line in _list_differences(
                f"{where}.{key}" if where else key, stored.get(key), asked.get(key)
            )
        ]
    if stored == asked:
        return []
    return [f"{where}: stored {_show(stored)}, asked {_show(asked)}"]


def _show(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)
