"""One trial, from a claim to its end: suggest, build, train, record, judge, tell.

Before anything is told or given back the claim is renewed: a worker that was away for longer than
its lease learns it there, and harms nothing.
"""

from __future__ import annotations

import optuna
from optuna.exceptions import UpdateFinishedTrialError

from storage import studies
from storage.claims import Claim
from storage.errors import ArtifactError
from sweep.errors import SweepError
from sweep.search.choice import build_pruner, build_sampler
from sweep.search.verdict import Verdict
from sweep.trial.attempt import Attempt
from sweep.trial.beginning import begin_trial
from sweep.trial.ending import end_trial, give_back, spend_slot
from sweep.trial.session import Interruption, Session, fit_session


def run_trial(session: Session, claim: Claim, interruption: Interruption) -> Verdict | None:
    """Train the trial of a claim to its end, from its checkpoint where there is one.

    Args:
        session: What the worker holds open.
        claim: The right to train it.
        interruption: Asked between batches and between epochs.

    Returns:
        What came of it, or None when it was given back unfinished.

    Raises:
        LostClaimError: when another worker took the trial over; nothing of it is stored then.
        StorageError, DataError: when the database, the disk or the events fail; that is no
            verdict, and the trial stays unfinished.
    """
    session = fit_session(session, claim.slot)
    study = studies.load_study(
        session.study_storage,
        session.sweep.name,
        build_sampler(session.config.search, session.space, claim.slot),
        build_pruner(session.config),
    )
    if claim.attempt > 1:
        begun = studies.find_trial(study, claim.slot)
        if begun is not None and begun.state.is_finished():
            return spend_slot(session, claim, begun)
    try:
        return _attempt(session, claim, study, interruption)
    except UpdateFinishedTrialError:  # told meanwhile by a worker that was taken for lost
        told = studies.find_trial(study, claim.slot)
        if told is None or not told.state.is_finished():
            raise
        return spend_slot(session, claim, told)


def _attempt(
    session: Session, claim: Claim, study: optuna.Study, interruption: Interruption
) -> Verdict | None:
    """Train the trial, and tell what came of it or give it back."""
    interruption.hold()
    attempt = Attempt(session, claim, begin_trial(session, claim, study), interruption)
    try:
        verdict = attempt.reach_verdict()
        if verdict is not None:
            interruption.hold()
            end_trial(study, attempt, verdict)
            return verdict
    except (ArtifactError, SweepError):  # of the disk or the events, not of the network
        interruption.hold()
        give_back(attempt)
        raise
    interruption.hold()
    give_back(attempt)
    return None
