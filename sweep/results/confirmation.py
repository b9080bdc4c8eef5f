"""What a confirmation shows: its candidates, who wins, and what the search had promised.

The values are those of the objective on the validation events, of fresh trainings only. What is
quoted of the winner are the numbers of the third part, which is opened once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from sweep.config import MODEL, ConfirmationConfig
from sweep.metrics.score import Score, make_score
from sweep.metrics.table import OBJECTIVES, Metric, is_by_loss
from sweep.metrics.wording import write_count
from sweep.metrics.writing import list_phrases
from sweep.plan.confirmation_plan import name_audit, name_confirmation, write_command
from sweep.results.best import find_best_trial, get_epoch
from sweep.results.candidates import name_candidate
from sweep.results.status import Status, read_status
from sweep.search.judgement import get_value, rank_trials
from sweep.storage.epochs import TrialRow
from sweep.storage.sweeps import Sweep, count_trials, find_stored, list_sweeps

if TYPE_CHECKING:  # what computes is loaded where a confirmation is there
    import numpy as np
    from numpy.typing import NDArray

    from sweep.search.winner_choice import Estimate


@dataclass(frozen=True)
class Confirmation:
    """A confirmation as far as it has come.

    Attributes:
        status: Its own, not that of the search.
        design: From its config.
        num_since: How many trials of the search have finished since its best were looked for.
    """

    status: Status
    design: ConfirmationConfig
    num_since: int = 0

    @property
    def metric(self) -> Metric:
        """What candidates are compared by."""
        return OBJECTIVES[self.status.config.search.objective]

    @property
    def recommended(self) -> int | None:
        """Index of the candidate that the others have to beat; None where there is none."""
        known = enumerate(self.design.candidates)
        return next((index for index, one in known if one.is_recommended), None)

    @cached_property
    def names(self) -> list[str]:
        """Names of the candidates; of a search of several architectures with each one's own."""
        has_several = bool(self.status.config.architectures)
        return [
            f"{one.params[MODEL]}, {name_candidate(one)}" if has_several else name_candidate(one)
            for one in self.design.candidates
        ]

    @cached_property
    def value_CS(self) -> NDArray[np.float64]:
        """What each training gave, signed so that lower is better; NaN where there is none."""
        from numpy import full, isfinite, nan, nanmax

        objective, sign = self.status.config.search.objective, self.metric.sign
        value_CS = full((len(self.design.candidates), self.design.seeds), nan)
        dead = []
        for trial in self.status.begun:
            index, seed = self.design.pairs[trial.slot]
            if trial.feasible or (trial.outcome == "dead" and is_by_loss(objective)):
                value_CS[index, seed - 1] = sign * get_value(get_epoch(trial), objective)
            elif trial.outcome == "dead":
                dead.append((index, seed - 1))
        if dead and isfinite(value_CS).any():  # one that finds nothing has no FP, either
            value_CS[tuple(zip(*dead, strict=True))] = nanmax(value_CS)
        return value_CS

    @cached_property
    def estimate(self) -> Estimate:
        """The candidates' levels."""
        from sweep.search.winner_choice import estimate_levels

        return estimate_levels(self.value_CS)

    @property
    def winner(self) -> int | None:
        """Index of the winner; None where nothing was trained to its end."""
        from sweep.search.winner_choice import choose_winner

        return choose_winner(self.estimate, self.recommended)

    @property
    def is_done(self) -> bool:
        """Whether all its trials are finished and no further round follows."""
        is_whole = self.status.sweep.budget == len(self.design.pairs)
        return is_whole and not self.status.counts.unfinished and not self.list_next_pairs()

    @property
    def is_settled(self) -> bool:
        """Whether it names a winner that can be taken home."""
        return self.is_done and self.find_trial() is not None

    @property
    def num_test(self) -> int | None:
        """How many events were set aside; None where none were."""
        return self.status.config.data.num_test

    @property
    def opened(self) -> Score | None:
        """What the third part showed of the winner; None before, and where another one won then."""
        opened = self.design.opened
        if opened is None or self.design.pairs[opened.slot][0] != self.winner:
            return None
        return make_score(opened.score)

    def list_next_pairs(self) -> list[tuple[int, int]]:
        """List the trials of the next round, once all of the last are finished."""
        from sweep.search.winner_choice import keep_open

        num_had = Counter(index for index, _seed in self.design.pairs)
        return [
            (index, num_had[index] + 1)
            for index in keep_open(self.estimate, self.recommended)
            if num_had[index] < self.design.seeds
        ]

    def find_trial(self) -> TrialRow | None:
        """Find the training of the winner whose network is taken home: the median of its seeds.

        Neither the luckiest nor the unluckiest, so that it stands for its configuration; of an even
        number the better one of the two in the middle. None where no training of the winner lives.
        """
        opened = self.design.opened
        mine = [
            trial
            for trial in rank_trials(self.status.begun, self.status.config.search.objective)
            if self.design.pairs[trial.slot][0] == self.winner
        ]
        kept = [trial for trial in mine if opened is not None and trial.slot == opened.slot]
        return next(iter(kept or mine[max(0, len(mine) - 1) // 2 :]), None)

    def describe(self) -> dict[str, Any]:
        """Give what `--json` says of it."""
        winner, metric, level_C = self.winner, self.metric, self.estimate.level_C
        best = self.estimate.list_best_probabilities()
        return {
            "sweep": self.status.sweep.name,
            "search": self.design.sweep,
            "objective": metric.key,
            "is_done": self.is_done,
            "candidates": [
                {
                    "trial": one.trial,
                    "is_recommended": one.is_recommended,
                    "is_winner": index == winner,
                    "claimed": one.claimed,
                    "mean": _finite(metric.sign * level_C[index]),
                    "values": [
                        metric.sign * float(v) for v in self.value_CS[index] if math.isfinite(v)
                    ],
                    "probability_best": best[index],
                    "difference_interval": self._find_interval(index),
                    "params": dict(one.params),
                }
                for index, one in enumerate(self.design.candidates)
            ],
            "optimism": self.measure_optimism(),
            "num_since": self.num_since,
            "test": dict(self.design.opened.score) if self.design.opened and self.opened else None,
            "says": self.list_findings(),
        }

    def list_findings(self) -> list[str]:
        """Say who wins, a line each: the third part first, how sure that is, the optimism."""
        winner = self.winner
        if winner is None or self.find_trial() is None:
            return ["no winner: no training of the confirmation lives"]
        lines = [] if self.is_done else ["not done: what follows is how it stands so far"]
        if self.num_since:
            lines.append(self.say_age())
        return [*lines, self._say_test(winner), self._say_verdict(winner), *self._say_optimism()]

    def say_age(self) -> str:
        """Say that its winner is of before, in one sentence; empty where nothing came later."""
        if not self.num_since:
            return ""
        return (
            f"of before: {write_count(self.num_since, 'trial')} of the search finished later; "
            f"`{write_command(self.design.sweep)}` confirms anew"
        )

    def measure_optimism(self) -> dict[str, float | None] | None:
        """Give what the search claimed of its best, and what was found afterwards.

        Returns:
            Of the objective: `claimed`; `fresh`, the mean over that configuration's fresh
            trainings; `test`, the winner's on the third part. The latter two are None where there
            is none. None where the search claimed nothing.
        """
        metric = self.metric
        claims = [
            (metric.sign * one.claimed, index)
            for index, one in enumerate(self.design.candidates)
            if one.claimed is not None
        ]
        if not claims:
            return None
        signed, index = min(claims)
        return {
            "claimed": metric.sign * signed,
            "fresh": _finite(metric.sign * self.estimate.level_C[index]),
            "test": None if self.opened is None else metric.compute(self.opened),
        }

    def _say_test(self, winner: int) -> str:
        said = f"winner: {self.names[winner]}"
        if self.opened is not None:
            times = self.design.opened.times if self.design.opened else 1
            again = f" (opened for {times} winners so far)" * (times > 1)
            shown = list_phrases(self.opened)
            return f"{said}; on the {self.num_test} events set aside{again}: {shown}"
        if self.num_test is None:
            return f"{said}; no events were set aside when the search began"
        return f"{said}; the {self.num_test} events set aside are not opened yet"

    def _say_verdict(self, winner: int) -> str:
        num_trained = sum(map(math.isfinite, self.value_CS[winner]))
        seeds = write_count(num_trained, "fresh training")
        mean = f"mean {self.metric.label} {self._write(self.estimate.level_C[winner])} over {seeds}"
        if winner == self.recommended:
            others = len(self.design.candidates) > 1
            return mean + ": no other beats it beyond what the seeds show" * others
        if self.recommended is None:
            best = self.estimate.list_best_probabilities()[winner]
            return mean + ("" if best is None else f"; the best with a probability of {best:.3f}")
        sure = self.estimate.get_probability(winner, self.recommended)
        if sure is None:
            return f"{mean}; no training of the recommended point gave a value"
        return f"{mean}; better than the recommended point with a probability of {sure:.3f}"

    def _say_optimism(self) -> list[str]:
        """Say by how much the search's best was flattered."""
        found = self.measure_optimism()
        if found is None or found["claimed"] is None:
            return []
        metric, claimed = self.metric, found["claimed"]
        told = [
            f"{what} {value:{metric.fine}}{self._compare(value, claimed)}"
            for value, what in (
                (found["test"], "the winner shows on the events set aside"),
                (found["fresh"], "fresh trainings of that best gave, in the mean,"),
            )
            if value is not None
        ]
        said = f"the search claimed {metric.label} {claimed:{metric.fine}} of its best"
        return ["optimism: " + "; ".join([said, *told])]

    def _find_interval(self, index: int) -> tuple[float, float] | None:
        if self.recommended is None:
            return None
        return self.estimate.find_interval(index, self.recommended)

    def _compare(self, value: float, claimed: float) -> str:
        if not claimed:
            return ""
        worse = self.metric.sign * (value - claimed) / abs(claimed)
        return f" ({abs(worse):.1%} {'worse' if worse > 0 else 'better'})"

    def _write(self, level: float) -> str:
        return f"{self.metric.sign * level:{self.metric.fine}}"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def find_confirmation_of_search(engine: sa.Engine, search: str) -> Confirmation | None:
    """Find the confirmation of a search; None where there is none."""
    stored = find_stored(engine, name_confirmation(search))
    found = read_confirmation(engine, read_status(engine, stored)) if stored else None
    return found if found is not None and found.design.sweep == search else None


def read_confirmation(engine: sa.Engine, status: Status) -> Confirmation | None:
    """Read what a confirmation has shown so far; None of any other sweep."""
    design = status.config.confirmation
    if design is None or design.is_audit:
        return None
    search = find_stored(engine, design.sweep)
    finished = design.finished if search is None else count_trials(engine, search.id).finished
    return Confirmation(status, design, max(0, finished - design.finished))


def find_winner_or_best(engine: sa.Engine, status: Status) -> tuple[Status, TrialRow]:
    """Choose a sweep's best trial: the winner of its confirmation, else the best of the search.

    Returns:
        The sweep that the trial is of, and the trial.

    Raises:
        SweepError: when no trial is complete and feasible yet.
    """
    found = find_confirmation(engine, status)
    winner = found.find_trial() if found is not None and found.is_settled else None
    if found is None or winner is None:
        return status, find_best_trial(status)
    return found.status, winner


def say_winner_age(engine: sa.Engine, status: Status) -> str:
    """Say where the winner that a sweep gives is of before; empty where it is of now."""
    found = find_confirmation(engine, status)
    if found is None or not found.is_settled or not found.num_since:
        return ""
    return f"{found.status.sweep.name}: {found.say_age()}"


def add_confirmations(engine: sa.Engine, chosen: Sequence[Sweep]) -> list[Sweep]:
    """Give sweeps and, after each, its confirmation and audit where they are, each once."""
    every = {sweep.name: sweep for sweep in list_sweeps(engine)}
    added: dict[str, Sweep] = {}
    for sweep in chosen:
        added[sweep.name] = sweep
        for name in (name_confirmation(sweep.name), name_audit(sweep.name)):
            other = every.get(name)
            design = other.config.get("confirmation") if other is not None else None
            if other is not None and (design or {}).get("sweep") == sweep.name:
                added[name] = other
    return list(added.values())


def find_confirmation(engine: sa.Engine, status: Status) -> Confirmation | None:
    """Find the confirmation that tells of a sweep: that of a search, or the sweep itself."""
    if status.config.kind == "search":
        return find_confirmation_of_search(engine, status.sweep.name)
    return read_confirmation(engine, status)
