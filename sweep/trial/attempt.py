"""One attempt at a trial: from its checkpoint, if there is one, to a verdict, a pause or a break.

After an epoch the checkpoint is written first, then curve and study in one transaction: a worker
killed in between leaves a checkpoint that is ahead, and its successor fills in what is missing. A
worker that is asked to leave at once writes one more in mid-epoch.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
import torch
from optuna.exceptions import OptunaError
from torch import nn

from sweep.errors import SweepError, summarise_fault
from sweep.machine.device import DeviceLostError, is_lost, is_out_of_memory
from sweep.machine.turns import my_turn, others_turn
from sweep.metrics.wording import round_shown
from sweep.models import count_parameters
from sweep.plan.trial_seeds import choose_draw
from sweep.search.judgement import explain_death, find_best_epoch, get_value, is_dead, is_stuck
from sweep.search.limits import (
    OVER_LIMIT,
    Excess,
    find_fp_excess,
    find_latency_excess,
    find_size_excess,
)
from sweep.search.seeds import derive_seed
from sweep.storage import studies
from sweep.storage.artifacts import TrialFolder
from sweep.storage.claims import Claim
from sweep.storage.epochs import read_curve, record_epochs
from sweep.storage.errors import StorageError
from sweep.storage.sweeps import COMPLETE, FAILED, PRUNED
from sweep.storage.tables import Epoch
from sweep.training.batches import drop_kept
from sweep.training.latency import measure_latency_us
from sweep.training.state import StateError, Weights, restore_state
from sweep.training.trainer import (
    DivergedError,
    EpochResult,
    InterruptedTrainingError,
    Trainer,
)
from sweep.trial.beginning import BegunTrial
from sweep.trial.checkpoint import (
    Checkpoint,
    leave_aside,
    load_checkpoint,
    make_epoch,
    rehearse,
    save_checkpoint,
)
from sweep.trial.lost_workers import give_up
from sweep.trial.session import Interruption
from sweep.trial.verdict import DEAD, DONE, STUCK, WORSE, Pause, Verdict

logger = logging.getLogger(__name__)

NETWORK_FAULTS = (Exception, SystemExit, KeyboardInterrupt)
"""What a network may raise. A worker's signals are no exceptions (`sweep.machine.signals`), so that
one which ends the process, or says it is interrupted, is the network's own doing."""


class Attempt:
    """One attempt at a trial: its network, its curve so far and the weights of its best epoch.

    Args:
        interruption: Asked between batches and between epochs.
    """

    def __init__(self, claim: Claim, begun: BegunTrial, interruption: Interruption) -> None:
        session = begun.session
        self.session = session
        self.config = session.config
        self.claim = claim
        self.begun = begun
        self.interruption = interruption
        self.folder = TrialFolder(session.artifacts, session.sweep, claim.slot)
        self.curve: list[Epoch] = []
        self.best_weights: Weights = {}
        self.needs_to_be_alone = False
        """Whether the trial filled its device's memory, beside others."""
        self.cost: dict[str, float] = {}
        """Parameters and latency of the network, where they were measured."""
        self.cost_excesses: list[Excess] = []
        self._trainer: Trainer | None = None
        self._is_stop_requested = False

    @property
    def best(self) -> Epoch | None:
        """The epoch whose weights and metrics are the trial's own so far."""
        search, null_loss = self.config.search, self.config.data.null_loss
        return find_best_epoch(self.curve, search.objective, null_loss, search.limits.max_fp)

    def list_excesses(self) -> list[Excess]:
        """List how far the trial is beyond each limit of its sweep, as far as that is known."""
        fp = find_fp_excess(self.config.search.limits, self.best)
        return [excess for excess in (fp, *self.cost_excesses) if excess is not None]

    def reach_end(self) -> Verdict | Pause | None:
        """Train until there is a verdict or the claim's last epoch is reached.

        Returns:
            Which of them; None when the trial is to be given back before.

        Raises:
            LostClaimError: when another worker took the trial over.
            StorageError, SweepError: when the database, the disk or the events fail.
            DeviceLostError: when this process can compute no more.
        """
        decided = give_up(self.claim) or self._read_account() or self._read_fault()
        if decided is not None:
            self.curve = read_curve(self.session.engine, self.claim.trial_id)
            return decided
        try:
            with my_turn():
                return self._train()
        except DivergedError as exc:
            return Verdict(PRUNED, "diverged", str(exc))
        except (SweepError, StorageError, sa.exc.SQLAlchemyError, OptunaError):
            raise
        except NETWORK_FAULTS as exc:  # a network may raise anything; its traceback is the verdict
            with my_turn():  # amid a recording the GPU would refuse the question
                if is_lost(self.session.device):  # who started this process frees what it trains
                    raise DeviceLostError(summarise_fault(exc)) from exc
            if not is_out_of_memory(exc):
                return Verdict(FAILED, "error", traceback.format_exc())
            if self.claim.alone:
                return Verdict(FAILED, "out_of_memory", traceback.format_exc())
            logger.warning("trial %s: out of memory, to be tried alone", self.begun.trial.number)
            self.needs_to_be_alone = True
            return None

    def _read_account(self) -> Verdict | None:
        """Give the verdict on a paused trial that never goes on; None for one that does."""
        account = self.claim.account
        return None if account is None else Verdict(WORSE.state, WORSE.outcome, account)

    def _read_fault(self) -> Verdict | None:
        """Give the verdict on a trial that was given a value which cannot be."""
        fault = self.begun.fault
        return None if fault is None else Verdict(FAILED, "error", f"{fault}; mend the given point")

    def _build_network(self) -> nn.Module:
        return self.session.build_network(self.begun.params)

    def _build_another(self) -> nn.Module:
        """Build a network beside the one in training, whose random numbers stay its own."""
        with torch.random.fork_rng(devices=[]):
            return self._build_network()

    def _begin_training(self) -> Trainer:
        """Begin the trial's training from its checkpoint, where one is left here that fits."""
        found = load_checkpoint(self.folder)
        if found is None and self.claim.attempt > 1:
            self._say_if_missing()
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

    def _say_if_missing(self) -> None:
        """Say of a trial that has epochs, and no checkpoint here, that it begins anew."""
        if self.folder.checkpoint.exists():
            return  # it cannot be read, which was said
        if read_curve(self.session.engine, self.claim.trial_id):
            leave_aside(
                self.folder,
                FileNotFoundError("no such file: do all workers see the same artifact folder?"),
            )

    def _make_trainer(self) -> Trainer:
        seed, draw = self.config.search.seed, choose_draw(self.config, self.claim.slot)
        if self.claim.alone:  # it filled the device's memory beside others
            drop_kept()
        torch.manual_seed(derive_seed(seed, "weights", draw))
        return Trainer(
            self._build_network(),
            self.session.split,
            self.config.recipe,
            self.begun.params,
            seed=derive_seed(seed, "order", draw),
            device=self.session.device,
            max_fp=self.config.search.fixed_fp,
            num_seen=self.config.epoch_events,
            is_interrupted=lambda: self.interruption.is_immediate() or self._is_late(),
        )

    def _train(self) -> Verdict | Pause | None:
        trainer = self._trainer = self._begin_training()
        costly = self._judge_cost(trainer)
        end = self._judge() if self.curve else costly
        if end is not None:
            return end
        try:
            for result in trainer.run():
                self._take(trainer, result)
                end = self._judge()
                if end is not None:
                    return end
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
        best = self.best
        objective, null_loss = self.config.search.objective, self.config.data.null_loss
        if best is None or is_dead(best, objective, null_loss):
            return replace(DEAD, reason=explain_death(objective))
        over = find_fp_excess(self.config.search.limits, best)
        if over is not None and over.value > 0:
            return Verdict(COMPLETE, OVER_LIMIT, over.told)
        return DONE

    def _judge_cost(self, trainer: Trainer) -> Verdict | None:
        """Say whether the network is too large or too slow to be trained at all.

        How slow is measured once: a trial that goes on has what its first attempt found.
        """
        limits, network = self.config.search.limits, trainer.network
        known = self.begun.trial.user_attrs.get("latency_us")
        found = []
        if limits.max_parameters is not None:
            self.cost["parameters"] = num_parameters = count_parameters(network)
            found.append(find_size_excess(limits, num_parameters))
        if limits.max_latency_us is not None:
            latency_us = known or measure_latency_us(network, trainer.validation)
            self.cost["latency_us"] = latency_us
            studies.set_attributes(self.begun.trial, {"latency_us": round_shown(latency_us)})
            found.append(find_latency_excess(limits, latency_us))
        self.cost_excesses = [excess for excess in found if excess is not None]
        over = next((excess for excess in self.cost_excesses if excess.value > 0), None)
        return None if over is None else Verdict(PRUNED, OVER_LIMIT, over.told)

    def _take(self, trainer: Trainer, result: EpochResult) -> None:
        """Keep one epoch: checkpoint first, then curve and study in one transaction."""
        self.curve.append(make_epoch(result))
        if len(self.curve) == 1:  # a training may change what its network's state consists of
            rehearse(trainer.network, self._build_another())
        if self.best == self.curve[-1]:
            self.best_weights = trainer.capture_judged()
        self._keep(trainer)
        self._record(self.curve[-1:])

    def _keep(self, trainer: Trainer) -> None:
        """Write a checkpoint, if the trial is still this worker's."""
        with others_turn():
            self.interruption.hold()
        save_checkpoint(self.folder, Checkpoint(trainer.capture(), self.curve, self.best_weights))

    def _record(self, curve: Sequence[Epoch]) -> None:
        """Store epochs and report them to the study, where that was not done before."""
        objective, trial = self.config.search.objective, self.begun.trial
        values = {epoch.epoch: round_shown(get_value(epoch, objective)) for epoch in curve}
        with others_turn():
            self._is_stop_requested = record_epochs(
                self.session.engine,
                self.claim,
                curve,
                beside=lambda connection: studies.report_epochs(trial, values, connection),
            )

    def _judge(self) -> Verdict | Pause | None:
        """Say whether the attempt ends here; at the last epoch nothing is left to be pruned."""
        epoch, until = self.curve[-1].epoch, self.claim.until_epoch
        if epoch >= self.config.recipe.epochs:
            return None
        if is_stuck(self.curve, self.config):
            return STUCK
        if until is not None and epoch >= until:
            return Pause(epoch)
        with others_turn():
            return WORSE if studies.is_to_prune(self.begun.trial) else None

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
        return self.interruption.is_gentle() or self._is_stop_requested
