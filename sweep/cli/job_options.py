"""How far a job goes and where: what may change while a sweep lives. Loads nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.completion import offer
from sweep.cli.options import DEFAULT_ARTIFACTS, DEFAULT_STORAGE, Artifacts, Storage, Timeout
from sweep.errors import ConfigError, check_least, list_allowed
from sweep.launch.launchers import LAUNCHERS, LOCAL, choose_launcher
from sweep.plan.priority import check_priority

if TYPE_CHECKING:
    from sweep.launch.launcher import Wish


@dataclass(frozen=True)
class JobOptions:
    """How far to go and where; a field that is no option here is one of some commands only.

    Attributes:
        timeout_s: After which the workers started here stop gently, or None.
        workers: How many to start, or None for one a slot.
        gpus: Text that says which GPUs to use, or None for all.
        per_gpu: Text that says how many workers share a GPU, or None for auto.
        launcher: What runs the workers, one of `LAUNCHERS`.
        address: Of the Ray cluster, or None for a Ray of this machine alone.
        sweep: Name of the sweep, or None for the model's.
        trials: The budget from now on, or None for what it is.
        trial_timeout_s: For how long a trial may train, or None for what was said before.
        is_detached: Whether to register the sweep only, for workers elsewhere.
        is_unconfirmed: Whether the best trials of a search are not trained again at its end.
        audit: How many pruned trials are trained to the end when the search has ended, or None.
        track: Trackers that it is written for meanwhile, as `--track` takes them.
        priority: Whose turn it is among open sweeps, the highest first; None for what it was.
        stops_when_flat: Whether a search ends when a further trial would not pay; None for what
            was said before.
    """

    timeout_s: Timeout = None
    storage: Storage = DEFAULT_STORAGE
    artifacts: Artifacts = Path(DEFAULT_ARTIFACTS)
    workers: Annotated[
        int | None, typer.Option(help="Trials at once.  [--per-gpu on each GPU, or one a core]")
    ] = None
    gpus: Annotated[
        str | None, typer.Option(help="GPUs to use: 0,1, or none for the CPU.  [all]")
    ] = None
    per_gpu: Annotated[
        str | None,
        typer.Option(help="Workers that share one GPU.  [auto: by its memory]"),
    ] = None
    launcher: Annotated[
        str,
        typer.Option(
            help=f"Where workers run: {list_allowed(LAUNCHERS)}.",
            autocompletion=offer(*LAUNCHERS),
        ),
    ] = LOCAL
    address: Annotated[
        str | None,
        typer.Option(
            envvar="RAY_ADDRESS",
            help="HOST:PORT of the Ray cluster, or auto.  [Ray on this machine alone]",
        ),
    ] = None
    sweep: str | None = None
    trials: int | None = None
    trial_timeout_s: float | None = None
    is_detached: bool = False
    is_unconfirmed: bool = False
    audit: int | None = None
    track: list[str] | None = None
    priority: int | None = None
    stops_when_flat: bool | None = None


@dataclass(frozen=True)
class SweepJobOptions(JobOptions):
    """Those of a command that makes a sweep."""

    trial_timeout_s: Annotated[
        float | None,
        typer.Option("--trial-timeout", help="Seconds of training after which a trial is pruned."),
    ] = None
    is_detached: Annotated[
        bool, typer.Option("--detach", help="Only register the sweep, for `sweep worker`.")
    ] = False


def check_options(options: JobOptions) -> None:
    """Refuse numbers that are out of range and options that exclude each other.

    Raises:
        ConfigError: when there are any.
    """
    for name in ("trials", "workers", "audit"):
        check_least(name, getattr(options, name))
    check_priority(options.priority)
    times = {"timeout": options.timeout_s, "trial-timeout": options.trial_timeout_s}
    for name, time_s in times.items():
        if time_s is not None and not 0 < time_s < math.inf:
            raise ConfigError(f"{name}: got {time_s}, expected seconds above 0; raise --{name}")
    if options.artifacts.exists() and not options.artifacts.is_dir():
        raise ConfigError(
            f"artifacts: not a folder, got {options.artifacts}, expected one; change --artifacts"
        )
    if options.track:
        from sweep.trackers.trackers import read_tracks  # late: help and completion need it not

        read_tracks(options.track)
    choose_launcher(options.launcher).check(read_wish(options), options.storage)
    if options.is_detached and options.launcher != LOCAL:
        raise ConfigError(
            f"launcher: no worker is started here, got {options.launcher} beside --detach, "
            "expected one of them; leave one out"
        )
    where = {
        "timeout": "it where the workers are started; give it to `sweep worker`",
        "audit": "it where the sweep ends; the same `sweep run` without --detach does it then",
        "track": "it where the workers are started; the same `sweep run` without --detach does it",
    }
    asked = {"timeout": options.timeout_s, "audit": options.audit, "track": options.track}
    for name, value in asked.items():
        if options.is_detached and value is not None:
            raise ConfigError(
                f"{name}: nothing is trained here, got {value} beside --detach, expected "
                f"{where[name]}"
            )


def read_wish(options: JobOptions) -> Wish:
    """Give what is wished of the launcher."""
    from sweep.launch.launcher import Wish  # late: help and completion need neither
    from sweep.launch.places import parse_gpus
    from sweep.machine.sharing import parse_per_gpu

    per_gpu = parse_per_gpu(options.per_gpu)
    return Wish(options.workers, parse_gpus(options.gpus), per_gpu, options.address)
