"""Replays searches on the recorded curves, in virtual time, through the product's own classes.

    python benchmarks/search/simulate.py --seeds 200 --workers 2

Samplers are built by `sweep.search.strategy`, suggestions made by `sweep.search.suggestion`,
promotions chosen by `sweep.search.promotion`, all on an Optuna study in memory; only the training
is looked up (`landscape.py`). An epoch takes one unit of time on each worker.

Regret: of the selected configuration's mean, 0 the best recorded one, 1 the recommended point.
Loss: by how much that mean is above the recommended point's, in the mean over the sweeps.
"""

from __future__ import annotations

import argparse
import heapq
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from landscape import DEAD, NULL_LOSS, Landscape, open_landscape
from numpy.typing import NDArray
from optuna.trial import TrialState
from record import NUM_EPOCHS, SPACES, list_good_points

from sweep.config import PrunerConfig, SearchConfig
from sweep.models.value import Value
from sweep.search.draw import Outlook
from sweep.search.flatness import NUM_AGREEING, explain_flatness
from sweep.search.mixed import MixedSampler
from sweep.search.promotion import choose_next_trial, list_rungs
from sweep.search.strategy import build_sampler, choose_sampler
from sweep.search.suggestion import fix_point, suggest
from sweep.search.winner_choice import choose_winner, estimate_levels
from sweep.storage.standings import Standing
from sweep.storage.studies import begin_trial
from sweep.storage.sweeps import COMPLETE, PAUSED, RUNNING, WAITING

warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)
GRACE = 2
NO_WORSE = 1.0001
"""Regret up to which a choice is no worse than the recommended point."""


@dataclass
class Trial:
    """One trial in thought."""

    slot: int
    state: str = WAITING
    trained: int = 0
    goal: int = NUM_EPOCHS
    curve: list[float] = field(default_factory=list)
    u_D: NDArray[np.float64] | None = None
    true: float = math.nan
    study_trial: Any = None
    outcome: str | None = None


@dataclass(frozen=True)
class Method:
    """A way to search.

    Attributes:
        sampler: Of the product by name, or Optuna's own.
        stop: Says of the trials and one of them whether it ends after its last epoch; None where it
            pauses at rungs instead.
        eta: Reduction factor of the rungs.
        grace: First epoch at which trials pause.
        is_plain: Whether the best of those that came to the first rung go to the end at once.
        stops_when_flat: Whether no trial begins any more where it is not expected to pay.
    """

    sampler: str | Callable[[int], optuna.samplers.BaseSampler]
    pruner: Callable[[], optuna.pruners.BasePruner] | None = None
    stop: Callable[[Sequence[Trial], Trial], bool] | None = None
    eta: int = 2
    grace: int = GRACE
    num_epochs: int = NUM_EPOCHS
    is_plain: bool = False
    stops_when_flat: bool = False

    def num_trials(self, max_epochs: int) -> int:
        """Count the trials that spend so many epochs; without an end where trials follow."""
        if not self.is_plain:
            return int(max_epochs)
        return round(max_epochs / (self.grace + (NUM_EPOCHS - self.grace) / self.eta))


def stop_as_ray(trials: Sequence[Trial], trial: Trial, eta: int = 3, grace: int = 2) -> bool:
    """Stop as Ray Tune's asynchronous halving does: below the best share at its rung so far."""
    rung = grace
    while rung < trial.trained:
        rung *= eta
    if rung != trial.trained or rung >= NUM_EPOCHS:
        return False
    values = [other.curve[rung - 1] for other in trials if other.trained >= rung]
    return trial.curve[rung - 1] > float(np.quantile(values, 1 / eta))


METHODS: dict[str, Method] = {
    "random": Method("random", optuna.pruners.NopPruner),
    "optuna": Method(
        lambda seed: optuna.samplers.TPESampler(seed=seed), optuna.pruners.MedianPruner
    ),
    "tpe+halving": Method(
        lambda seed: optuna.samplers.TPESampler(seed=seed), optuna.pruners.SuccessiveHalvingPruner
    ),
    "hyperband": Method(
        lambda seed: optuna.samplers.TPESampler(seed=seed), optuna.pruners.HyperbandPruner
    ),
    "ray asha": Method("random", stop=stop_as_ray),
    "i-epochs": Method("random", eta=12, is_plain=True),
    "today": Method("tpe", optuna.pruners.MedianPruner),
    "tpe+rungs": Method("tpe"),
    "random+rungs": Method("random"),
    "ours": Method("mixed"),
    "ours eta 4": Method("mixed", eta=4),
    "ours, flat": Method("mixed", stops_when_flat=True),
}


class Sweep:
    """One sweep in thought."""

    def __init__(
        self, method: Method, land: Landscape, points: Sequence[dict[str, Value]], seed: int
    ) -> None:
        self.method, self.land, self.points, self.seed = method, land, points, seed
        pruner = method.pruner() if method.pruner else optuna.pruners.NopPruner()
        self.study = optuna.create_study(pruner=pruner)
        if not isinstance(method.sampler, str):
            self.study.sampler = method.sampler(seed)
        self.trials: list[Trial] = []
        self.rungs = (
            (method.grace, NUM_EPOCHS)
            if method.is_plain
            else list_rungs(NUM_EPOCHS, method.grace, method.eta)
        )
        self.spent = 0
        self.trace: list[tuple[int, float]] = []

    def run(self, num_trials: int, max_epochs: float, num_workers: int) -> None:
        """Search until the trials or the epochs are spent."""
        self.trials = [Trial(slot) for slot in range(num_trials)]
        rng = np.random.default_rng(self.seed)
        queue: list[tuple[float, int, Trial | None]] = [(0.0, w, None) for w in range(num_workers)]
        idle: list[tuple[float, int]] = []
        while queue:
            now, worker, trial = heapq.heappop(queue)
            if trial is not None:
                self._end_epoch(trial)
            if trial is None or trial.state != RUNNING:
                trial = self._claim() if self.spent < max_epochs else None
            if trial is None:
                idle.append((now, worker))
                continue
            self.spent += 1
            heapq.heappush(queue, (now + rng.uniform(0.95, 1.05), worker, trial))
            for _since, other in idle:
                heapq.heappush(queue, (now + 1e-6, other, None))
            idle = []

    def _claim(self) -> Trial | None:
        if not self.is_pausing:
            waiting = [trial for trial in self.trials if trial.state == WAITING]
            return self._begin(waiting[0]) if waiting else None
        self._end_if_flat()
        while True:
            standings = [
                Standing(
                    t.slot,
                    t.state,
                    t.outcome,
                    tuple(t.curve[r - 1] for r in self.rungs if r <= t.trained),
                )
                for t in self.trials
            ]
            next_trial = choose_next_trial(standings, self.rungs, self.method.eta)
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

    def _end_if_flat(self) -> None:
        """Take out the trials that have not begun where the next one does not pay."""
        begun = [trial for trial in self.trials if trial.state != WAITING]
        if not self.method.stops_when_flat or len(begun) in (self.judged, len(self.trials)):
            return
        self.judged = len(begun)
        sampler = self._build_sampler(len(begun))
        assert isinstance(sampler, MixedSampler)
        prospects = sampler.ask_prospects(self.study, NUM_AGREEING)
        if explain_flatness(prospects, len(begun)) is not None:
            self.trials = begun

    @property
    def is_pausing(self) -> bool:
        return self.method.pruner is None and self.method.stop is None

    def _begin(self, trial: Trial) -> Trial:
        space = SPACES[self.name]
        if isinstance(self.method.sampler, str):
            self.study.sampler = self._build_sampler(trial.slot)
        point = self.points[trial.slot] if trial.slot < len(self.points) else {}
        study_trial = begin_trial(self.study, trial.slot, fix_point(point, space), is_first=True)
        params = suggest(study_trial, space, point)
        trial.study_trial, trial.state = study_trial, RUNNING
        trial.u_D = self.land.get_unit(params)
        trial.true = float(self.land.get_true(trial.u_D[None])[0])
        trial.whole = self.land.draw_curve(trial.u_D, self.seed)  # type: ignore[attr-defined]
        return trial

    def _build_sampler(self, slot: int) -> optuna.samplers.BaseSampler:
        outlook = Outlook(NUM_EPOCHS, True, NULL_LOSS, 0 if self.points else None)
        config = SearchConfig(
            sampler=choose_sampler(str(self.method.sampler)),
            pruner=PrunerConfig(name="none"),
            seed=self.seed,
        )
        return build_sampler(config, SPACES[self.name], slot, outlook)

    name = ""
    judged = 0

    def _end_epoch(self, trial: Trial) -> None:
        value = trial.whole[trial.trained]  # type: ignore[attr-defined]
        trial.trained += 1
        trial.curve.append(value)
        trial.study_trial.report(value, trial.trained)
        if trial.trained >= NUM_EPOCHS:
            self._finish(trial, TrialState.COMPLETE)
            self.trace.append((self.spent, self.select().true))
        elif trial.trained >= GRACE and all(v >= DEAD for v in trial.curve):
            self._finish(trial, TrialState.PRUNED, "dead")
        elif self.method.stop is not None:
            if self.method.stop([t for t in self.trials if t.curve], trial):
                self._finish(trial, TrialState.PRUNED)
        elif self.method.pruner is not None:
            if trial.study_trial.should_prune():
                self._finish(trial, TrialState.PRUNED)
        elif trial.trained >= trial.goal:
            trial.state = PAUSED

    def _finish(self, trial: Trial, state: TrialState, outcome: str | None = None) -> None:
        trial.state = COMPLETE if state == TrialState.COMPLETE else "pruned"
        trial.outcome = outcome
        self.study.tell(
            trial.study_trial,
            trial.curve[-1] if state == TrialState.COMPLETE else None,
            state=state,
        )

    def select(self) -> Trial:
        """Select as Optuna does: the lowest value of a complete trial."""
        done = [t for t in self.trials if t.state == COMPLETE]
        return min(done, key=lambda t: t.curve[-1])

    def list_top(self, number: int) -> list[Trial]:
        done = sorted((t for t in self.trials if t.state == COMPLETE), key=lambda t: t.curve[-1])
        return done[:number]

    def confirm(self, number: int, seeds: int) -> float:
        """Train the best and the recommended point again and give the true mean of the winner."""
        candidates = self.list_top(number)
        recommended = self.land.get_unit({**list_good_points(self.name)[0]})
        places = [recommended] + [t.u_D for t in candidates if not np.allclose(t.u_D, recommended)]
        fresh = [10_000 + 100 * self.seed + seed for seed in range(seeds)]
        value_CS = np.array(
            [[self.land.draw_curve(u_D, seed)[-1] for seed in fresh] for u_D in places]
        )
        winner = choose_winner(estimate_levels(value_CS), 0)
        return float(self.land.get_true(places[winner or 0][None])[0])


@dataclass(frozen=True)
class Result:
    """What one sweep came to."""

    regret: float
    confirmed: float
    epochs: int
    epochs_to_mark: float
    dead_share: float
    is_no_worse: bool
    is_confirmed_no_worse: bool
    trials: int
    excess: float
    confirmed_excess: float


def replay(
    method: Method,
    architecture: str,
    land: Landscape,
    seed: int,
    options: argparse.Namespace,
    best: float,
) -> Result:
    points = list_good_points(architecture)[:1] if options.points else []
    sweep = Sweep(method, land, points, seed)
    sweep.name = architecture
    num_trials = method.num_trials(options.epochs) if options.epochs else options.trials
    sweep.run(num_trials, options.epochs or math.inf, options.workers)
    recommended = float(land.get_true(land.get_unit(list_good_points(architecture)[0])[None])[0])

    def regret(true: float) -> float:
        return (true - best) / (recommended - best)

    chosen = regret(sweep.select().true) if any(t.state == COMPLETE for t in sweep.trials) else 9.0
    confirmed = regret(sweep.confirm(4, 3)) if chosen < 9 else 1.0
    mark = next((spent for spent, true in sweep.trace if regret(true) <= 0.1), math.inf)
    dead = sum(t.trained for t in sweep.trials if t.curve and min(t.curve) >= DEAD)
    return Result(
        chosen,
        confirmed,
        sweep.spent,
        mark,
        dead / max(1, sweep.spent),
        chosen <= NO_WORSE,
        confirmed <= NO_WORSE,
        len(sweep.trials),
        chosen * (recommended - best) / recommended,
        confirmed * (recommended - best) / recommended,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architectures", nargs="*", default=list(SPACES))
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--epochs", type=int, help="equal for all, instead of trials")
    parser.add_argument("--no-points", dest="points", action="store_false")
    options = parser.parse_args()
    columns = "regret", "90 %", "confirmed", "to 10 %", "epochs", "dead", "no worse", "confirmed"
    columns += "trials", "loss", "confirmed"
    print(f"{'architecture':13}{'method':14}" + "".join(f"{name:>11}" for name in columns))
    for architecture in options.architectures:
        land = open_landscape(architecture)
        best = float(land.get_true(land.u_ND).min())
        for name in options.methods:
            results = [
                replay(METHODS[name], architecture, land, seed, options, best)
                for seed in range(options.seeds)
            ]
            regrets = [result.regret for result in results]
            cells = (
                f"{np.median(regrets):.2f}",
                f"{np.quantile(regrets, 0.9):.2f}",
                f"{np.median([r.confirmed for r in results]):.2f}",
                f"{np.median([r.epochs_to_mark for r in results]):.0f}",
                f"{np.mean([r.epochs for r in results]):.0f}",
                f"{100 * np.mean([r.dead_share for r in results]):.0f}%",
                f"{100 * np.mean([r.is_no_worse for r in results]):.0f}%",
                f"{100 * np.mean([r.is_confirmed_no_worse for r in results]):.0f}%",
                f"{np.mean([r.trials for r in results]):.0f}",
                f"{100 * np.mean([r.excess for r in results]):+.2f}%",
                f"{100 * np.mean([r.confirmed_excess for r in results]):+.2f}%",
            )
            line = f"{architecture:13}{name:14}" + "".join(f"{cell:>11}" for cell in cells)
            print(line, flush=True)


if __name__ == "__main__":
    main()
