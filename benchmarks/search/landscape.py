"""What a configuration would have given: the recorded curves, carried to every place between them.

A Gaussian process for each epoch, fitted to the mean curves of the recorded configurations, gives
a place's curve; what the seeds of a recorded configuration nearby differed by is its noise, so that
late escapes and noisy corners stay where they are. Trainings that begin with the same weights and
order of events have the same luck where they are near each other, which the recording shows: what
two seeds differ by is foretold by their neighbours. `python landscape.py` shows how well that, and
a configuration that was left out, are foretold.

What is fitted is the logarithm of how far a loss is above a floor a little below the best one. Of
losses themselves a few that learn late make a landscape that falls far below all that was recorded
where nothing was, and a search is rewarded for going there; and what two seeds differ by where one
learned late would be luck that no training has where all learn.

Shapes: N configuration, S seed, E epoch, M place, K neighbour, D dimension, F frequency.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import FOLDER, NUM_EPOCHS, SPACES, list_good_points, read_curves, to_unit, write_key

from sweep.models.space import Dimension, Fixed
from sweep.models.value import Value
from sweep.search.surrogate import Surrogate, find_floor, fit_surrogate

NULL_LOSS = 0.0953
"""Of the recording's validation events."""
DEAD = 0.98 * NULL_LOSS
NUM_NEAR = 8
"""Recorded configurations whose noise a place may have."""
NUM_FOLDS = 10
NUM_FREQUENCIES = 100

Weights = tuple[int, ...]
"""Names the weights and the order of events that a training begins with."""


@dataclass(frozen=True)
class Heights:
    """Logarithms of losses after one epoch, as the logarithm of how far they are above a floor.

    Attributes:
        floor: A little below the best of all trainings.
        model: Of the mean of each place's trainings.
        noise_N: By how much one training differs from that, where a place had two.
    """

    floor: float
    model: Surrogate
    noise_N: NDArray[np.float64]

    def read(self, height: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the losses at heights, at most the null loss."""
        return np.exp(np.minimum(self.floor + np.exp(height), math.log(NULL_LOSS)))


def fit_heights(u_ND: NDArray[np.float64], log_NS: Sequence[NDArray[np.float64]]) -> Heights:
    """Fit them to the logarithms of the losses that the trainings at each place had."""
    floor = find_floor(np.concatenate(log_NS))
    height_NS = [np.log(log_S - floor) for log_S in log_NS]
    mean_N = np.array([height_S.mean() for height_S in height_NS])
    noise_N = np.array([(h[0] - h[1]) / math.sqrt(2) for h in height_NS if len(h) > 1])
    return Heights(floor, fit_surrogate(u_ND, mean_N, np.zeros(len(u_ND))), noise_N)


@dataclass(frozen=True)
class Luck:
    """How alike trainings' luck is that begin with the same weights, by how near they are.

    Attributes:
        share: Of its variance that neighbours have in common.
        lengths_D: How far that reaches, as of a Matern 5/2 kernel.
    """

    share: float
    lengths_D: NDArray[np.float64]

    def draw(self, u_D: NDArray[np.float64], weights: Weights) -> float:
        """Draw a training's luck, from 0 to 1 and each as likely.

        The common part is a sum of waves with the kernel's frequencies (Rahimi and Recht 2007).
        """
        rng = np.random.default_rng(weights)
        scale_F = np.sqrt(5.0 / rng.chisquare(5.0, NUM_FREQUENCIES))
        wave_FD = rng.standard_normal((NUM_FREQUENCIES, len(u_D))) * scale_F[:, None]
        phase_F = rng.uniform(0.0, 2.0 * math.pi, NUM_FREQUENCIES)
        common = (
            math.sqrt(2.0 / NUM_FREQUENCIES)
            * np.cos(wave_FD @ (u_D / self.lengths_D) + phase_F)
            @ rng.standard_normal(NUM_FREQUENCIES)
        )
        own = np.random.default_rng([*weights, *(int(1e6 * c) for c in np.clip(u_D, 0, 1))])
        both = math.sqrt(self.share) * common + math.sqrt(1 - self.share) * own.standard_normal()
        return NormalDist().cdf(float(both))


@dataclass(frozen=True)
class Landscape:
    """The recorded curves of one architecture under one recipe.

    Attributes:
        architecture: Its name.
        whole_space: All dimensions, by name.
        space: The searched ones.
        u_ND: Places of the configurations that were trained twice, in the unit cube.
        log_NE: Logarithm of their validation loss after each epoch, mean over the seeds.
        epochs: What a place comes to after each epoch.
    """

    architecture: str
    whole_space: dict[str, Dimension]
    space: dict[str, Dimension]
    u_ND: NDArray[np.float64]
    log_NE: NDArray[np.float64]
    epochs: tuple[Heights, ...]

    @cached_property
    def recommended_D(self) -> NDArray[np.float64]:
        """Place of the recommended point."""
        return self.get_unit(list_good_points(self.architecture)[0])

    @cached_property
    def recommended(self) -> float:
        """Mean loss at the end of the recommended point."""
        return float(self.get_true(self.recommended_D[None])[0])

    @cached_property
    def best(self) -> float:
        """Mean loss at the end of the best recorded configuration within the space."""
        inside_N = ((self.u_ND >= 0) & (self.u_ND <= 1)).all(axis=1)
        return float(self.get_true(self.u_ND[inside_N]).min())

    def rate(self, true: float) -> float:
        """Say by how much a mean loss is above that of the best recorded one, in percent of it."""
        return 100 * (true / self.best - 1)

    @cached_property
    def standard_N(self) -> NDArray[np.float64]:
        """What the seeds of each recorded configuration differ by, as shares of a normal one.

        By their ranks, after those nearby were brought to one size.
        """
        noise_N = self.epochs[-1].noise_N
        share_N = noise_N / np.abs(noise_N[self._find_near(self.u_ND)]).mean(axis=1)
        ranks = share_N.argsort().argsort()
        return np.array([NormalDist().inv_cdf((rank + 0.5) / len(ranks)) for rank in ranks])

    @cached_property
    def luck(self) -> Luck:
        """How alike the luck of trainings is that begin with the same weights."""
        by = fit_surrogate(self.u_ND, self.standard_N, np.zeros(len(self.u_ND))).settings
        return Luck(by.amplitude**2 / (by.amplitude**2 + by.noise**2), by.lengths_D)

    def draw_curve(self, u_D: NDArray[np.float64], weights: Weights) -> list[float]:
        """Train a configuration in thought: its validation loss after each epoch.

        Trainings with the same weights have the same luck where they are near each other.
        """
        near_K = self._find_near(u_D[None])[0]
        both_K = np.concatenate([near_K, near_K])
        sign_K = np.repeat([-1.0, 1.0], len(near_K))
        order_K = np.argsort(sign_K * self.epochs[-1].noise_N[both_K])
        drawn = order_K[int(self.luck.draw(u_D, weights) * len(order_K))]
        near, sign = both_K[drawn], sign_K[drawn]
        return [
            float(one.read(one.model.expect(u_D[None]) + sign * one.noise_N[near])[0])
            for one in self.epochs
        ]

    def get_true(self, u_MD: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the mean loss at the end over all that a training may come to, shape (M,)."""
        end = self.epochs[-1]
        height_M1, noise_MK = end.model.expect(u_MD)[:, None], end.noise_N[self._find_near(u_MD)]
        both_MK = np.concatenate([height_M1 - noise_MK, height_M1 + noise_MK], axis=1)
        return end.read(both_MK).mean(axis=1)

    def _find_near(self, u_MD: NDArray[np.float64]) -> NDArray[np.int64]:
        """Find the nearest configurations, whose noise a place may have, shape (M, NUM_NEAR)."""
        square_MN = ((u_MD[:, None] - self.u_ND) ** 2).sum(axis=2)
        return np.argsort(square_MN, axis=1)[:, :NUM_NEAR]

    def get_unit(self, point: dict[str, Value]) -> NDArray[np.float64]:
        """Give a configuration's place, shape (D,)."""
        return np.array([to_unit(point[name], d) for name, d in self.space.items()])


def open_landscape(architecture: str, recipe: str = "fast") -> Landscape:
    """Open the recording of an architecture; configurations with one seed only count too."""
    space = {n: d for n, d in SPACES[architecture].items() if not isinstance(d, Fixed)}
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(read_curves(FOLDER, architecture, recipe), key=itemgetter("seed")):
        rows.setdefault(write_key(row["params"], 0), []).append(row)
    u_ND = np.array(
        [[to_unit(r[0]["params"][n], d) for n, d in space.items()] for r in rows.values()]
    )
    log_NSE = [np.array([_read_log(row) for row in seeds]) for seeds in rows.values()]
    paired = [len(log_SE) > 1 for log_SE in log_NSE]
    if not any(paired):
        raise SystemExit(f"{architecture}: no configuration with two seeds yet; record more")
    log_NE = np.array([log_SE.mean(axis=0) for log_SE in log_NSE])[paired]
    epochs = [fit_heights(u_ND, [log_SE[:, e] for log_SE in log_NSE]) for e in range(NUM_EPOCHS)]
    space_of = SPACES[architecture]
    return Landscape(architecture, space_of, space, u_ND[paired], log_NE, tuple(epochs))


def _read_log(row: dict[str, Any]) -> NDArray[np.float64]:
    losses = [min(epoch["validation_loss"], NULL_LOSS) for epoch in row["epochs"]]
    losses += [NULL_LOSS] * (NUM_EPOCHS - len(losses))
    return np.log(losses)


def measure_alive(architecture: str, recipe: str) -> tuple[float, int]:
    """Measure the share of the trainings drawn anywhere in the space that leave the null loss.

    Returns:
        The share, and of how many trainings.
    """
    good = list_good_points(architecture)
    ends = [
        min((epoch["validation_loss"] for epoch in row["epochs"]), default=NULL_LOSS)
        for row in read_curves(FOLDER, architecture, recipe)
        if row["number"] >= len(good) and row["number"] % 3 != 2 and _is_inside(architecture, row)
    ]
    return float(np.mean([end < DEAD for end in ends])), len(ends)


def _is_inside(architecture: str, row: Mapping[str, Any]) -> bool:
    return all(d.contains(row["params"][name]) for name, d in SPACES[architecture].items())


def measure_error(land: Landscape) -> tuple[float, float, float, float]:
    """Foretell each configuration's end from the others'.

    Returns:
        Median error and the noise of the mean of two seeds, in shares of the loss; the rank
        correlation of what is foretold with what was recorded, of all and of the better half.
    """
    fold_N = np.arange(len(land.u_ND)) % NUM_FOLDS
    told_N = np.empty(len(fold_N))
    for fold in range(NUM_FOLDS):
        rest = fold_N != fold
        fitted = fit_heights(land.u_ND[rest], list(land.log_NE[rest, -1:]))
        told_N[~rest] = np.log(fitted.read(fitted.model.expect(land.u_ND[~rest])))
    error_N = told_N - land.log_NE[:, -1]
    end = land.epochs[-1]
    height_N = np.log(land.log_NE[:, -1] - end.floor)
    noise_N = np.log(end.read(height_N + end.noise_N)) - land.log_NE[:, -1]
    noise = float(np.median(np.abs(noise_N))) * 1.4826 / math.sqrt(2)
    is_better = land.log_NE[:, -1] <= np.median(land.log_NE[:, -1])
    ranked = [correlate_ranks(told_N[k], land.log_NE[k, -1]) for k in (slice(None), is_better)]
    return float(np.median(np.abs(error_N))), noise, ranked[0], ranked[1]


def correlate_seeds(architecture: str, recipe: str) -> float:
    """Correlate, by ranks, what the first two seeds of each configuration ended with."""
    ends: dict[int, dict[str, float]] = {1: {}, 2: {}}
    for row in read_curves(FOLDER, architecture, recipe):
        if row["seed"] in ends:
            ends[row["seed"]][write_key(row["params"], 0)] = float(_read_log(row)[-1])
    both = sorted(ends[1].keys() & ends[2].keys())
    first_N, second_N = (np.array([ends[seed][key] for key in both]) for seed in (1, 2))
    return correlate_ranks(first_N, second_N)


def foretell_luck(land: Landscape) -> float:
    """Foretell what the seeds of each configuration differ by from the others, by ranks."""
    fold_N = np.arange(len(land.u_ND)) % NUM_FOLDS
    told_N = np.empty(len(fold_N))
    for fold in range(NUM_FOLDS):
        rest = fold_N != fold
        none_N = np.zeros(int(rest.sum()))
        model = fit_surrogate(land.u_ND[rest], land.standard_N[rest], none_N)
        told_N[~rest] = model.expect(land.u_ND[~rest])
    return correlate_ranks(told_N, land.standard_N)


def correlate_ranks(a_N: NDArray[np.float64], b_N: NDArray[np.float64]) -> float:
    """Correlate the ranks of two lots of numbers."""
    return float(np.corrcoef(a_N.argsort().argsort(), b_N.argsort().argsort())[0, 1])


def main() -> None:
    """Show the error of each landscape."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="fast")
    recipe = parser.parse_args().recipe
    print(
        "architecture  configurations  error  noise of two seeds  rank, better half  seeds  luck"
        "  best / recommended  lowest anywhere  alive"
    )
    for name in SPACES:
        land = open_landscape(name, recipe)
        alive, drawn = measure_alive(name, recipe)
        error, noise, ranked, ranked_better = measure_error(land)
        seeds, luck = correlate_seeds(name, recipe), foretell_luck(land)
        rng = np.random.default_rng(1)
        lowest = land.get_true(rng.random((4000, land.u_ND.shape[1]))).min()
        print(
            f"{name:12}  {len(land.u_ND):14}  {100 * error:4.1f}%  {100 * noise:17.1f}%  "
            f"{ranked:4.2f}, {ranked_better:11.2f}  {seeds:5.2f} {luck:5.2f}  "
            f"{land.best:.4f} / {land.recommended:.4f}       {lowest:.4f}"
            f"           {100 * alive:.0f}% of {drawn}"
        )


if __name__ == "__main__":
    main()
