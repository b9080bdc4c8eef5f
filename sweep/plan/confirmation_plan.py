"""A confirmation: the best trials of a search and its recommended point, trained again.

The best of many noisy numbers is flattered by luck. So a few candidates, and the recommended point
where there is one, are trained again with fresh weights and orders of events, the same for every
candidate, and the winner is chosen by these alone. It is a sweep of its own whose trials are all
given; its rounds add trials at the end (docs/ARCHITECTURE.md, "A confirmation, and who wins").
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sweep.config import MODEL, ArchitectureConfig, CandidateConfig, ConfirmationConfig, SweepConfig
from sweep.errors import check_least
from sweep.models.space import Choice, Fixed, to_json
from sweep.models.value import Value, is_same
from sweep.plan.space import complete_params, read_space
from sweep.search.seeds import derive_seed
from sweep.search.strategy import choose_pruner, choose_sampler
from sweep.search.suggestion import find_misfits, list_ends

SUFFIX = "-confirm"
AUDIT_SUFFIX = "-audit"
DEFAULT_TOP, DEFAULT_SEEDS = 4, 3
FIRST_SEEDS = 2
"""Trainings of each candidate before any is dropped: one says nothing of the spread."""
SHARE = 0.25
"""Of the epochs that the search trained: unasked, a confirmation takes no more than this."""


def name_confirmation(search: str) -> str:
    """Name the confirmation of a search."""
    return f"{search}{SUFFIX}"


def name_audit(search: str) -> str:
    """Name the audit of a search's pruning."""
    return f"{search}{AUDIT_SUFFIX}"


def write_command(search: str) -> str:
    """Write the command that confirms a search, or goes on with that."""
    return shlex.join(["sweep", "confirm", "--sweep", search])


def check_size(top: int | None, seeds: int | None) -> None:
    """Refuse numbers out of range.

    Raises:
        ConfigError: when one is.
    """
    check_least("top", top)
    check_least("seeds", seeds, FIRST_SEEDS)


def choose_size(
    spent_epochs: int, epochs: int, *, has_recommended: bool = True
) -> tuple[int, int] | None:
    """Choose how many of the best and how many seeds a confirmation may have unasked.

    Args:
        spent_epochs: That the search trained.
        epochs: Of one training.
        has_recommended: Whether the recommended point is trained beside them; without it there is
            nothing to beat, and one alone is no choice.

    Returns:
        The most trainings that are within `SHARE` of the epochs if nothing is dropped: of equals
        those with more candidates; None where even the least are not.
    """
    allowed = SHARE * spent_epochs / epochs
    sizes = [
        (num_all * seeds, num_all - has_recommended, seeds)
        for num_all in range(2, DEFAULT_TOP + 1 + has_recommended)
        for seeds in range(FIRST_SEEDS, DEFAULT_SEEDS + 1)
        if num_all * seeds <= allowed
    ]
    return max(sizes)[1:] if sizes else None


def choose_joining(spent_epochs: int, epochs: int, seeds: int, num_had: int) -> int:
    """Choose how many candidates may join unasked where a search has gone on.

    Args:
        spent_epochs: That the search trained in all.
        epochs: Of one training.
        seeds: The most trainings of each candidate.
        num_had: Trainings that its confirmation has already.
    """
    return max(0, int(SHARE * spent_epochs / epochs) - num_had) // seeds


def plan_confirmation(
    search: SweepConfig,
    name: str,
    finished: int,
    candidates: Sequence[CandidateConfig],
    seeds: int,
) -> SweepConfig:
    """Plan the confirmation of a search, with its first round.

    Args:
        search: The search's config: its events, recipe and space hold here, too.
        name: The search's.
        finished: How many of its trials have finished.
        candidates: What is trained again.
        seeds: The most trainings of each.
    """
    first = [
        (candidate, seed)
        for seed in range(1, min(FIRST_SEEDS, seeds) + 1)
        for candidate in range(len(candidates))
    ]
    confirmation = ConfirmationConfig(
        sweep=name, candidates=tuple(candidates), seeds=seeds, finished=finished
    )
    judged = search.search.model_copy(
        update={
            "sampler": choose_sampler("random"),
            "pruner": choose_pruner("none"),
            # Another seed than the search's: none of its weights and orders is met again.
            "seed": derive_seed(search.search.seed, "confirmation", 0),
        }
    )
    config = search.model_copy(
        update={"search": judged, "num_hand_tuned": 0, "confirmation": confirmation, "changes": ()}
    )
    return add_pairs(config, first)


def plan_audit(
    search: SweepConfig, name: str, finished: int, candidates: Sequence[CandidateConfig]
) -> SweepConfig:
    """Plan the audit of a search: its candidates are pruned trials, each trained once more.

    Args:
        search, name, finished, candidates: As for `plan_confirmation`.
    """
    config = plan_confirmation(search, name, finished, candidates, 1)
    if config.confirmation is None:
        raise ValueError("audit: got no plan of given trials")
    seed = derive_seed(search.search.seed, "audit", 0)
    return config.model_copy(
        update={
            "confirmation": config.confirmation.model_copy(update={"is_audit": True}),
            "search": config.search.model_copy(update={"seed": seed}),
        }
    )


def add_pairs(config: SweepConfig, pairs: Sequence[tuple[int, int]]) -> SweepConfig:
    """Add trials to a confirmation, each a candidate with a seed.

    Raises:
        ValueError: when the config is of no confirmation.
    """
    old = config.confirmation
    if old is None:
        raise ValueError("confirmation: got the config of a search, expected one")
    every = (*old.pairs, *pairs)
    named = _map_spaces(config, [one.params for one in old.candidates], _name_all)
    points = [complete_params(named, candidate.params) for candidate in old.candidates]
    update = {
        "confirmation": old.model_copy(update={"pairs": every}),
        "starting_points": tuple(points[index] for index, _seed in every),
    }
    return _map_spaces(named, points, _widen_space).model_copy(update=update)


Points = Sequence[Mapping[str, Value]]
Space = dict[str, dict[str, Any] | str]


def _map_spaces(
    config: SweepConfig, points: Points, change: Callable[[ArchitectureConfig, Points], Space]
) -> SweepConfig:
    """Give a config whose spaces are changed, each by the points of its own architecture."""
    parts = tuple(
        one.model_copy(
            update={"space": change(one, [p for p in points if p.get(MODEL) == one.label])}
        )
        for one in config.architectures
    )
    space = config.space if parts else change(config, points)
    return config.model_copy(update={"space": space, "architectures": parts})


def _name_all(config: ArchitectureConfig, points: Points) -> Space:
    """Name in a space what points have that were tried when it had more."""
    more = {name: value for point in points for name, value in point.items() if name != MODEL}
    new = {name: to_json(Fixed(more[name])) for name in more if name not in config.space}
    return {**config.space, **new}


def _widen_space(config: ArchitectureConfig, points: Points) -> Space:
    """Widen a space to what points have that were tried when it was another one."""
    space, written = read_space(config), dict(config.space)
    misfits = {name for point in points for name in find_misfits(point, space)}
    for name in misfits & space.keys():
        values: list[Value] = []
        for value in (*list_ends(space[name]), *(point[name] for point in points if name in point)):
            if not any(is_same(value, known) for known in values):
                values.append(value)
        written[name] = to_json(Choice(tuple(values)))
    return written
