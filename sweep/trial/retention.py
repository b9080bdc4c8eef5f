"""What is kept of a finished trial: the best keep their weights, the very best gets pictures."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sweep.search.judgement import get_ranking, is_better
from sweep.storage.artifacts import NUM_KEPT_WEIGHTS, TrialFolder, list_kept, list_weighted
from sweep.storage.epochs import read_best, read_states
from sweep.storage.sweeps import COMPLETE, FAILED, PRUNED

if TYPE_CHECKING:
    from sweep.trial.session import Session


def is_to_be_pictured(session: Session, value: float) -> bool:
    """Say whether no trial so far is better than one that ends.

    To draw takes seconds: of 50 trials some five are the best when they end, some twelve among the
    best three. The best of all has pictures either way.

    Args:
        value: The trial's value of the objective.
    """
    objective = session.config.search.objective
    best = read_best(session.engine, session.sweep.id, get_ranking(objective), 1)
    return not best or not is_better(best[0][1], value, objective)


def drop_leftovers(session: Session) -> None:
    """Remove what finished trials of the sweep no longer need of this disk.

    Each that ends does so for itself, but a worker that is killed right after it has spent its slot
    leaves that to others, and so does one whose trials are beaten on another machine.
    """
    kept = list_kept(session.artifacts, session.sweep)
    states = read_states(session.engine, session.sweep.id, kept)
    for slot, state in states.items():
        with suppress(OSError):  # mostly another person's, whose workers remove it
            drop_unneeded(session, slot, state)
    drop_beaten_weights(session)


def drop_unneeded(session: Session, slot: int, state: str) -> None:
    """Remove what a trial of this state does not need: all of an ended one but weights."""
    folder = TrialFolder(session.artifacts, session.sweep, slot)
    if state == COMPLETE:
        folder.drop_checkpoint()
    elif state in (PRUNED, FAILED):
        folder.drop()


def drop_beaten_weights(session: Session) -> None:
    """Remove the weights of all complete trials on this disk but the best of the sweep.

    Where none lives the least bad of the dead keeps its own. A trial that is still to be told keeps
    them too. One that is beaten now stays so. A confirmation, whose winner is known last, keeps
    all.
    """
    if session.config.confirmation is not None:
        return
    weighted = list_weighted(session.artifacts, session.sweep)
    states = read_states(session.engine, session.sweep.id, weighted)
    ranking = get_ranking(session.config.search.objective)
    place = session.engine, session.sweep.id, ranking
    best = read_best(*place, NUM_KEPT_WEIGHTS) or read_best(*place, 1, are_feasible=False)
    kept = {slot for slot, _value in best}
    for slot, state in states.items():
        if state == COMPLETE and slot not in kept:
            TrialFolder(session.artifacts, session.sweep, slot).drop()
