"""Begins a trial: its hyperparameters are chosen once, and stored before anything trains."""

from __future__ import annotations

from dataclasses import dataclass

import optuna
from optuna.trial import Trial

from sweep.models.space import Float
from sweep.models.value import Value
from sweep.search.suggestion import find_misfits, fix_point, suggest
from sweep.storage import studies
from sweep.storage.claims import Claim, begin_claimed
from sweep.storage.engine import retry
from sweep.storage.errors import LostClaimError
from sweep.trial.session import Session


@dataclass(frozen=True)
class BegunTrial:
    """A trial of the study that runs.

    Attributes:
        trial: Of the study.
        params: The value of each of its hyperparameters.
        fault: Why it cannot be trained, where a value that was given cannot be; else None.
    """

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
    renamed = {
        name: begun.params[name]
        for name, dimension in session.space.items()
        if isinstance(dimension, Float) and dimension.scale == "one_minus_log"
    }
    studies.set_attributes(begun.trial, renamed)
    return begun


def _suggest_until_stored(session: Session, claim: Claim, study: optuna.Study) -> BegunTrial:
    """Suggest, again where a passing fault broke it off: what was suggested by then stays."""
    points = session.config.starting_points
    given = points[claim.slot] if claim.slot < len(points) else claim.point
    misfits = find_misfits(given, session.space)
    point = {name: value for name, value in given.items() if name not in misfits}
    fault = "; ".join(misfits.values()) or None
    is_first = claim.attempt == 1

    def attempt() -> BegunTrial:
        nonlocal is_first
        study.sampler = session.build_sampler(claim.slot)
        was_first, is_first = is_first, False
        trial = studies.begin_trial(
            study,
            claim.slot,
            fix_point(point, session.space),
            is_first=was_first,
            number=claim.number,
        )
        return BegunTrial(trial, suggest(trial, session.space, point), fault)

    return retry(attempt)
