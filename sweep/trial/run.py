"""One trial, from a claim to its end: suggest, build, train, record, judge, tell.

Before anything is told or given back the claim is renewed: a worker that was away for longer than
its lease learns it there, and harms nothing.
"""

from __future__ import annotations

import optuna
from optuna.exceptions import UpdateFinishedTrialError

from sweep.errors import SweepError
from sweep.search.strategy import build_pruner
from sweep.storage import studies
from sweep.storage.claims import Claim
from sweep.storage.errors import ArtifactError
from sweep.trial.attempt import Attempt
from sweep.trial.beginning import begin_trial
from sweep.trial.ending import end_trial, give_back, pause, spend_slot
from sweep.trial.session import Interruption, Session, fit_session
from sweep.trial.verdict import Pause, Verdict


def run_trial(session: Session, claim: Claim, interruption: Interruption) -> Verdict | Pause | None:
    """Train the trial of a claim to its end or to its rung, from its checkpoint where there is one.

    Args:
        interruption: Asked between batches and between epochs.

    Returns:
        What came of it, or None when it was given back on its way.

    Raises:
        LostClaimError: when another worker took the trial over; nothing of it is stored then.
        StorageError, DataError: when the database, the disk or the events fail; that is no
            verdict, and the trial stays unfinished.
    """
    session = fit_session(session, claim)
    study = studies.load_study(
        session.study_storage,
        session.sweep.name,
        session.build_sampler(claim.slot),
        build_pruner(session.config),
    )
    try:
        return _attempt(session, claim, study, interruption)
    except UpdateFinishedTrialError:  # told by a worker that was killed then, or taken for lost
        told = studies.find_trial(study, claim.slot, claim.number)
        if told is None or not told.state.is_finished():
            raise
        return spend_slot(session, claim, told)


def _attempt(
    session: Session, claim: Claim, study: optuna.Study, interruption: Interruption
) -> Verdict | Pause | None:
    """Train the trial, and tell what came of it, pause it, or give it back."""
    interruption.hold()
    attempt = Attempt(claim, begin_trial(session, claim, study), interruption)
    try:
        end = attempt.reach_end()
        interruption.hold()
        if isinstance(end, Verdict):
            end_trial(study, attempt, end)
        elif isinstance(end, Pause):
            pause(attempt)
        else:
            give_back(attempt)
        return end
    except (ArtifactError, SweepError):  # of the disk or the events, not of the network
        interruption.hold()
        give_back(attempt)
        raise
