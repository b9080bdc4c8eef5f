"""Asks of a sweep whether a further trial pays, before one is begun."""

from __future__ import annotations

from sweep.search.draw import Draw
from sweep.search.flatness import NUM_AGREEING, explain_flatness
from sweep.search.mixed import MixedSampler
from sweep.search.strategy import describe_outlook
from sweep.storage import studies
from sweep.trial.session import Session


def find_flatness(session: Session) -> str | None:
    """Find why a further trial of a search does not pay; None where it may.

    Whatever the sampler is, a model learns from its trials. Of several architectures it may pay
    where it does for one of those that had enough of them, or where the space of one was changed
    and few have looked there.
    """
    study = studies.load_study(session.study_storage, session.sweep.name)
    num_begun = len(studies.read_study_trials(study))
    reasons = []
    for label in session.architectures:
        part = session.narrow(label) if len(session.architectures) > 1 else session
        show = part.open_view()
        own = study if show is None else show(study)
        names, config = list(part.names.values()), part.config
        draw = Draw(names, num_begun, config.search.seed, describe_outlook(config))
        prospects = MixedSampler(draw).ask_prospects(own, NUM_AGREEING)
        if prospects:
            reasons.append(explain_flatness(prospects, num_begun))
        elif names and part.is_changed:
            return None
    return reasons[0] if reasons and None not in reasons else None
