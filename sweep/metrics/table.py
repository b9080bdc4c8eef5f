"""The table of metrics: what each is called, how it is measured, and which way is better.

Whoever stores, ranks, prints, draws or compares metrics goes through `METRICS`; a metric that is
added here appears everywhere (docs/adding-a-metric.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from sweep.metrics.intervals import compute_efficiency_interval, compute_rate_interval
from sweep.metrics.score import LOSS, MatchCounts, Score

UM_PER_MM = 1000.0
Interval = tuple[float, float]
Direction = Literal["minimize", "maximize"]
Axis = Literal["log", "share", "rate", "width", "signed"]


@dataclass(frozen=True)
class Ratio:
    """A metric as the database can rank by it: one sum of raw values over another.

    Attributes:
        numerator, denominator: Names of raw values of a score. Without a denominator it is 1; where
            it is 0, so is the ratio.
        needed: Names of raw values without which it is not known.
    """

    numerator: tuple[str, ...]
    denominator: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()

    def __call__(self, score: Score) -> float | None:
        """Compute the ratio; None where a value is missing."""
        above, below = (
            [score.read(name) for name in names] for names in (self.numerator, self.denominator)
        )
        if any(score.read(name) is None for name in self.needed):
            return None
        known = [value for value in (*above, *below) if value is not None]
        if len(known) < len(above) + len(below):
            return None
        top, bottom = sum(known[: len(above)]), sum(known[len(above) :])
        if not below:
            return top
        return top / bottom if bottom else 0.0


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number that says what a network is worth.

    Attributes:
        key: As it is stored and written in JSON.
        label: In sentences and above the columns of pages.
        head: Above the columns of the command line, where room is dear.
        title: Beside an axis.
        phrase, sentence: With its value for `{}`, in a line and in prose.
        direction: What is better; None where neither more nor less is.
        form: How its value is formatted where it is glanced at.
        fine: The same where it is looked up.
        axis: How it is drawn: `log` with the null loss, `share` from 0 to 1, `rate` from 0 to what
            the networks worth comparing have, `width` from 0, `signed` around 0.
        formula: Computes it of a score; None where there is nothing to compute it of. A metric that
            may be an objective is a `Ratio`.
        find_interval: Finds its 68 % interval from the finite number of events, where it has a
            value; None for a metric whose spread over events is not kept.
        is_objective: Whether a sweep may search by it.
        is_main: Whether the companion study has it as one of its objectives, and every line its
            value; the others are attributes there, and left out of a line that is too short.
        is_at_fp: Whether it is measured at a fixed rate of false positives, by settings of the peak
            finder that are chosen in each evaluation.
        more: What it means to have more of it.
        describe: Tells what it is made of.
    """

    key: str
    label: str
    head: str
    title: str
    phrase: str
    sentence: str
    direction: Direction | None
    form: str
    fine: str
    axis: Axis
    formula: Callable[[Score], float | None]
    more: str
    describe: Callable[[MatchCounts], str]
    find_interval: Callable[[Score], Interval | None] | None = None
    is_objective: bool = False
    is_main: bool = False
    is_at_fp: bool = False

    def compute(self, score: Score) -> float | None:
        """Compute its value; None where there is nothing to compute it of."""
        return self.formula(score)

    def measure(self, score: Score) -> float:
        """Compute its value; NaN where there is nothing to compute it of."""
        value = self.formula(score)
        return math.nan if value is None else value

    def compute_interval(self, score: Score) -> Interval | None:
        """Compute its 68 % interval; None without a value, or where the metric has none."""
        if self.find_interval is None or self.formula(score) is None:
            return None
        return self.find_interval(score)

    @property
    def short_fixed(self) -> str:
        """Its `form` with as many decimals whatever the value, for ranges."""
        return self.form.replace("g", "f")

    @property
    def fine_fixed(self) -> str:
        """Its `fine` with as many decimals whatever the value, for differences."""
        return self.fine.replace("g", "f")

    @property
    def columns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Numerator and denominator, for a database that ranks by it.

        Raises:
            TypeError: when it is no ratio, and so no objective.
        """
        if not isinstance(self.formula, Ratio):
            raise TypeError(f"{self.key}: no ratio of raw values, so it can be no objective")
        return self.formula.numerator, self.formula.denominator

    @property
    def goal(self) -> Direction:
        """What a search by it seeks."""
        return "maximize" if self.direction == "maximize" else "minimize"

    @property
    def aim(self) -> str:
        """The same for people: `lowest validation loss`."""
        return f"{'lowest' if self.goal == 'minimize' else 'highest'} {self.label}"

    @property
    def sign(self) -> int:
        """Factor that makes its lowest value the best one."""
        return -1 if self.goal == "maximize" else 1

    def is_better(self, value: float, other: float) -> bool:
        """Say whether a value is strictly better than another; False where neither way is."""
        return self.direction is not None and self.sign * value < self.sign * other


VALIDATION_LOSS = Metric(
    key=LOSS,
    label="validation loss",
    head="loss",
    title="validation loss",
    phrase="loss {}",
    sentence="validation loss {}",
    direction="minimize",
    form=".4g",
    fine=".5g",
    axis="log",
    formula=Ratio((LOSS,)),
    is_objective=True,
    is_main=True,
    more="has the higher loss",
    describe=lambda counts: f"{counts.events} events",
)
EFFICIENCY = Metric(
    key="efficiency",
    label="efficiency",
    head="efficiency",
    title="efficiency",
    phrase="efficiency {}",
    sentence="efficiency {}",
    direction="maximize",
    form=".3f",
    fine=".4f",
    axis="share",
    formula=Ratio(("found",), ("found", "missed")),
    find_interval=lambda score: compute_efficiency_interval(
        score.counts.found, score.counts.true_peaks
    ),
    is_objective=True,
    is_main=True,
    more="finds more of the true peaks",
    describe=lambda counts: f"{counts.found} of {counts.true_peaks} true peaks",
)
FP_RATE = Metric(
    key="fp_rate",
    label="FP / event",
    head="FP / event",
    title="false positives per event",
    phrase="{} FP / event",
    sentence="{} false positives per event",
    direction="minimize",
    form=".3f",
    fine=".4f",
    axis="rate",
    formula=Ratio(("false_positives",), ("events",)),
    find_interval=lambda score: compute_rate_interval(
        score.counts.false_positives, score.counts.events
    ),
    # no objective: a network that predicts nothing would be the best
    is_main=True,
    more="has more false positives",
    describe=lambda counts: f"{counts.false_positives} false positives",
)


def _compute_residual_mean(score: Score) -> float | None:
    counts = score.counts
    return counts.residual_um / counts.pairs / UM_PER_MM if counts.pairs else None


def _compute_residual_width(score: Score) -> float | None:
    """Compute the standard deviation of the residuals; they end at the matching's distance."""
    counts, n = score.counts, score.counts.pairs
    if n < 2:
        return None
    variance_um2 = (n * counts.residual_um2 - counts.residual_um**2) / (n * (n - 1))
    return math.sqrt(max(0.0, variance_um2)) / UM_PER_MM


def _find_mean_interval(score: Score) -> Interval | None:
    mean, width = _compute_residual_mean(score), _compute_residual_width(score)
    if mean is None or width is None:
        return None
    half = width / math.sqrt(score.counts.pairs)
    return mean - half, mean + half


def _find_width_interval(score: Score) -> Interval | None:
    """Find the standard error of a standard deviation (Cramer, Mathematical Methods, 1946, 27.4).

    It takes the fourth moment from the residuals: their tails make it larger than the
    width / sqrt(2 (n - 1)) of a Gaussian, which it is equal to for one.
    """
    counts, n = score.counts, score.counts.pairs
    width = _compute_residual_width(score)
    if not width:
        return None if width is None else (0.0, 0.0)
    mean_um, variance_um2 = counts.residual_um / n, (width * UM_PER_MM) ** 2
    fourth_um4 = (
        counts.residual_um4
        - 4 * mean_um * counts.residual_um3
        + 6 * mean_um**2 * counts.residual_um2
        - 3 * n * mean_um**4
    ) / n
    spread_um4 = max(0.0, fourth_um4 - (n - 3) / (n - 1) * variance_um2**2)
    half = math.sqrt(spread_um4 / n) / (2 * width * UM_PER_MM) / UM_PER_MM
    return max(0.0, width - half), width + half


RESIDUAL_WIDTH = Metric(
    key="residual_width_mm",
    label="residual width (mm)",
    head="dz width (mm)",
    title="width of the position residual (mm)",
    phrase="dz width {} mm",
    sentence="position residuals {} mm wide",
    direction="minimize",
    form=".4f",
    fine=".4f",
    axis="width",
    formula=_compute_residual_width,
    find_interval=_find_width_interval,
    # no objective: a network that finds the clearest peaks only would be the best
    more="has the wider position residuals",
    describe=lambda counts: f"{counts.pairs} matched peaks",
)
RESIDUAL_MEAN = Metric(
    key="residual_mean_mm",
    label="residual mean (mm)",
    head="dz mean (mm)",
    title="mean position residual (mm)",
    phrase="dz mean {} mm",
    sentence="position residuals of mean {} mm",
    direction=None,
    form=".4f",
    fine=".4f",
    axis="signed",
    formula=_compute_residual_mean,
    find_interval=_find_mean_interval,
    more="places the peaks it finds at higher z",
    describe=lambda counts: f"{counts.pairs} matched peaks",
)

EFFICIENCY_AT_FP = Metric(
    key="efficiency_at_fp",
    label="efficiency at fixed FP rate",
    head="eff at FP",
    title="efficiency at the fixed rate of false positives",
    phrase="efficiency at fixed FP rate {}",
    sentence="efficiency {} at the fixed rate of false positives",
    direction="maximize",
    form=".3f",
    fine=".4f",
    axis="share",
    formula=Ratio(("found",), ("found", "missed"), needed=("threshold",)),
    find_interval=lambda score: (
        None if score.operating is None else (score.operating.low, score.operating.high)
    ),
    is_objective=True,
    more="finds more of the true peaks at that rate",
    describe=lambda counts: (
        f"{counts.found} of {counts.true_peaks} true peaks, {counts.false_positives} false"
    ),
    is_at_fp=True,
)

METRICS: tuple[Metric, ...] = (
    VALIDATION_LOSS,
    EFFICIENCY,
    FP_RATE,
    RESIDUAL_WIDTH,
    RESIDUAL_MEAN,
    EFFICIENCY_AT_FP,
)
"""In the order in which they are shown."""

FRONT = "front"
"""Objective under which a trial stays while none beats it in loss, efficiency and FP rate together.
What is the best, what the sampler seeks and what is confirmed are then those of the loss."""
OBJECTIVES: Mapping[str, Metric] = {
    **{m.key: m for m in METRICS if m.is_objective},
    FRONT: VALIDATION_LOSS,
}
"""What a sweep may search by, the first being the default."""
DEFAULT_OBJECTIVE = next(iter(OBJECTIVES))


def is_by_loss(objective: str) -> bool:
    """Say whether an objective's best is the one of the lowest loss."""
    return OBJECTIVES[objective] is VALIDATION_LOSS


MIRRORED: Mapping[str, Metric] = {m.label: m for m in METRICS if m.is_main}
"""The objectives of the companion study, by their names there."""
