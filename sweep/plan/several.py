"""A sweep of several architectures: what is asked of each, and their plans put together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sweep.config import MODEL, ArchitectureConfig, SweepConfig, get_label
from sweep.errors import ConfigError, ConflictError, check_known
from sweep.models.space import Choice, Dimension, Fixed, Float, Int
from sweep.models.value import Value
from sweep.plan.network import Chosen, Network, list_models
from sweep.plan.request import Request
from sweep.plan.space import EXTRAS, read_space

COSTS = ("events", "seconds")
"""What architectures may have alike where their trials are compared."""
FOUND = ("epoch_events", "prefixed")
"""What of an architecture is found when its sweep begins, and stays."""


def pair_models(
    asked: str | None, stored: SweepConfig | None
) -> list[tuple[str | None, SweepConfig | None]]:
    """Pair the architectures that were asked for with the config that each has in a stored sweep.

    Args:
        asked: As a person typed it, or None.
        stored: The config of the sweep that goes on, or None.

    Returns:
        In the order of the stored sweep, a pair for each.

    Raises:
        ConfigError: when one is named twice.
        ConflictError: when the stored sweep is of others, and one of the two is of several.
    """
    views = stored.narrow_all() if stored is not None else ()
    if asked is None:
        return [(None, view) for view in views] or [(None, None)]
    models = list_models(asked)
    if stored is None:
        return [(model, None) for model in models]
    if len(models) == len(views) == 1:
        return [(models[0], stored)]
    named = {get_label(model): model for model in models}
    if named.keys() != {view.label for view in views}:
        raise ConflictError(
            f"sweep: it is another one already, got model: stored {stored.model}, asked {asked}, "
            "expected no difference; leave --model out, or give the new sweep a name with --sweep"
        )
    return [(named[view.label], view) for view in views]


def check_cost(cost: str | None, num_models: int) -> None:
    """Refuse a cost that is unknown, or that nothing compares by.

    Raises:
        ConfigError: when it is.
    """
    if cost is not None:
        check_known("cost", cost, COSTS)
    if cost == "seconds" and num_models == 1:
        raise ConfigError(
            "cost: seconds are compared across architectures, got one, expected several; leave "
            "--cost out"
        )


def share_request(request: Request, spaces: Mapping[str, Collection[str]]) -> dict[str, Request]:
    """Give each architecture of several what was asked of the hyperparameters that it has.

    `cnn.lr=...` is asked of one, `lr=...` of all that have it.

    Args:
        spaces: Names of the hyperparameters of each architecture, by its label.

    Raises:
        ConfigError: when something is asked of a hyperparameter that none of them has.
    """
    known = {label: {*space, "batch_size", *EXTRAS} for label, space in spaces.items()}
    for option, texts in (("--set", request.dimensions), ("--fix", request.fixed)):
        for text in texts:
            if not any(_take(text, label, names) for label, names in known.items()):
                name = text.partition("=")[0].strip()
                every = dict.fromkeys([*(n for names in spaces.values() for n in names), *EXTRAS])
                raise ConfigError(
                    f"{option} {name}: no such hyperparameter, got {name!r}, expected one of "
                    f"{', '.join(every)}, or ARCHITECTURE.NAME; check the spelling"
                )
    return {
        label: replace(
            request,
            dimensions=tuple(filter(None, (_take(t, label, names) for t in request.dimensions))),
            fixed=tuple(filter(None, (_take(t, label, names) for t in request.fixed))),
        )
        for label, names in known.items()
    }


def _take(text: str, label: str, names: Collection[str]) -> str:
    """Take what is asked of an architecture, without its label; empty where it is of others."""
    name, equals, value = text.partition("=")
    owner, dot, own = name.strip().rpartition(".")
    is_mine = own in names and (not dot or owner == label)
    return f"{own}={value}" if equals and is_mine else ""


def move_networks(stored: SweepConfig, planned: SweepConfig) -> SweepConfig:
    """Give a stored config with its networks where a plan has found them; all else of it stays."""
    parts = tuple(
        part.model_copy(
            update={name: getattr(now, name) for name in ("model", "model_digest", "files")}
        )
        for part, now in zip(stored.architectures, planned.architectures, strict=True)
    )
    places = {"model": planned.model, "model_digest": planned.model_digest}
    return stored.model_copy(update={**places, "architectures": parts})


def drop_tuned(chosen: Chosen) -> Chosen:
    """Leave a network without the settings that were tuned by hand.

    Beside its recommended one they are known to be worse, and a budget that several share has no
    room for that.
    """
    architecture = replace(chosen.network.architecture, starting_points=())
    return replace(chosen, network=replace(chosen.network, architecture=architecture))


def combine_configs(configs: Sequence[SweepConfig], networks: Sequence[Network]) -> SweepConfig:
    """Put the configs of single architectures together, of the same events and search.

    The first trial of each is its recommended point or, where it has none, what the sampler
    chooses. Nobody is pruned before the longest grace.

    Raises:
        ConfigError: when a network has a hyperparameter called MODEL.
    """
    spaces = {config.label: read_space(config) for config in configs}
    for label, space in spaces.items():
        if MODEL in space:
            raise ConfigError(
                f"space.{MODEL}: the sweep's own name, got a network {label} that takes it, "
                "expected another; rename the network's hyperparameter"
            )
    clashing = find_clashing(list(spaces.values()))
    parts = [
        ArchitectureConfig(
            model=config.model,
            model_digest=config.model_digest,
            space=config.space,
            files=tuple(sorted(network.files)),
            recommended=slot if config.recommended_slot is not None else None,
            prefixed=tuple(name for name in spaces[config.label] if name in clashing),
        )
        for slot, (config, network) in enumerate(zip(configs, networks, strict=True))
    ]
    grace = max(config.recipe.grace_events for config in configs)
    return configs[0].model_copy(
        update={
            "model": ",".join(config.model for config in configs),
            "model_digest": "",
            "space": {},
            "starting_points": tuple({MODEL: c.label, **_choose_first(c)} for c in configs),
            "num_hand_tuned": 0,
            "recipe": configs[0].recipe.model_copy(update={"grace_events": grace}),
            "architectures": tuple(parts),
        }
    )


def _choose_first(config: SweepConfig) -> Mapping[str, Value]:
    slot = config.recommended_slot
    return config.starting_points[slot] if slot is not None else {}


def set_epochs(config: SweepConfig, numbers: Sequence[int]) -> SweepConfig:
    """Give the config of a sweep whose architectures are compared by seconds.

    Args:
        config: Of several architectures.
        numbers: Training events that an epoch of each one's trials has.
    """
    fitted = tuple(
        part.model_copy(update={"epoch_events": number})
        for part, number in zip(config.architectures, numbers, strict=True)
    )
    return config.model_copy(update={"cost": "seconds", "architectures": fitted})


def keep_measured(config: SweepConfig, stored: SweepConfig, asked: Request) -> SweepConfig:
    """Give the config of a sweep that goes on with what was found when it began.

    Its study keeps the names of hyperparameters, also where a changed space would take others.
    """
    parts = zip(config.architectures, stored.architectures, strict=True)
    return config.model_copy(
        update={
            "cost": asked.cost,
            "starting_points": stored.starting_points,
            "architectures": tuple(
                part.model_copy(update={name: getattr(old, name) for name in FOUND})
                for part, old in parts
            ),
        }
    )


def list_epochs(config: SweepConfig) -> tuple[str, ...]:
    """List how many events an epoch of each architecture has, where they are not all."""
    num_train = config.data.num_train
    return tuple(
        f"{part.label}: an epoch has {part.epoch_events} of {num_train} training events, in about "
        "the seconds that the fastest takes for all"
        for part in config.architectures
        if part.epoch_events not in (None, num_train)
    )


def find_clashing(spaces: Sequence[Mapping[str, Dimension]]) -> set[str]:
    """Find the hyperparameters that Optuna takes for different ones under one name."""
    kinds: dict[str, set[object]] = {}
    for space in spaces:
        for name, dimension in space.items():
            if not isinstance(dimension, Fixed):
                kinds.setdefault(name, set()).add(_describe_kind(dimension))
    return {name for name, found in kinds.items() if len(found) > 1}


def _describe_kind(dimension: Dimension) -> object:
    """Describe of a dimension what all of one name have to have in common in a study."""
    if isinstance(dimension, Choice):
        return str(dimension)
    if isinstance(dimension, Float):
        return Float, dimension.scale
    return Int, isinstance(dimension, Int) and dimension.log


def merge_files(networks: Sequence[Network]) -> dict[str, bytes]:
    """Put the files of several networks together.

    Raises:
        ConfigError: when two have a file of one name that is not the same.
    """
    merged: dict[str, bytes] = {}
    for network in networks:
        for path, content in network.files.items():
            if merged.setdefault(path, content) != content:
                raise ConfigError(
                    f"model: two networks have a file {path}, got two that differ, expected one; "
                    "rename one of them"
                )
    return merged
