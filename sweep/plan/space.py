"""A sweep's search space: read from where it is stored or typed, and checked before it is used."""

from __future__ import annotations

import resource
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sweep.config import MODEL, ArchitectureConfig, Recipe, SweepConfig
from sweep.errors import ConfigError, summarise_fault
from sweep.models import Architecture
from sweep.models.space import Choice, Dimension, Fixed, from_json
from sweep.models.space_text import parse_dimension, read_earlier
from sweep.models.value import Value, get_number, is_number
from sweep.plan.network import is_own
from sweep.plan.profile import Profile
from sweep.plan.request import Request
from sweep.plan.steps import fit_space
from sweep.search.suggestion import list_ends

MAX_BUILD_BYTES = 4 << 30
"""Of memory for one network that is built to see whether it can be."""
REPORT_BATCH_SIZE = 128
IMPLIED: Mapping[str, Value] = {"asymmetry": 0.0, "reflected_share": 0.0}
"""What a trial trains with whose space does not name it; the weight decay is its recipe's then."""
EXTRAS = (*IMPLIED, "weight_decay")
"""Hyperparameters of the training that no space of this project has, and any may have."""
TRAINING_BOUNDS = {
    "lr": (1e-12, 1e3, "a number above 0"),
    "beta1": (0.0, 1.0, "a number from 0 to below 1"),
    "beta2": (0.0, 1.0, "a number from 0 to below 1"),
    "batch_size": (1, 2**31, "a whole number from 1"),
    "weight_decay": (0.0, 1e3, "a number from 0"),
    "asymmetry": (0.0, 1e6, "a number from 0"),
    "reflected_share": (0.0, 1.0 + 1e-9, "a number from 0 to 1"),
}
"""Lowest value, the one that is too high, and the rule in words, for what the training takes."""


def read_space(config: ArchitectureConfig) -> dict[str, Dimension]:
    """Read the search space that a config holds; a sweep of several has none but its parts'.

    Raises:
        ConfigError: when somebody changed it by hand.
    """
    try:
        return {
            name: read_earlier(entry) if isinstance(entry, str) else from_json(entry)
            for name, entry in config.space.items()
        }
    except ValueError as exc:
        raise ConfigError(
            f"stored sweep: its space is not readable, got {exc}, expected one of this version; "
            "use the version of sweep that made it"
        ) from exc


def complete_params(config: SweepConfig, params: Mapping[str, Value]) -> dict[str, Value]:
    """Complete a trial's hyperparameters by what it trained with before a change named it."""
    implied = {**IMPLIED, "weight_decay": config.recipe.weight_decay}
    space = config.narrow_to(params).space
    return {name: value for name, value in implied.items() if name in space} | dict(params)


def list_dimensions(config: SweepConfig) -> dict[str, list[Dimension]]:
    """List what the hyperparameters of all trials may be: of several architectures, by each."""
    found: dict[str, list[Dimension]] = {}
    if config.architectures:
        found[MODEL] = [Choice(tuple(one.label for one in config.architectures))]
    for part in config.narrow_all():
        for name, dimension in read_space(part).items():
            found.setdefault(name, []).append(dimension)
    return found


def write_space(config: SweepConfig) -> SweepConfig:
    """Give a config with its spaces as text, which says the same in a form for people."""
    parts = tuple(one.model_copy(update=_write(one)) for one in config.architectures)
    return config.model_copy(update=_write(config) | {"architectures": parts})


def _write(config: ArchitectureConfig) -> dict[str, Any]:
    return {"space": {name: str(dimension) for name, dimension in read_space(config).items()}}


def choose_space(
    architecture: Architecture, profile: Profile, recipe: Recipe, num_train: int | None
) -> dict[str, Dimension]:
    """Choose what is searched where nothing else is asked for.

    Args:
        num_train: Training events, which bound the steps of a trial; None where nothing is to be
            fitted to them.
    """
    space = architecture.select_space(on_cpu=profile.name == "cpu")
    space.setdefault("batch_size", Fixed(profile.batch_size))
    if recipe.name == "report":
        fixed = {**architecture.report, "batch_size": REPORT_BATCH_SIZE}
        return space | {name: Fixed(value) for name, value in fixed.items()}
    if num_train is None or not architecture.recommended:
        return space  # of a person's own network, what they wrote
    return fit_space(space, recipe.epochs * num_train)


def read_assignments(request: Request, space: Mapping[str, Dimension]) -> dict[str, Dimension]:
    """Give a space as `--set` and `--fix` change it.

    Raises:
        ConfigError: as `read_assignment`.
    """
    changed = dict(space)
    for option, texts in (("--set", request.dimensions), ("--fix", request.fixed)):
        for text in texts:
            name, dimension = read_assignment(option, text, changed)
            changed[name] = dimension
    return changed


def read_assignment(
    option: str, text: str, space: Mapping[str, Dimension]
) -> tuple[str, Dimension]:
    """Read what `--set` or `--fix` says of one hyperparameter.

    Args:
        text: `name=dimension`.

    Returns:
        The name, and its dimension from now on.

    Raises:
        ConfigError: when it is not readable, or there is no such hyperparameter.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not value:
        raise ConfigError(
            f"{option}: not readable, got {text!r}, expected name=value; as lr=1e-4:1e-2:log"
        )
    if name not in space and name not in EXTRAS:
        known = ", ".join(dict.fromkeys([*space, *EXTRAS]))
        raise ConfigError(
            f"{option} {name}: no such hyperparameter, got {name!r}, expected one of {known}; "
            "check the spelling"
        )
    try:
        dimension = parse_dimension(value, space.get(name))
    except ValueError as exc:
        raise ConfigError(f"space.{name}: {exc}") from exc
    if option == "--fix" and not isinstance(dimension, Fixed):
        raise ConfigError(
            f"--fix {name}: not one value, got {value!r}, expected a single one; use --set"
        )
    return name, dimension


def check_space(
    architecture: Architecture, space: Mapping[str, Dimension], digest: str | None = None
) -> None:
    """Make sure that each end of each dimension can be trained, before anything is.

    Args:
        digest: Of the network's source, where it is known: what has come through is not tried in
            a process of its own again.

    Raises:
        ConfigError: when a value is impossible.
    """
    check_training(space)
    usable = {name: list_ends(dimension) for name, dimension in space.items()}
    _check_network(architecture, usable, digest)


def check_training(space: Mapping[str, Dimension]) -> None:
    """Make sure that the training can take each end of its dimensions; needs no torch.

    Raises:
        ConfigError: when a value is impossible.
    """
    usable = {name: list_ends(dimension) for name, dimension in space.items()}
    for name, (low, high, rule) in TRAINING_BOUNDS.items():
        for value in usable.get(name, []):
            fits = is_number(value) and low <= value < high
            if not fits or (name == "batch_size" and value != int(get_number(value))):
                raise ConfigError(
                    f"space.{name}: impossible, got {value!r}, expected {rule}; change it"
                )


def _check_network(
    architecture: Architecture, usable: Mapping[str, Sequence[Value]], digest: str | None
) -> None:
    base = {name: architecture.defaults.get(name, ends[0]) for name, ends in usable.items()}
    structure = {
        name: base[name] for name in architecture.network_hyperparameters if name in usable
    }
    tried = [
        (name, value, structure | {name: value}) for name in structure for value in usable[name]
    ]
    subject = None if digest is None else (architecture.name, digest, repr(tried))
    ending = _find_ending(architecture, [chosen for _name, _value, chosen in tried], subject)
    for name, value, chosen in tried:
        try:
            if ending is not None and (own := _find_ending(architecture, [chosen])) is not None:
                raise ChildProcessError(f"it ends the process: {own}")
            _try_to_build(architecture, chosen)
        except (Exception, SystemExit) as exc:
            reason = summarise_fault(exc)
            raise ConfigError(
                f"space.{name}: no network can be built, got {value!r}, expected one that "
                f"{architecture.name} takes ({reason}); change it"
            ) from exc


def _find_ending(
    architecture: Architecture,
    chosen: Sequence[Mapping[str, Value]],
    subject: Hashable = None,
) -> str | None:
    """Say how the process ends that builds a person's network with each of some settings."""
    if not is_own(architecture.name):
        return None
    from sweep.models.rehearsal import find_ending  # late: it loads torch

    def build_all() -> None:
        for one in chosen:
            with suppress(Exception, SystemExit):  # told of where it is built in earnest
                _try_to_build(architecture, one)

    return find_ending(build_all, subject)


def _try_to_build(architecture: Architecture, chosen: Mapping[str, Value]) -> None:
    """Build a network as cheaply as can be: without numbers, else with them in bounded memory.

    One too large for the bound is no fault: its trials are perhaps for a larger machine.

    Raises:
        Whatever the network does.
    """
    import torch  # late: what needs no network is refused before

    from sweep.machine.device import is_out_of_memory

    try:
        with torch.device("meta"):
            architecture.build(chosen)
    except (Exception, SystemExit):  # one that reads its numbers has none there: ask it in earnest
        with torch.random.fork_rng(devices=[]), _bound_memory():
            try:
                architecture.build(chosen)
            except Exception as exc:
                if not is_out_of_memory(exc):
                    raise


@contextmanager
def _bound_memory() -> Iterator[None]:
    """Let this process take MAX_BUILD_BYTES more than it has, where the system can say so."""
    sizes = Path("/proc/self/statm")
    if not sizes.is_file():
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = int(sizes.read_text().split()[0]) * resource.getpagesize() + MAX_BUILD_BYTES
    if before[0] != resource.RLIM_INFINITY:
        limit = min(limit, before[0])
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
