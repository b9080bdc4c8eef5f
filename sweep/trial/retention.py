"""What is kept of a finished trial: the best keep their weights, the very best gets pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweep.search.judgement import get_ranking, is_better
from sweep.storage.artifacts import NUM_KEPT_WEIGHTS, TrialFolder, list_weighted
from sweep.storage.epochs import find_complete, read_best

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


def drop_beaten_weights(session: Session) -> None:
    """Remove the weights of all complete trials on this disk but the best of the sweep.

    Where none lives the least bad of the dead keeps its own. A trial that is still to be told keeps
    them too. One that is beaten now stays so. A confirmation, whose winner is known last, keeps
    all.
    """
    if session.config.confirmation is not None:
        return
    weighted = list_weighted(session.artifacts, session.sweep)
    complete = find_complete(session.engine, session.sweep.id, weighted)
    ranking = get_ranking(session.config.search.objective)
    place = session.engine, session.sweep.id, ranking
    best = read_best(*place, NUM_KEPT_WEIGHTS) or read_best(*place, 1, are_feasible=False)
    for slot in complete - {slot for slot, _value in best}:
        TrialFolder(session.artifacts, session.sweep, slot).drop()
