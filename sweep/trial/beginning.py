"""Begins a trial: its hyperparameters are chosen once, and stored before anything trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import Trial

from sweep.config import MODEL
from sweep.models.space import Dimension, Float
from sweep.models.value import Value
from sweep.search.allocation import choose_architecture, list_tried
from sweep.search.seeds import derive_seed
from sweep.search.strategy import describe_outlook
from sweep.search.suggestion import find_misfits, fix_point, suggest
from sweep.storage import studies
from sweep.storage.claims import Claim, begin_claimed
from sweep.storage.errors import LostClaimError
from sweep.storage.transactions import retry
from sweep.trial.session import Session


@dataclass(frozen=True)
class BegunTrial:
    """A trial of the study that runs.

    Attributes:
        session: As the trials of its architecture see it.
        trial: Of the study.
        params: The value of each of its hyperparameters.
        fault: Why it cannot be trained, where a value that was given cannot be; else None.
    """

    session: Session
    trial: Trial
    params: dict[str, Value]
    fault: str | None = None


def begin_trial(session: Session, claim: Claim, study: optuna.Study) -> BegunTrial:
    """Begin the trial of a claim, or find it as an earlier attempt began it.

    Raises:
        LostClaimError: when another worker took the trial over; nothing of it is stored then.
    """
    begun = _suggest_until_stored(session, claim, study)
    try:
        begin_claimed(session.engine, claim, begun.trial.number, begun.params)
    except LostClaimError:
        studies.drop_double(study, begun.trial, claim.slot)
        raise
    return begun


def _list_renamed(params: Mapping[str, Value], space: Mapping[str, Dimension]) -> dict[str, Value]:
    """List the values of which the study has another one in their place, as 1 - value."""
    return {
        name: params[name]
        for name, dimension in space.items()
        if isinstance(dimension, Float) and dimension.scale == "one_minus_log"
    }


def _suggest_until_stored(session: Session, claim: Claim, study: optuna.Study) -> BegunTrial:
    """Suggest, again where a passing fault broke it off: what was suggested by then stays."""
    points = session.config.starting_points
    given = points[claim.slot] if claim.slot < len(points) else claim.point
    is_first = claim.attempt == 1

    def attempt() -> BegunTrial:
        nonlocal is_first
        part = _choose_part(session, claim.slot, study, given)
        own = given if part is session else {k: v for k, v in given.items() if k != MODEL}
        misfits = find_misfits(own, part.space)
        point = {name: value for name, value in own.items() if name not in misfits}
        fixed = fix_point(point, part.space, part.names)
        study.sampler = part.build_sampler(claim.slot)
        was_first, is_first = is_first, False
        trial = studies.begin_trial(
            study,
            claim.slot,
            fixed if part is session else {MODEL: part.config.label, **fixed},
            is_first=was_first,
            number=claim.number,
        )
        chosen: dict[str, Value] = {}
        if part is not session:  # what another attempt chose, stays
            chosen = {MODEL: trial.suggest_categorical(MODEL, list(session.architectures))}
            part = session.narrow(str(chosen[MODEL]))
            study.sampler = part.build_sampler(claim.slot)
        with studies.gather_writes(trial):
            params = chosen | suggest(trial, part.space, point, part.names)
            studies.set_attributes(trial, _list_renamed(params, part.space))
        return BegunTrial(part, trial, params, "; ".join(misfits.values()) or None)

    return retry(attempt)


def _choose_part(
    session: Session, slot: int, study: optuna.Study, given: Mapping[str, Value]
) -> Session:
    """Choose the architecture of a slot's trial: the session of that one, where there are several.

    Args:
        given: The point that the trial is to try; where that names no architecture, the one whose
            trials so far promise most.
    """
    if len(session.architectures) == 1:
        return session
    label = given.get(MODEL)
    if label is None:
        tried = list_tried(studies.read_study_trials(study), describe_outlook(session.config))
        seed = derive_seed(session.config.search.seed, "architecture", slot)
        label = choose_architecture(list(session.architectures), tried, np.random.default_rng(seed))
    return session.narrow(str(label))
