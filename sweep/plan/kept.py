"""What a sweep that is there keeps, whatever a `sweep.toml` says: one rule for all that may change.

What is typed holds; else what the sweep has, as it was made or changed on purpose; else, where it
begins, what the files say; else the defaults. What may not change is refused where it differs.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sweep.config import SweepConfig
from sweep.models.value import Value, write_value
from sweep.plan.request import Request
from sweep.plan.several import share_request
from sweep.plan.space import read_assignments, read_space
from sweep.settings.settings_file import KEPT, SPACE, Setting
from sweep.storage.sweeps import Sweep

Said = Mapping[str, Setting]
"""What files alone say, by key: nobody has typed it."""


def leave_out(request: Request, said: Said) -> Request:
    """Give a request without what files alone say of what may change."""
    texts = [_write_assignment(key, one) for key, one in said.items() if _is_of_space(key)]
    rules: dict[str, Any] = {name: None for name in ("sampler", "pruner") if name in said}
    dimensions = tuple(text for text in request.dimensions if text not in texts)
    return replace(request, dimensions=dimensions, **rules)


def tell_kept(sweep: Sweep, said: Said) -> list[str]:
    """Tell where a sweep keeps what it has and a file has it otherwise, a line each.

    Raises:
        ConfigError: when a file names a hyperparameter that the sweep has not.
    """
    config = SweepConfig.from_json(sweep.config)
    lines = []
    for key, setting in said.items():
        found = _find_other(sweep, config, key, setting)
        if found is not None:
            said_there = write_value(setting.value)
            lines.append(
                f"{setting.sayer}: {key}: is for a new sweep, got {said_there}, and {sweep.name} "
                f"keeps {found}; to change it: {_write_change(sweep, key, setting)}"
            )
    return lines


def _find_other(sweep: Sweep, config: SweepConfig, key: str, setting: Setting) -> str | None:
    """Find what a sweep has where a file says something else; None where it is the same."""
    if _is_of_space(key):
        return _find_other_dimension(config, key, setting)
    found: dict[str, Value] = {
        "trials": sweep.flat.budget if sweep.flat else sweep.budget,
        "priority": sweep.priority,
        "trial_timeout": "none" if sweep.trial_timeout_s is None else sweep.trial_timeout_s,
        "stop_when_flat": sweep.stops_when_flat,
        "sampler": config.search.sampler.name,
        "pruner": config.search.pruner.name,
    }
    return None if found[key] == setting.value else write_value(found[key])


def _find_other_dimension(config: SweepConfig, key: str, setting: Setting) -> str | None:
    asked = Request(dimensions=(_write_assignment(key, setting),))
    spaces = {view.label: read_space(view) for view in config.narrow_all()}
    shares = share_request(asked, spaces) if config.architectures else dict.fromkeys(spaces, asked)
    name = key.rpartition(".")[2]
    own = [
        str(space.get(name, "none"))
        for label, space in spaces.items()
        if read_assignments(shares[label], space).get(name) != space.get(name)
    ]
    return " and ".join(dict.fromkeys(own)) or None


def _write_change(sweep: Sweep, key: str, setting: Setting) -> str:
    """Write the command that has a sweep take what a file says."""
    if _is_of_space(key):
        words = ["sweep", "change", sweep.name, "--set", _write_assignment(key, setting)]
    elif key in ("trial_timeout", "stop_when_flat"):
        option = f"--{key.replace('_', '-')}"
        is_flag = isinstance(setting.value, bool)
        value = [] if is_flag else [write_value(setting.value)]
        words = ["sweep", "run", "--model", str(sweep.config["model"]), "--sweep", sweep.name]
        words += [option if setting.value else option.replace("--", "--no-", 1), *value]
    else:
        words = ["sweep", "change", sweep.name, f"--{key}", write_value(setting.value)]
    return shlex.join(words)


def _is_of_space(key: str) -> bool:
    return key not in KEPT and key.startswith(f"{SPACE}.")


def _write_assignment(key: str, setting: Setting) -> str:
    return f"{key.removeprefix(f'{SPACE}.')}={setting.value}"
