"""One trial: suggest, build, train, record, judge, tell.

After an epoch the checkpoint is written first, then the curve, then the study: a worker killed in
between leaves a checkpoint that is ahead, and its successor fills in what is missing. A worker that
is asked to leave at once writes one more in mid-epoch. At the end
the study is told first and the slot is spent last: a worker killed in between leaves a finished
trial of the study, and its successor only spends the slot. Before either, the claim is renewed: a
worker that was away for longer than its lease learns it there, and harms nothing.
"""

from __future__ import annotations

import logging
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
import torch
from optuna.exceptions import OptunaError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial
from torch import nn

from models.space import Float, Value
from storage import studies
from storage.artifacts import TrialFolder
from storage.attachments import attach_file
from storage.claims import Claim, begin_claimed, finish_claim, release_claim
from storage.engine import retry
from storage.epochs import Epoch, read_curve, record_epochs
from storage.errors import ArtifactError, LostClaimError, StorageError
from storage.sweeps import FAILED, PRUNED, is_stop_requested
from sweep.device import is_out_of_memory
from sweep.errors import SweepError
from sweep.metrics.score import get_score
from sweep.metrics.writing import describe_metrics
from sweep.plan.curve import choose_draw
from sweep.plan.space import read_space
from sweep.search.judgement import find_best_epoch, get_value, is_dead, is_stuck
from sweep.search.pruners import build_pruner
from sweep.search.samplers import build_sampler
from sweep.search.suggestion import fix_point, suggest
from sweep.search.verdict import DEAD, DONE, STUCK, STUDY_STATES, WORSE, Verdict
from sweep.seeds import derive_seed
from sweep.training.state import StateError, Weights, capture_state, restore_state
from sweep.training.trainer import (
    DivergedError,
    EpochResult,
    InterruptedTrainingError,
    Trainer,
)
from sweep.trial.checkpoint import (
    Checkpoint,
    leave_aside,
    load_checkpoint,
    make_epoch,
    rehearse,
    save_checkpoint,
    save_weights,
)
from sweep.trial.losses import give_up
from sweep.trial.pictures import draw_trial
from sweep.trial.retention import drop_beaten_weights, is_to_be_pictured
from sweep.trial.session import Interruption, Session, fit_session
from sweep.wording import round_shown

logger = logging.getLogger(__name__)

NETWORK_FAULTS = (Exception, SystemExit, KeyboardInterrupt)
"""What a network may raise. A worker's signals are no exceptions (`sweep.signals`), so that one
which ends the process, or says it is interrupted, is the network's own doing."""


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
        build_sampler(session.config.search, read_space(session.config), claim.slot),
        build_pruner(session.config),
    )
    if claim.attempt > 1:
        begun = studies.find_trial(study, claim.slot)
        if begun is not None and begun.state.is_finished():
            return _spend_slot(session, claim, begun)
    try:
        return _TrialRun(session, claim, study, interruption).run()
    except UpdateFinishedTrialError:  # told meanwhile by a worker that was taken for lost
        told = studies.find_trial(study, claim.slot)
        if told is None or not told.state.is_finished():
            raise
        return _spend_slot(session, claim, told)


def _spend_slot(session: Session, claim: Claim, told: FrozenTrial) -> Verdict:
    """Spend the slot of a trial that was told to the study by a worker killed right after."""
    state = {study: ours for ours, study in STUDY_STATES.items()}[told.state]
    attributes = told.user_attrs
    verdict = Verdict(state, str(attributes.get("outcome", state)), attributes.get("reason"))
    finish_claim(
        session.engine,
        claim,
        state=verdict.state,
        outcome=verdict.outcome,
        reason=verdict.reason,
        feasible=verdict.outcome == DONE.outcome,
        best_epoch=attributes.get("best_epoch"),
    )
    TrialFolder(session.artifacts, session.sweep, claim.slot).drop_checkpoint()
    return verdict


class _TrialRun:
    """One attempt at a trial: its network, its curve so far and the weights of its best epoch."""

    def __init__(
        self, session: Session, claim: Claim, study: optuna.Study, interruption: Interruption
    ) -> None:
        self.session = session
        self.config = session.config
        self.claim = claim
        self.study = study
        self.interruption = interruption
        self.folder = TrialFolder(session.artifacts, session.sweep, claim.slot)
        self._may_have_begun = claim.attempt > 1
        self.trial, self.params = self._begin()
        self.curve: list[Epoch] = []
        self.best_weights: Weights = {}
        self._needs_to_be_alone = False
        self._trainer: Trainer | None = None

    def run(self) -> Verdict | None:
        try:
            verdict = self._reach_verdict()
            if verdict is not None:
                self._finish(verdict)
                return verdict
        except (ArtifactError, SweepError):  # of the disk or the events, not of the network
            self._give_back()
            raise
        self._give_back()
        return None

    def _reach_verdict(self) -> Verdict | None:
        given_up = give_up(self.claim)
        if given_up is not None:
            self.curve = read_curve(self.session.engine, self.claim.trial_id)
            return given_up
        try:
            return self._train()
        except DivergedError as exc:
            return Verdict(PRUNED, "diverged", str(exc))
        except (SweepError, StorageError, sa.exc.SQLAlchemyError, OptunaError):
            raise
        except NETWORK_FAULTS as exc:  # a network may raise anything; its traceback is the verdict
            if not is_out_of_memory(exc):
                return Verdict(FAILED, "error", traceback.format_exc())
            if self.claim.alone:
                return Verdict(FAILED, "out_of_memory", traceback.format_exc())
            logger.warning("trial %s: out of memory, to be tried alone", self.trial.number)
            self._needs_to_be_alone = True
            return None

    def _give_back(self) -> None:
        """Release the trial unfinished: the study first, since the next worker may be quick."""
        self.interruption.hold()
        studies.suspend_trial(self.trial)
        release_claim(self.session.engine, self.claim, alone=self._needs_to_be_alone)

    def _begin(self) -> tuple[Trial, dict[str, Value]]:
        self.interruption.hold()
        trial, params = retry(self._suggest)
        try:
            begin_claimed(self.session.engine, self.claim, trial.number, params)
        except LostClaimError:
            studies.drop_double(self.study, trial, self.claim.slot)
            raise
        renamed = {
            name: params[name]
            for name, dimension in read_space(self.config).items()
            if isinstance(dimension, Float) and dimension.scale == "one_minus_log"
        }
        studies.set_attributes(trial, renamed)
        return trial, params

    def _suggest(self) -> tuple[Trial, dict[str, Value]]:
        """Begin the trial or find it begun; safe to repeat, what was suggested stays."""
        space = read_space(self.config)
        points = self.config.starting_points
        point = points[self.claim.slot] if self.claim.slot < len(points) else {}
        self.study.sampler = build_sampler(self.config.search, space, self.claim.slot)
        is_first, self._may_have_begun = not self._may_have_begun, True
        trial = studies.begin_trial(
            self.study, self.claim.slot, fix_point(point, space), is_first=is_first
        )
        return trial, suggest(trial, space, point)

    def _build_network(self) -> nn.Module:
        names = self.session.architecture.network_hyperparameters
        return self.session.architecture.build(
            {name: value for name, value in self.params.items() if name in names}
        )

    def _build_another(self) -> nn.Module:
        """Build a network beside the one in training, whose random numbers stay its own."""
        with torch.random.fork_rng(devices=[]):
            return self._build_network()

    def _begin_training(self) -> Trainer:
        """Begin the trial's training from its checkpoint, where one is left here that fits."""
        found = load_checkpoint(self.folder)
        if found is not None:
            trainer = self._make_trainer()
            try:
                trainer.restore(found.trainer)
                if found.best_weights:
                    restore_state(self._build_another(), found.best_weights)
            except StateError as exc:
                leave_aside(self.folder, exc)
            else:
                self.curve = list(found.curve)
                self.best_weights = found.best_weights
                self._record(self.curve)
                return trainer
        trainer = self._make_trainer()
        rehearse(trainer.network, self._build_another())
        return trainer

    def _make_trainer(self) -> Trainer:
        seed, draw = self.config.search.seed, choose_draw(self.config, self.claim.slot)
        torch.manual_seed(derive_seed(seed, "weights", draw))
        return Trainer(
            self._build_network(),
            self.session.split,
            self.config.recipe,
            self.params,
            seed=derive_seed(seed, "order", draw),
            device=self.session.device,
            is_interrupted=lambda: self.interruption.is_immediate() or self._is_late(),
        )

    def _train(self) -> Verdict | None:
        trainer = self._trainer = self._begin_training()
        verdict = self._judge() if self.curve else None
        if verdict is not None:
            return verdict
        try:
            for result in trainer.run():
                self._take(trainer, result)
                verdict = self._judge()
                if verdict is not None:
                    return verdict
                if trainer.epoch < self.config.recipe.epochs:
                    if self._is_late():
                        return self._too_late()
                    if self._is_to_stop():
                        return None
        except InterruptedTrainingError:
            if self._is_late():
                return self._too_late()
            self._keep(trainer)
            return None
        best = self._find_best()
        objective, null_loss = self.config.search.objective, self.config.data.null_loss
        return DONE if best and not is_dead(best, objective, null_loss) else DEAD

    def _take(self, trainer: Trainer, result: EpochResult) -> None:
        """Keep one epoch: checkpoint first, then the curve, then the study."""
        self.curve.append(make_epoch(result))
        if len(self.curve) == 1:  # a training may change what its network's state consists of
            rehearse(trainer.network, self._build_another())
        if self._find_best() == self.curve[-1]:
            self.best_weights = capture_state(trainer.network)
        self._keep(trainer)
        self._record(self.curve[-1:])

    def _keep(self, trainer: Trainer) -> None:
        """Write a checkpoint, if the trial is still this worker's."""
        self.interruption.hold()
        save_checkpoint(self.folder, Checkpoint(trainer.capture(), self.curve, self.best_weights))

    def _record(self, curve: Sequence[Epoch]) -> None:
        """Store epochs and report them to the study, where that was not done before."""
        record_epochs(self.session.engine, self.claim, curve)
        objective = self.config.search.objective
        values = {epoch.epoch: round_shown(get_value(epoch, objective)) for epoch in curve}
        studies.report_epochs(self.trial, values)

    def _judge(self) -> Verdict | None:
        """Say whether the trial ends here; at the last epoch nothing is left to be pruned."""
        if self.curve[-1].epoch >= self.config.recipe.epochs:
            return None
        if is_stuck(self.curve, self.config):
            return STUCK
        return WORSE if studies.is_to_prune(self.trial) else None

    def _is_late(self) -> bool:
        """Say whether the trial has trained for longer than a trial of its sweep may."""
        limit_s = self.session.sweep.trial_timeout_s
        trained_s = sum(epoch.duration_s for epoch in self.curve)
        running_s = self._trainer.get_spent_s() if self._trainer else 0.0
        return limit_s is not None and trained_s + running_s > limit_s

    def _too_late(self) -> Verdict:
        limit_s = self.session.sweep.trial_timeout_s
        return Verdict(PRUNED, "timeout", f"not done after {limit_s:g} s of training")

    def _is_to_stop(self) -> bool:
        return self.interruption.is_gentle() or is_stop_requested(
            self.session.engine, self.session.sweep.id
        )

    def _find_best(self) -> Epoch | None:
        return find_best_epoch(self.curve, self.config.search.objective, self.config.data.null_loss)

    def _finish(self, verdict: Verdict) -> None:
        self.interruption.hold()
        best = self._find_best()
        is_feasible = verdict == DONE
        attributes: dict[str, Any] = {"outcome": verdict.outcome}
        if best is not None:
            metrics = describe_metrics(get_score(best))
            attributes |= {key: round_shown(value) for key, value in metrics.items()}
            attributes["best_epoch"] = best.epoch
        if verdict.reason:
            attributes["reason"] = verdict.reason
        studies.set_attributes(self.trial, attributes)
        if verdict.outcome in (DONE.outcome, DEAD.outcome):
            studies.set_feasible(self.trial, is_feasible)
        if is_feasible and best is not None:
            save_weights(self.folder, self.best_weights)
            if is_to_be_pictured(self.session, get_value(best, self.config.search.objective)):
                self._attach_pictures()
        value = round_shown(get_value(best, self.config.search.objective)) if best else None
        studies.finish_trial(self.study, self.trial, STUDY_STATES[verdict.state], value)
        finish_claim(
            self.session.engine,
            self.claim,
            state=verdict.state,
            outcome=verdict.outcome,
            reason=verdict.reason,
            feasible=is_feasible,
            best_epoch=best.epoch if best else None,
        )
        self.folder.drop_checkpoint()
        if not is_feasible:
            self.folder.drop()
        drop_beaten_weights(self.session)

    def _attach_pictures(self) -> None:
        """Attach curves, outputs and the worst events; must come before the study is told."""
        try:
            with tempfile.TemporaryDirectory() as name:
                for path in self._draw(Path(name)):
                    attach_file(self.trial, path, self.session.artifacts)
        except OSError as exc:  # a trained network is worth more than its pictures
            logger.warning("trial %s has not all its pictures: %s", self.trial.number, exc)

    def _draw(self, folder: Path) -> list[Path]:
        try:
            network = self._build_network()
            restore_state(network, self.best_weights)
            network.to(self.session.device)
            return draw_trial(
                folder,
                network,
                self.session.split.validation,
                self.curve,
                self.config.data.null_loss,
                title=f"{self.session.sweep.name}, trial {self.trial.number}",
            )
        except NETWORK_FAULTS:
            logger.warning("trial %s has no pictures", self.trial.number, exc_info=True)
            return []
