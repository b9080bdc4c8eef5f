"""Ends an attempt at a trial: it is told, paused, or given back.

The study is told first and the slot is spent last: a worker killed in between leaves a finished
trial of the study, and its successor only spends the slot.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from sweep.machine.turns import my_turn
from sweep.metrics.score import get_score
from sweep.metrics.wording import round_shown
from sweep.metrics.writing import describe_metrics
from sweep.search.judgement import get_value
from sweep.search.limits import OVER_LIMIT
from sweep.storage import studies
from sweep.storage.attachments import attach_file
from sweep.storage.claims import Claim, finish_claim, pause_claim, release_claim
from sweep.storage.sweeps import COMPLETE
from sweep.training.inspection import inspect_events
from sweep.training.state import restore_state
from sweep.trial.attempt import NETWORK_FAULTS, Attempt
from sweep.trial.checkpoint import save_weights
from sweep.trial.pictures import NUM_JUDGED, draw_trial
from sweep.trial.retention import drop_beaten_weights, drop_unneeded, is_to_be_pictured
from sweep.trial.session import Session
from sweep.trial.verdict import DEAD, DONE, STUDY_STATES, Verdict

logger = logging.getLogger(__name__)


def end_trial(study: optuna.Study, attempt: Attempt, verdict: Verdict) -> None:
    """Tell what came of a trial, keep what is worth keeping, and spend its slot."""
    session, trial, best = attempt.session, attempt.begun.trial, attempt.best
    is_feasible = verdict == DONE
    studies.set_attributes(trial, _describe(attempt, verdict))
    if verdict.outcome in (DONE.outcome, DEAD.outcome, OVER_LIMIT):
        _tell_constraints(attempt, verdict)
    value = get_value(best, session.config.search.objective) if best else None
    if verdict.state == COMPLETE and value is not None:
        save_weights(attempt.folder, attempt.best_weights)
        if is_feasible and is_to_be_pictured(session, value):
            _attach_pictures(attempt)
    told = None if value is None else round_shown(value)
    studies.finish_trial(study, trial, STUDY_STATES[verdict.state], told)
    _spend(session, attempt.claim, verdict, best.epoch if best else None)


def _tell_constraints(attempt: Attempt, verdict: Verdict) -> None:
    """Tell the study whether the trial lives, and how far it is beyond each limit of the sweep."""
    known = {excess.name: excess.value for excess in attempt.list_excesses()}
    limits = attempt.session.config.search.limits.model_dump(exclude_none=True)
    excesses = [round_shown(known.get(name, 0.0)) for name in limits]
    studies.set_constraints(attempt.begun.trial, verdict.outcome != DEAD.outcome, excesses)


def spend_slot(session: Session, claim: Claim, told: FrozenTrial) -> Verdict:
    """Spend the slot of a trial that was told to the study by a worker killed right after."""
    state = {study: ours for ours, study in STUDY_STATES.items()}[told.state]
    attributes = told.user_attrs
    verdict = Verdict(state, str(attributes.get("outcome", state)), attributes.get("reason"))
    _spend(session, claim, verdict, attributes.get("best_epoch"))
    return verdict


def give_back(attempt: Attempt) -> None:
    """Release a trial unfinished: the study first, since the next worker may be quick."""
    studies.suspend_trial(attempt.begun.trial)
    release_claim(attempt.session.engine, attempt.claim, alone=attempt.needs_to_be_alone)


def pause(attempt: Attempt) -> None:
    """Leave a trial at its rung with its checkpoint; like one given back, it waits in the study."""
    studies.suspend_trial(attempt.begun.trial)
    pause_claim(attempt.session.engine, attempt.claim)


def _spend(session: Session, claim: Claim, verdict: Verdict, best_epoch: int | None) -> None:
    """Spend the slot, then remove what nobody needs any more."""
    finish_claim(
        session.engine,
        claim,
        state=verdict.state,
        outcome=verdict.outcome,
        reason=verdict.reason,
        feasible=verdict.outcome == DONE.outcome,
        best_epoch=best_epoch,
    )
    drop_unneeded(session, claim.slot, verdict.state)
    drop_beaten_weights(session)


def _describe(attempt: Attempt, verdict: Verdict) -> dict[str, Any]:
    """Describe what came of a trial, as attributes of the study's trial."""
    attributes: dict[str, Any] = {"outcome": verdict.outcome}
    best = attempt.best
    if best is not None:
        metrics = describe_metrics(get_score(best))
        attributes |= {key: round_shown(value) for key, value in metrics.items()}
        attributes["best_epoch"] = best.epoch
    attributes |= {key: round_shown(value) for key, value in attempt.cost.items()}
    if verdict.reason:
        attributes["reason"] = verdict.reason
    return attributes


def _attach_pictures(attempt: Attempt) -> None:
    """Attach curves, outputs and the worst events; must come before the study is told."""
    trial = attempt.begun.trial
    try:
        with tempfile.TemporaryDirectory() as name:
            for path in _draw(attempt, Path(name)):
                attach_file(trial, path, attempt.session.artifacts)
    except OSError as exc:  # a trained network is worth more than its pictures
        logger.warning("trial %s has not all its pictures: %s", trial.number, exc)


def _draw(attempt: Attempt, folder: Path) -> list[Path]:
    session, number = attempt.session, attempt.begun.trial.number
    try:
        with my_turn():
            network = session.build_network(attempt.begun.params)
            restore_state(network, attempt.best_weights)
            network.to(session.device)
            inspected = inspect_events(network, session.split.validation, NUM_JUDGED)
        return draw_trial(
            folder,
            inspected,
            attempt.curve,
            session.config.data.null_loss,
            title=f"{session.sweep.name}, trial {number}",
        )
    except NETWORK_FAULTS:
        logger.warning("trial %s has no pictures", number, exc_info=True)
        return []
