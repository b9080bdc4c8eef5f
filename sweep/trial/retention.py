"""What of a finished trial is kept: the best ones of a sweep keep weights, and get pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweep.search.judgement import get_ranking, is_better
from sweep.storage.artifacts import NUM_KEPT_WEIGHTS, TrialFolder, list_weighted
from sweep.storage.epochs import find_complete, read_best

if TYPE_CHECKING:
    from sweep.trial.session import Session

NUM_PICTURED = 3
"""A trial that ends among so many best ones of its sweep gets pictures."""


def is_to_be_pictured(session: Session, value: float) -> bool:
    """Say whether fewer than NUM_PICTURED trials so far are as good as one that ends.

    Args:
        value: The trial's value of the objective.
    """
    objective = session.config.search.objective
    rivals = read_best(session.engine, session.sweep.id, get_ranking(objective), NUM_PICTURED)
    return len(rivals) < NUM_PICTURED or is_better(value, rivals[-1][1], objective)


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
