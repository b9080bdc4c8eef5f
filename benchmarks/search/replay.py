"""One sweep in thought: its own classes choose, only the training is looked up.

Samplers are built by `sweep.search.strategy`, suggestions made by `sweep.search.suggestion`,
promotions chosen by `sweep.search.promotion`, winners by `sweep.search.winner_choice`, all on an
Optuna study in memory. An epoch takes one unit of time on each worker, a twentieth more or less.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np
import optuna
from landscape import DEAD, NULL_LOSS, Landscape
from methods import GRACE, Method
from numpy.typing import NDArray
from optuna.trial import TrialState
from record import NUM_EPOCHS, list_good_points

from sweep.config import PrunerConfig, SearchConfig
from sweep.plan.confirmation_plan import FIRST_SEEDS, SHARE, choose_size
from sweep.search.draw import Outlook
from sweep.search.expected_ends import expect_ends
from sweep.search.flatness import NUM_AGREEING, explain_flatness
from sweep.search.mixed import MixedSampler
from sweep.search.promotion import choose_next_trial, list_rungs
from sweep.search.seen import Seen, expect_levels
from sweep.search.strategy import build_sampler, choose_sampler
from sweep.search.suggestion import fix_point, suggest
from sweep.search.winner_choice import choose_winner, estimate_levels, keep_open
from sweep.storage.standings import Standing
from sweep.storage.studies import begin_trial
from sweep.storage.sweeps import COMPLETE, PAUSED, PRUNED, RUNNING, WAITING

NUM_CONFIRMED, NUM_FRESH = 4, 3


@dataclass
class Trial:
    """One trial in thought: `whole` is the curve that it would have, `curve` what is seen of it."""

    slot: int
    state: str = WAITING
    outcome: str | None = None
    goal: int = NUM_EPOCHS
    curve: list[float] = field(default_factory=list)
    whole: Sequence[float] = ()
    u_D: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    true: float = math.nan
    study_trial: Any = None


@dataclass(frozen=True)
class Result:
    """What one sweep came to.

    Attributes:
        above: By how much the selected configuration's mean is above the best known one's, in
            percent of that.
        above_by_model: The same where a model of all trials selects among the complete ones.
        best_complete, best_begun: The same of the best there was among those that came to their
            end, and among all that began: what a choice without noise, and a pruner that knows the
            ends, would have selected.
        confirmed, confirmed_by_model: The same of the winner of a confirmation.
        trace: After how many epochs, and what was selected from then on, as `above`.
        epochs: Spent.
        dead: Share of the epochs of trials that never left the null loss.
        pruned, false: Trials that ended early, and how many would have beaten the selected value.
        trials: That began.
    """

    above: float
    above_by_model: float
    best_complete: float
    best_begun: float
    confirmed: float
    confirmed_by_model: float
    trace: list[tuple[int, float]]
    epochs: int
    dead: float
    pruned: int
    false: int
    trials: int


class Sweep:
    """One sweep in thought.

    Args:
        land: Of the architecture.
        has_points: Whether the recommended point is the first trial.
    """

    def __init__(self, method: Method, land: Landscape, seed: int, *, has_points: bool) -> None:
        self.method, self.land, self.seed = method, land, seed
        self.points = list_good_points(land.architecture)[:1] if has_points else []
        self.study = optuna.create_study(pruner=(method.pruner or optuna.pruners.NopPruner)())
        if not isinstance(method.sampler, str):
            self.study.sampler = method.sampler(seed)
        rungs = list_rungs(NUM_EPOCHS, GRACE, method.eta)
        self.rungs = (GRACE, NUM_EPOCHS) if method.is_plain else rungs
        self.trials: list[Trial] = []
        self.spent = 0
        self.trace: list[tuple[int, float]] = []
        self._judged = 0

    def run(self, num_epochs: int, num_workers: int) -> None:
        """Search until the epochs are spent, those of a confirmation kept back."""
        num_epochs = round(num_epochs / (1.0 + (self.method.confirmed_share or 0.0)))
        count = self.method.count_trials(num_epochs, self.rungs)
        self.trials = [Trial(slot) for slot in range(count)]
        max_epochs = math.inf if self.method.is_pausing else num_epochs
        rng = np.random.default_rng(self.seed)
        queue: list[tuple[float, int, Trial | None]] = [(0.0, w, None) for w in range(num_workers)]
        idle: list[int] = []
        while queue:
            now, worker, trial = heapq.heappop(queue)
            if trial is not None:
                self._end_epoch(trial)
            if trial is None or trial.state != RUNNING:
                trial = self._claim() if self.spent < max_epochs else None
            if trial is None:
                idle.append(worker)
                continue
            self.spent += 1
            heapq.heappush(queue, (now + rng.uniform(0.95, 1.05), worker, trial))
            for other in idle:
                heapq.heappush(queue, (now + 1e-6, other, None))
            idle = []

    def _claim(self) -> Trial | None:
        if not self.method.is_pausing:
            waiting = next((trial for trial in self.trials if trial.state == WAITING), None)
            return self._begin(waiting) if waiting else None
        self._end_if_flat()
        while True:
            standings = [self._stand(trial) for trial in self.trials]
            next_trial = choose_next_trial(
                standings,
                self.rungs,
                self.method.eta,
                kept_slot=0 if self.points else None,
            )
            if next_trial is None:
                return None
            trial = self.trials[next_trial.slot]
            trial.goal = next_trial.until_epoch or NUM_EPOCHS
            if trial.state == WAITING:
                return self._begin(trial)
            if next_trial.account is not None:
                self._finish(trial, TrialState.PRUNED)
                continue
            trial.state = RUNNING
            return trial

    def _stand(self, trial: Trial) -> Standing:
        reached = tuple(
            trial.true if self.method.knows_ends else trial.curve[rung - 1]
            for rung in self.rungs
            if rung <= len(trial.curve)
        )
        return Standing(trial.slot, trial.state, trial.outcome, reached)

    def _end_if_flat(self) -> None:
        """Take out the trials that have not begun where the next one does not pay."""
        begun = [trial for trial in self.trials if trial.state != WAITING]
        if not self.method.stops_when_flat or len(begun) in (self._judged, len(self.trials)):
            return
        self._judged = len(begun)
        sampler = self._build_sampler(len(begun))
        assert isinstance(sampler, MixedSampler)
        prospects = sampler.ask_prospects(self.study, NUM_AGREEING)
        if explain_flatness(prospects, len(begun)) is not None:
            self.trials = begun

    def _begin(self, trial: Trial) -> Trial:
        space, slot = self.land.whole_space, trial.slot
        if isinstance(self.method.sampler, str):
            self.study.sampler = self._build_sampler(slot)
        point = self.points[slot] if slot < len(self.points) else {}
        study_trial = begin_trial(self.study, slot, fix_point(point, space), is_first=True)
        params = suggest(study_trial, space, point)
        trial.study_trial, trial.state = study_trial, RUNNING
        trial.u_D = self.land.get_unit(params)
        trial.true = float(self.land.get_true(trial.u_D[None])[0])
        trial.whole = self.land.draw_curve(trial.u_D, (self.seed, 0, slot))
        return trial

    def _build_sampler(self, slot: int) -> optuna.samplers.BaseSampler:
        outlook = Outlook(NUM_EPOCHS, True, NULL_LOSS, 0 if self.points else None)
        config = SearchConfig(
            sampler=choose_sampler(str(self.method.sampler)),
            pruner=PrunerConfig(name="none"),
            seed=self.seed,
        )
        return build_sampler(config, self.land.whole_space, slot, outlook)

    def _end_epoch(self, trial: Trial) -> None:
        trial.curve.append(trial.whole[len(trial.curve)])
        num_epochs = len(trial.curve)
        trial.study_trial.report(trial.curve[-1], num_epochs)
        if num_epochs >= NUM_EPOCHS:
            self._finish(trial, TrialState.COMPLETE)
            if not self.trace or self.trace[-1][1] != self.selected.true:
                self.trace.append((self.spent, self.selected.true))
        elif num_epochs >= GRACE and min(trial.curve) >= DEAD:
            self._finish(trial, TrialState.PRUNED, "dead")
        elif self._is_stopped(trial):
            self._finish(trial, TrialState.PRUNED)
        elif self.method.is_pausing and num_epochs >= trial.goal:
            trial.state = PAUSED

    def _is_stopped(self, trial: Trial) -> bool:
        if self.method.stop is not None:
            return self.method.stop([one.curve for one in self.trials], trial.curve)
        return self.method.pruner is not None and bool(trial.study_trial.should_prune())

    def _finish(self, trial: Trial, state: TrialState, outcome: str | None = None) -> None:
        is_whole = state == TrialState.COMPLETE
        trial.state, trial.outcome = COMPLETE if is_whole else PRUNED, outcome
        self.study.tell(trial.study_trial, trial.curve[-1] if is_whole else None, state=state)

    def _rank(self) -> list[Trial]:
        done = [trial for trial in self.trials if trial.state == COMPLETE]
        return sorted(done, key=lambda trial: trial.curve[-1])

    @property
    def selected(self) -> Trial:
        """The complete trial of the lowest value, as Optuna selects."""
        return self._rank()[0]

    def _rank_by_model(self) -> list[Trial]:
        """Rank the complete trials by what a model of all trials expects where they are."""
        begun = [trial for trial in self.trials if trial.curve]
        u_ND = np.array([trial.u_D for trial in begun])
        logs = [[math.log(value) for value in trial.curve] for trial in begun]
        ends = expect_ends(logs, NUM_EPOCHS, math.log(NULL_LOSS))
        level_N = expect_levels(Seen(u_ND, ends.value_N, ends.doubt_N, np.full(len(begun), "")))
        ranked = sorted(zip(level_N, begun, strict=True), key=itemgetter(0))
        return [trial for _level, trial in ranked if trial.state == COMPLETE]

    def confirm(
        self, ranked: Sequence[Trial], top: int = NUM_CONFIRMED, seeds: int = NUM_FRESH
    ) -> tuple[float, int]:
        """Train the best and the recommended point, if it was tried, again, round after round.

        Returns:
            The true mean of the winner, and how many trainings that took.
        """
        recommended_D = self.land.recommended_D
        best = [trial.u_D for trial in ranked[:top]]
        if self.points:
            others = [u_D for u_D in best if not np.allclose(u_D, recommended_D)]
            best = [recommended_D, *others]
        recommended = 0 if self.points else None
        value_CS = np.full((len(best), seeds), np.nan)
        for number in range(seeds):
            few = number < FIRST_SEEDS
            estimate = estimate_levels(value_CS)
            for index in range(len(best)) if few else keep_open(estimate, recommended):
                weights = self.seed, 1, number
                value_CS[index, number] = self.land.draw_curve(best[index], weights)[-1]
        winner = choose_winner(estimate_levels(value_CS), recommended)
        true = float(self.land.get_true(best[winner or 0][None])[0])
        return true, int(np.isfinite(value_CS).sum())

    def _confirm_within(self, share: float) -> tuple[float, int]:
        """Confirm as `sweep run` does unasked; the lowest loss is selected where it does not."""
        spent = round(self.spent * share / SHARE)  # its `SHARE` of these is the share asked for
        size = choose_size(spent, NUM_EPOCHS, has_recommended=bool(self.points))
        if size is None:
            return self.selected.true, 0
        foremost = self._rank()[:1]
        others = [trial for trial in self._rank_by_model() if trial not in foremost]
        return self.confirm([*foremost, *others], *size)

    def rate(self) -> Result:
        """Say what the sweep came to; some trial must be complete."""
        rate, by_model = self.land.rate, self._rank_by_model()
        selected, num_trainings = self.selected.true, 0
        if self.method.confirmed_share is not None:
            selected, num_trainings = self._confirm_within(self.method.confirmed_share)
        ended = [trial for trial in self.trials if trial.state == PRUNED and not trial.outcome]
        bar = self.selected.curve[-1]
        dead = sum(len(trial.curve) for trial in self.trials if min(trial.curve, default=0) >= DEAD)
        return Result(
            rate(selected),
            rate(by_model[0].true),
            rate(min(trial.true for trial in by_model)),
            rate(min(trial.true for trial in self.trials if trial.curve)),
            rate(self.confirm(self._rank())[0]),
            rate(self.confirm(by_model)[0]),
            [(spent, round(rate(true), 4)) for spent, true in self.trace],
            self.spent + num_trainings * NUM_EPOCHS,
            dead / max(1, self.spent),
            len(ended),
            sum(trial.whole[-1] < bar for trial in ended),
            sum(bool(trial.curve) for trial in self.trials),
        )
