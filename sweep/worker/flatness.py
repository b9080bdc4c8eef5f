"""Asks of a sweep whether a further trial pays, before one is begun."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from optuna.study import Study
from optuna.trial import FrozenTrial

from sweep.search.draw import Draw, Outlook
from sweep.search.flatness import NUM_AGREEING, explain_flatness, gather_prospects
from sweep.search.front import PRICES, rate_at_price
from sweep.search.mixed import MixedSampler
from sweep.search.strategy import describe_outlook
from sweep.storage import studies
from sweep.storage.epochs import read_curves, read_trials
from sweep.storage.study_cache import show_study
from sweep.storage.tables import Epoch
from sweep.trial.session import Session


def find_flatness(session: Session) -> str | None:
    """Find why a further trial of a search does not pay; None where it may.

    Whatever the sampler is, a model learns from its trials. Of several architectures it may pay
    where it does for one of those that had enough of them, or where the space of one was changed
    and few have looked there. Of a front it may pay by the loss, or at one of several prices of a
    false positive.
    """
    study = studies.load_study(session.study_storage, session.sweep.name)
    num_begun = len(studies.read_study_trials(study))
    reasons = []
    for label in session.architectures:
        part = session.narrow(label) if len(session.architectures) > 1 else session
        show = part.open_view()
        own = study if show is None else show(study)
        names, seed = list(part.names.values()), part.config.search.seed
        asked = [
            MixedSampler(Draw(names, num_begun, seed, outlook)).ask_prospects(seen, NUM_AGREEING)
            for outlook, seen in _list_aims(part, own)
        ]
        if prospects := gather_prospects(asked):
            reasons.append(explain_flatness(prospects, num_begun))
        elif names and part.is_changed:
            return None
    return reasons[0] if reasons and None not in reasons else None


def _list_aims(session: Session, study: Study) -> Iterator[tuple[Outlook, Study]]:
    """List what a trial may be good for: what there is to come to, and the trials seen by it."""
    outlook = describe_outlook(session.config)
    yield outlook, study
    if not session.config.search.is_front:
        return
    by_id = read_curves(session.engine, session.sweep.id)
    begun = read_trials(session.engine, session.sweep.id)
    curves = {row.number: by_id[row.id] for row in begun if row.id in by_id}
    for price in PRICES:
        yield replace(outlook, is_loss=False), show_study(study, _see_at(price, curves))


def _see_at(
    price: float, curves: Mapping[int | None, Sequence[Epoch]]
) -> Callable[[FrozenTrial], FrozenTrial]:
    """Give how a trial is seen at a price of a false positive."""

    def see(trial: FrozenTrial) -> FrozenTrial:
        seen = copy.copy(trial)
        curve = curves.get(trial.number, ())
        seen.intermediate_values = {epoch.epoch: rate_at_price(epoch, price) for epoch in curve}
        return seen

    return see
