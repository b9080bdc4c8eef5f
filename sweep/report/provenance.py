"""With what the sweeps were made, and what repeats them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from sweep.machine.provenance import describe_versions
from sweep.metrics.wording import write_date
from sweep.models.space import Fixed
from sweep.plan.curve import REPEAT_NAME, SIZE_NAME
from sweep.plan.profile import PROFILES
from sweep.plan.space import choose_space, read_space
from sweep.plan.versions import list_versions
from sweep.report.architectures import find_model, name_device
from sweep.report.blocks import Block, Code, Column, Section, Table, Text, list_facts
from sweep.results.status import Status, name_events


def build_provenance_section(
    statuses: Sequence[Status], devices: Mapping[str, str], made_at: datetime
) -> Section:
    """Show seeds, versions, fingerprints, machines, and the commands that repeat the sweeps."""
    rows = list(_list_rows(statuses, devices))
    columns = (Column("what"), *(Column(status.sweep.name) for status in statuses))
    blocks: list[Block] = [
        Text("These commands repeat the sweeps, in an empty folder or with another --storage:"),
        *(Code(command) for status in statuses for command in list_commands(status)),
        Text(
            "With one worker the same trials come out in the same order; with several, the search "
            "depends on which trial ends first, while each single trial can still be had again: "
            "its weights and the order of its events come from the seed and its number."
        ),
        Table("How the sweeps were made", columns, rows),
        list_facts(
            "How this page was made",
            [
                ("time", write_date(made_at.timestamp())),
                *sorted(describe_versions().items()),
            ],
        ),
    ]
    return Section("provenance", "How to have it again", blocks)


def _list_rows(statuses: Sequence[Status], devices: Mapping[str, str]) -> list[Sequence[str]]:
    facts = [_list_facts(status, devices) for status in statuses]
    names = list(dict.fromkeys(name for found in facts for name in found))
    return [(name, *(found.get(name, "") for found in facts)) for name in names]


def _list_facts(status: Status, devices: Mapping[str, str]) -> dict[str, str]:
    config, sweep = status.config, status.sweep
    best = status.best
    machines = sorted({trial.worker.split(":")[0] for trial in status.begun if trial.worker})
    limit_s = sweep.trial_timeout_s
    return {
        "created": write_date(sweep.created_s),
        "machine": ", ".join(machines),
        "device": name_device(status, best, devices),
        "events": name_events(config.data),
        "fingerprint, training": config.data.train_fingerprint,
        "fingerprint, validation": config.data.validation_fingerprint,
        "seed of search and training": str(config.search.seed),
        "seed of the split": str(config.data.split_seed),
        "recipe": f"{config.recipe.name}, {config.recipe.epochs} epochs, {config.recipe.optimizer}",
        "hash of the network's files": ", ".join(
            part.model_digest or "part of this project" for part in config.narrow_all()
        ),
        "time limit of a trial": "none" if limit_s is None else f"{limit_s:g} s",
        **{name: str(value) for name, value in sorted(sweep.provenance.items())},
    }


def list_commands(status: Status) -> list[str]:
    """List the command that makes a sweep again, and those that changed where it looks."""
    versions = [replace(status, config=version) for version in list_versions(status.config)]
    changes = (_write_change(*pair) for pair in pairwise(versions))
    return [write_command(versions[0]), *filter(None, changes)]


def _write_change(before: Status, after: Status) -> str:
    """Write the command that changed one version to the next; nothing where both look alike."""
    old, new = before.config, after.config
    words = []
    for what in ("sampler", "pruner"):
        if getattr(new.search, what) != getattr(old.search, what):
            words += [f"--{what}", getattr(new.search, what).name]
    for then, now in zip(old.narrow_all(), new.narrow_all(), strict=True):
        space, head = read_space(then), f"{now.label}." if new.architectures else ""
        for changed, dimension in read_space(now).items():
            if space.get(changed) != dimension:
                option = "--fix" if isinstance(dimension, Fixed) else "--set"
                words += [option, f"{head}{changed}={dimension}"]
    return shlex.join(["sweep", "change", after.sweep.name, *words]) if words else ""


def write_command(status: Status) -> str:
    """Write the command that makes a sweep, or a sample-size curve, again."""
    config, data, curve = status.config, status.config.data, status.config.curve
    options: list[tuple[str, object]] = [("--model", config.model), ("--sweep", status.sweep.name)]
    if curve is None:
        words = ["sweep", "run"]
        search = config.search
        options += [("--trials", status.sweep.budget), ("--events", data.num_train)]
        options += [("--sampler", search.sampler.name), ("--pruner", search.pruner.name)]
        options += [("--cost", config.cost if config.architectures else None)]
        options += [("--objective", search.objective), ("--test-events", data.num_test)]
        limits = search.limits.model_dump()
        options += [(f"--{name.replace('_', '-')}", value) for name, value in limits.items()]
    else:
        words = ["sweep", "curve"]
        options += [("--events", ",".join(str(size) for size in curve.sizes))]
        options += [("--repeats", curve.repeats), ("--equal", curve.equal)]
    options += [("--data", name) for name in data.files]
    options += [("--val-data", name) for name in data.validation_files]
    options += [("--test-data", name) for name in data.test_files]
    options += [("--x-key", data.x_key), ("--y-key", data.y_key), ("--variant", data.variant)]
    options += [("--val-events", data.num_validation), ("--epochs", config.recipe.epochs)]
    options += [("--recipe", config.recipe.name), ("--seed", config.search.seed)]
    options += [("--profile", config.profile), *_list_dimensions(status)]
    options += [("--trial-timeout", status.sweep.trial_timeout_s)]
    for name, value in options:
        if value is not None:
            words += [name, str(value)]
    return shlex.join(words)


def _list_dimensions(status: Status) -> list[tuple[str, object]]:
    """List what of the space is not the architecture's own, of several each with its label."""
    return [
        (option, text if part is status else f"{part.config.label}.{text}")
        for part in status.narrow_all()
        for option, text in _list_changes(part)
    ]


def _list_changes(status: Status) -> list[tuple[str, str]]:
    config = status.config
    space = read_space(config)
    architecture = find_model(status)
    usual = {}  # where it is not known, say everything
    if architecture is not None:
        usual = choose_space(
            architecture,
            PROFILES[config.profile],
            config.recipe,
            config.data.num_train if config.curve is None else None,
        )
    return [
        ("--fix" if isinstance(dimension, Fixed) else "--set", f"{name}={dimension}")
        for name, dimension in space.items()
        if usual.get(name) != dimension and name not in (SIZE_NAME, REPEAT_NAME)
    ]
