"""What a confirmation trains again: the best of a search, and its recommended point if it has one.

A network of a person's own has none: nothing is known to work, and no candidate has a privilege.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sweep.config import MODEL, CandidateConfig
from sweep.models.value import Value
from sweep.plan.space import complete_params, read_space
from sweep.results.status import Status
from sweep.search.judgement import get_value
from sweep.search.suggestion import find_nearest
from sweep.storage.epochs import TrialRow


def name_candidate(candidate: CandidateConfig) -> str:
    """Name a candidate: by its trial of the search, or as the recommended point."""
    if candidate.trial is None:
        return "the recommended point"
    name = f"trial {candidate.trial} of the search"
    return f"{name} (the recommended point)" if candidate.is_recommended else name


def find_leader(search: Status) -> TrialRow | None:
    """Find the trial whose architecture's recommended point the others have to beat.

    Of several architectures that is the best of their recommended points or, where none lives, that
    of the best trial's.
    """
    slots = {part.recommended_slot for part in search.config.narrow_all()}
    own = (trial for trial in search.ranked if trial.slot in slots)
    return next(own, None) or next(iter(search.ranked), None)


def list_candidates(
    search: Status,
    top: int,
    defaults: Mapping[str, Value],
    by_level: Sequence[TrialRow] | None = None,
) -> tuple[CandidateConfig, ...]:
    """List what a confirmation trains: the best of a search, and its recommended point if any.

    Args:
        top: How many of the best, at most: the one of the best value, then those of the best level.
        defaults: Of the architecture, for a search that has not tried its recommended point.
        by_level: The trials that may be called the best as `rank_by_level` gives them; None for the
            order of their values.
    """
    foremost = search.ranked[:1]
    others = (trial for trial in by_level or search.ranked if trial not in foremost)
    best = [*foremost, *others][:top]
    leader = find_leader(search)
    config = search.config.narrow_to(leader.params) if leader else search.config
    points, slot = search.config.starting_points, config.recommended_slot
    begun = {trial.slot: trial for trial in search.begun}
    objective = search.config.search.objective
    own = None if slot is None else begun.get(slot)
    chosen = [*best, own] if own is not None and own not in best else best
    candidates = [make_candidate(trial, objective, is_own=trial is own) for trial in chosen]
    if own is None and slot is not None:
        # What neither a point nor the defaults name is as in the first trial, for every seed.
        first = begun[min(begun)] if config is search.config or not leader else leader
        settings = {**complete_params(search.config, first.params), **defaults, **points[slot]}
        known: dict[str, Value] = {} if config is search.config else {MODEL: config.label}
        known |= {
            name: find_nearest(dimension, settings[name])
            for name, dimension in read_space(config).items()
        }
        candidates.append(
            CandidateConfig(trial=None, params=known, claimed=None, is_recommended=True)
        )
    return tuple(candidates)


def make_candidate(trial: TrialRow, objective: str, *, is_own: bool = False) -> CandidateConfig:
    """Make a candidate of a trial.

    Args:
        is_own: Whether it is the recommended point.
    """
    return CandidateConfig(
        trial=trial.number,
        params=dict(trial.params),
        claimed=get_value(trial.best, objective) if trial.feasible and trial.best else None,
        is_recommended=is_own,
    )
