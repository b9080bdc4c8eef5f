"""What a worker holds open while it trains, and what may interrupt it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
import torch
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import Study
from torch import nn

from sweep.config import MODEL, SweepConfig
from sweep.data.selection import reopen_split
from sweep.data.splits import Split
from sweep.models import Architecture
from sweep.models.space import Dimension
from sweep.models.value import Value
from sweep.plan.curve_trials import fit_config
from sweep.plan.network import open_all_kept
from sweep.plan.space import read_space
from sweep.plan.trial_seeds import draw_events
from sweep.plan.versions import find_varied, give_version
from sweep.search.part_sampler import PartSampler
from sweep.search.strategy import build_promotion, build_sampler, check_strategy, describe_outlook
from sweep.search.suggestion import name_in_study
from sweep.storage.claims import Claim
from sweep.storage.sources import read_files
from sweep.storage.standings import Promotion
from sweep.storage.study_cache import narrow_study, show_study
from sweep.storage.sweeps import Sweep, find_sweep
from sweep.trial.past import read_past

Splits = dict[str, Split]
"""Events that are open in a process, by what says which they are: each once."""
MOVING = ("confirmation", "starting_points", "space", "architectures", "search", "changes")
"""What of a config may be another while workers have the sweep open."""


class Interruption(Protocol):
    """Tells a trial whether it should go on, and holds its claim."""

    def is_gentle(self) -> bool:
        """Say whether to leave after the epoch."""

    def is_immediate(self) -> bool:
        """Say whether to leave at once."""

    def hold(self) -> None:
        """Renew the claim now, before something is written that only its holder may write.

        Raises:
            LostClaimError: when another worker took the trial over.
        """


@dataclass(frozen=True)
class Session:
    """What a worker holds open for all trials of a sweep, or for those of one architecture of it.

    `architectures` are by their labels; where there are several, `narrow` gives the session of one.
    """

    engine: sa.Engine
    study_storage: BaseStorage
    sweep: Sweep
    config: SweepConfig
    architectures: Mapping[str, Architecture]
    split: Split
    device: torch.device
    artifacts: Path

    @cached_property
    def space(self) -> Mapping[str, Dimension]:
        """The sweep's search space."""
        return read_space(self.config)

    @cached_property
    def names(self) -> Mapping[str, str]:
        """What the study calls the hyperparameters that are searched."""
        return name_in_study(self.space, self.config.prefixed, self.config.label)

    @property
    def is_changed(self) -> bool:
        """Whether its search space has been another one before."""
        return bool(find_varied(self.config, self.config.label))

    @cached_property
    def promotion(self) -> Promotion | None:
        """How the sweep's next trial is chosen, where its trials pause."""
        return build_promotion(self.config)

    def build_sampler(self, slot: int) -> BaseSampler:
        """Build the sampler that chooses the hyperparameters of a slot's trial."""
        outlook = describe_outlook(self.config)
        sampler = build_sampler(self.config.search, self.space, slot, outlook, self.names)
        show = self.open_view()
        return sampler if show is None else PartSampler(sampler, show)

    def open_view(self) -> Callable[[Study], Study] | None:
        """Give how a sampler sees the study; None where it sees it as it is.

        Of several architectures it knows the trials of one, and of those that were tried in
        another version of the space the ones that lie in this.
        """
        past = read_past(self.engine, self.sweep, self.config, self.names)
        label = self.config.label if len(self.architectures) > 1 else None
        if past is None and label is None:
            return None

        def show(study: Study) -> Study:
            part = study if label is None else narrow_study(study, MODEL, label)
            return part if past is None else show_study(part, past.see)

        return show

    def narrow(self, label: str) -> Session:
        """Give the session as the trials of one of its architectures see it."""
        return replace(self, config=self.config.narrow(label))

    def build_network(self, params: Mapping[str, Value]) -> nn.Module:
        """Build the network of a trial of these hyperparameters."""
        return self.architectures[self.config.label].build_trial(params)


def open_session(
    engine: sa.Engine,
    study_storage: BaseStorage,
    sweep: Sweep,
    device: torch.device,
    artifacts: Path,
    splits: Splits | None = None,
) -> Session:
    """Open what a worker needs for the trials of a sweep: its network and its events.

    Args:
        splits: What was opened before in this process; more are added.

    Raises:
        SweepError: when the config is of another version, the network may not run here, or the
            events are not here.
    """
    config = _read_config(sweep)
    networks = open_all_kept(config, read_files(engine, sweep.id), by_worker=True)
    architectures = {label: network.architecture for label, network in networks.items()}
    splits, key = {} if splits is None else splits, config.data.model_dump_json()
    split = splits[key] = splits.get(key) or reopen_split(config.data)
    return Session(engine, study_storage, sweep, config, architectures, split, device, artifacts)


def renew_session(session: Session, sweep: Sweep) -> Session:
    """Give a session the sweep as it stands now: a confirmation's later rounds add trials to it, a
    person may have changed where it looks.

    Where nothing has changed it is the session itself, which keeps what it has read.
    """
    if session.sweep == sweep:
        return session
    if session.sweep.config == sweep.config:
        return replace(session, sweep=sweep)
    now = _read_config(sweep)
    moves = {name: getattr(now, name) for name in MOVING}
    return replace(session, sweep=sweep, config=session.config.model_copy(update=moves))


def _read_config(sweep: Sweep) -> SweepConfig:
    config = SweepConfig.from_json(sweep.config)
    check_strategy(config.search)
    return config


def fit_session(session: Session, claim: Claim) -> Session:
    """Give what a worker holds open as one trial sees it: in the version that it was begun with,
    and with its own training events.
    """
    if claim.version > session.sweep.version:  # changed between the look at it and the claim
        session = renew_session(session, find_sweep(session.engine, session.sweep.name))
    version = give_version(session.config, claim.version)
    if version is not session.config:
        session = replace(session, config=version)
    config = fit_config(session.config, claim.slot)
    if config.curve is None:
        return session
    train = draw_events(config, claim.slot, session.split.train)
    return replace(session, config=config, split=Split(train, session.split.validation))
