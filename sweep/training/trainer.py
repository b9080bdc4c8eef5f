"""Trains one network: a generator of epoch results that knows neither Optuna nor a database.

Whoever consumes it decides when to stop. Between two batches its whole state can be captured and
restored, so that an interrupted training ends where an uninterrupted one does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sweep.config import Recipe, Value
from sweep.data.splits import Split
from sweep.machine.device import is_out_of_memory
from sweep.metrics.peaks import NotFiniteError, Regions
from sweep.metrics.score import Score
from sweep.training.augmentation import Reflections
from sweep.training.batches import Batches
from sweep.training.cuda_recorder import open_recorder
from sweep.training.decode_scan import score_at_fp
from sweep.training.event_scores import score_each
from sweep.training.forward import FIRST_BATCH_SIZE, predict_batches
from sweep.training.replay import Player
from sweep.training.state import (
    StateError,
    Weights,
    capture_state,
    check_form,
    describe,
    restore_state,
)
from sweep.training.step import TrainingStep, get_number


class DivergedError(Exception):
    """The training or its predictions ceased to be finite numbers."""


class InterruptedTrainingError(Exception):
    """Whoever consumes the training asked for its end within an epoch."""


@dataclass(frozen=True)
class EpochResult:
    """One pass over the training events and the validation that followed it.

    Attributes:
        train_loss: Mean training loss per event over the pass (with the trial's asymmetry).
        score: The three metrics on the validation events; its loss is the symmetric one.
        duration_s: Seconds for the pass and its validation.
    """

    epoch: int
    events_seen: int
    train_loss: float
    score: Score
    lr: float
    duration_s: float


class Trainer:
    """One network in training.

    Args:
        network: Maps x_BCL (B, 4, 4000) to predictions (B, 4000); moved to `device`.
        hyperparameters: At least lr, beta1, beta2, batch_size; without weight_decay the
            recipe's is taken, without asymmetry or reflected_share (of the events, those that are
            reflected) 0.
        seed: Decides the order of events, and how they are reflected.
        max_fp: The most false positives per event where validation chooses the settings of the peak
            finder; None where they are the reference's.
        num_seen: Training events of an epoch, others each time; None for all.
        is_interrupted: Asked before each batch, of training and validation; True ends the epoch at
            once.
    """

    def __init__(
        self,
        network: nn.Module,
        split: Split,
        recipe: Recipe,
        hyperparameters: Mapping[str, Value],
        *,
        seed: int,
        device: torch.device,
        max_fp: float | None = None,
        num_seen: int | None = None,
        is_interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.network = network.to(device)
        self.device = device
        self.recipe = recipe
        self.seed = seed
        self.max_fp = max_fp
        self.is_interrupted = is_interrupted
        batch_size = int(get_number(hyperparameters, "batch_size"))
        self.train = Batches(split.train, batch_size, device, num_seen)
        self.validation = Batches(split.validation, FIRST_BATCH_SIZE, device)
        self._true_regions: list[Regions | None] = []
        share = get_number(hyperparameters, "reflected_share", 0.0)
        self.step = TrainingStep(
            self.network,
            recipe,
            hyperparameters,
            len(self.train),
            device,
            Reflections(share, seed, device) if share else None,
        )
        self.act = _join(self.train, self.step)
        self.player = Player(self.act, self.network, open_recorder(device))
        self.epoch = 0
        self._resumed_s: float | None = None
        self._begin_pass()

    def run(self) -> Iterator[EpochResult]:
        """Train epoch after epoch until the recipe's end.

        Raises:
            DivergedError: when a loss or a prediction is NaN or infinite.
            InterruptedTrainingError: when `is_interrupted` said so within an epoch; captured then
                and restored, the training goes on with the next batch.
        """
        while self.epoch < self.recipe.epochs:
            self._resumed_s = time.monotonic()
            try:
                train_loss = self._train_once(self.epoch + 1)
                score = self._validate(self.epoch + 1)
            except InterruptedTrainingError:
                self._spent_s = self.get_spent_s()
                self._resumed_s = None
                raise
            duration_s = self.get_spent_s()
            self.epoch += 1
            self._begin_pass()
            yield EpochResult(
                epoch=self.epoch,
                events_seen=self.epoch * self.train.num_seen,
                train_loss=train_loss,
                score=score,
                lr=self.step.find_rate(self._num_steps),
                duration_s=duration_s,
            )

    def get_spent_s(self) -> float:
        """Give the seconds spent so far on the epoch that has not ended."""
        running_s = 0.0 if self._resumed_s is None else time.monotonic() - self._resumed_s
        return self._spent_s + running_s

    def _begin_pass(self) -> None:
        """Begin an epoch: no batch of it is done."""
        self._num_batches = 0
        self.step.total_loss.zero_()
        self._spent_s = 0.0
        self._resumed_s = None

    def capture_judged(self) -> Weights:
        """Copy the state that the last validation judged."""
        with self._as_judged():
            return capture_state(self.network)

    def _as_judged(self) -> AbstractContextManager[None]:
        """Let the network be what is judged: the average where the recipe has one."""
        return self.step.average.applied() if self.step.average else nullcontext()

    def capture(self) -> dict[str, Any]:
        """Capture everything that the next epochs depend on; tensors of the step are live."""
        return {
            "epoch": self.epoch,
            "num_batches": self._num_batches,
            "spent_s": self._spent_s,
            "network": capture_state(self.network),
            **self.step.capture(),
            "rng": torch.get_rng_state(),
            "cuda_rng": (
                torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
            ),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a captured state, whose tensors may be on another device.

        Raises:
            StateError: when it is of another training; this one is then of no use any more.
        """
        state = _leave_out_rates(state)
        self._check(state)
        self.epoch = state["epoch"]
        self._num_batches = state["num_batches"]
        self._spent_s = state["spent_s"]
        self.player.forget()
        restore_state(self.network, state["network"])
        try:
            self.step.restore(state, self._num_steps)
            torch.set_rng_state(state["rng"])
            if self.device.type == "cuda" and state["cuda_rng"] is not None:
                torch.cuda.set_rng_state(state["cuda_rng"], self.device)
        except (RuntimeError, ValueError, TypeError) as exc:
            if is_out_of_memory(exc):
                raise
            raise StateError(f"checkpoint: {exc}") from exc

    def _check(self, state: Mapping[str, Any]) -> None:
        """Make sure that a state has the form of what this training captures.

        Raises:
            StateError: when it has not.
        """
        self.step.check(state)
        own = self.capture()
        # Checked by the step, or by the network itself; the device may be another.
        for part in ("optimizer", "average", "network", "cuda_rng"):
            own[part] = state.get(part)
        check_form("checkpoint", own, state)
        if not isinstance(state["network"], Mapping):
            raise StateError(f"checkpoint.network: got {describe(state['network'])}")
        counts = (state["epoch"], self.recipe.epochs), (state["num_batches"], len(self.train))
        if not all(isinstance(count, int) and 0 <= count <= most for count, most in counts):
            raise StateError(f"checkpoint: got epoch {state['epoch']}, batch {counts[1][0]}")
        if not torch.isfinite(state["total_loss"]) or state["spent_s"] < 0:
            raise StateError("checkpoint: its loss or time is no finite number")

    @property
    def _num_steps(self) -> int:
        """Steps that were done since the training began."""
        return self.epoch * len(self.train) + self._num_batches

    def _train_once(self, epoch: int) -> float:
        self.network.train()
        with self.player.open_lane():
            for given in self.train.shuffle(self.seed, epoch, self._num_batches):
                if self.is_interrupted():
                    self.player.catch_up()
                    raise InterruptedTrainingError
                self.player(*given)
                self._num_batches += 1
        self.player.catch_up()
        train_loss = float(self.step.total_loss) / self.train.num_seen
        if not math.isfinite(train_loss):
            raise DivergedError(f"epoch {epoch}: training loss {train_loss}")
        return train_loss

    def _validate(self, epoch: int) -> Score:
        with self._as_judged():
            try:
                predicted = self._predict(epoch)
                if self.max_fp is None:
                    score = score_each(predicted, self._true_regions).score
                else:
                    score = score_at_fp(predicted, self.max_fp).score
            except NotFiniteError as exc:  # finite heights whose sums are not
                raise DivergedError(f"epoch {epoch}: {exc}") from exc
        if score.validation_loss is None:
            raise DivergedError(f"epoch {epoch}: validation loss {score.validation_loss}")
        return score

    def _predict(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        is_finite = []
        for prediction_BL, y_BL in predict_batches(self.network, self.validation):
            if self.is_interrupted():
                raise InterruptedTrainingError
            is_finite.append(torch.isfinite(prediction_BL).all())
            yield prediction_BL, y_BL
        if not torch.stack(is_finite).all():  # read once, at the end
            raise DivergedError(f"epoch {epoch}: prediction is not finite")


def _join(batches: Batches, step: TrainingStep) -> Callable[..., None]:
    """Give what is done with a batch as `Batches.shuffle` gives it; it holds no trainer."""

    def act(*given: Tensor) -> None:
        step(*batches.open(*given))

    return act


def _leave_out_rates(state: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what earlier versions kept of the learning rate, which follows from the step."""
    kept = {name: part for name, part in state.items() if name != "scheduler"}
    optimizer = kept.get("optimizer")
    if isinstance(optimizer, Mapping):
        kept["optimizer"] = {n: part for n, part in optimizer.items() if n != "param_groups"}
    return kept
