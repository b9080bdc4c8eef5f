"""The launchers there are: another one is a module of its own and a line here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from sweep.errors import check_known

if TYPE_CHECKING:  # the command line reads the names at its start
    from sweep.launch.launcher import LauncherModule

LOCAL = "local"
LAUNCHERS: Mapping[str, str] = {
    LOCAL: "sweep.launch.local",
    "ray": "sweep.launch.ray_cluster",
}
"""The module of each, by the name that `--launcher` takes."""


def choose_launcher(name: str) -> LauncherModule:
    """Find the module of a launcher.

    Raises:
        ConfigError: when there is none of that name.
    """
    check_known("launcher", name, LAUNCHERS)
    return cast("LauncherModule", importlib.import_module(LAUNCHERS[name]))
