"""How far a job goes and where: what may change while a sweep lives. Loads nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import ConfigError
from sweep.launch.launcher import Wish
from sweep.launch.launchers import LOCAL, choose_launcher
from sweep.launch.places import parse_gpus


@dataclass(frozen=True)
class JobOptions:
    """How far to go and where: what may change while a sweep lives.

    Attributes:
        trials: The budget from now on, or None for what it is.
        timeout_s: After which the workers started here stop gently, or None.
        trial_timeout_s: For how long a trial may train, or None for what was said before.
        storage: Address of the database.
        artifacts: Folder of checkpoints, weights and pictures.
        sweep: Name of the sweep, or None for the model's.
        workers: How many to start, or None for one a slot.
        gpus: Text that says which GPUs to use, or None for all.
        per_gpu: Workers that share a GPU, or None.
        launcher: What runs the workers, one of `LAUNCHERS`.
        address: Of the Ray cluster, or None for a Ray of this machine alone.
        is_detached: Whether to register the sweep only, for workers elsewhere.
        is_confirming: Whether the best trials of a search are trained again at its end.
    """

    trials: int | None
    timeout_s: float | None
    trial_timeout_s: float | None
    storage: str
    artifacts: Path
    sweep: str | None
    workers: int | None
    gpus: str | None
    per_gpu: int | None
    launcher: str
    address: str | None
    is_detached: bool
    is_confirming: bool = False


def check_options(options: JobOptions) -> None:
    """Refuse numbers that are out of range and options that exclude each other.

    Raises:
        ConfigError: when there are any.
    """
    counts = {"trials": options.trials, "workers": options.workers, "per-gpu": options.per_gpu}
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ConfigError(f"{name}: got {count}, expected at least 1; raise --{name}")
    times = {"timeout": options.timeout_s, "trial-timeout": options.trial_timeout_s}
    for name, time_s in times.items():
        if time_s is not None and not 0 < time_s < math.inf:
            raise ConfigError(f"{name}: got {time_s}, expected seconds above 0; raise --{name}")
    if options.artifacts.exists() and not options.artifacts.is_dir():
        raise ConfigError(
            f"artifacts: not a folder, got {options.artifacts}, expected one; change --artifacts"
        )
    choose_launcher(options.launcher).check(read_wish(options), options.storage)
    if options.is_detached and options.launcher != LOCAL:
        raise ConfigError(
            f"launcher: no worker is started here, got {options.launcher} beside --detach, "
            "expected one of them; leave one out"
        )
    if options.is_detached and options.timeout_s is not None:
        raise ConfigError(
            f"timeout: nothing is trained here, got {options.timeout_s} beside --detach, expected "
            "it where the workers are started; give it to `sweep worker`"
        )


def read_wish(options: JobOptions) -> Wish:
    """Give what is wished of the launcher."""
    return Wish(options.workers, parse_gpus(options.gpus), options.per_gpu, options.address)
