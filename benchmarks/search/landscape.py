"""What a configuration would have given: the recorded curves, carried to every place between them.

A Gaussian process for each epoch, fitted to the mean curves of the recorded configurations, gives
a place's curve; what the seeds of a recorded configuration nearby differed by is its noise, so that
late escapes and noisy corners stay where they are. `python landscape.py` shows how well a
configuration that was left out is foretold.

What is fitted is the logarithm of how far a loss is above a floor a little below the best one. Of
losses themselves a few that learn late make a landscape that falls far below all that was recorded
where nothing was, and a search is rewarded for going there; and what two seeds differ by where one
learned late would be luck that no training has where all learn.

Shapes: N configuration, S seed, E epoch, M place, K neighbour, D dimension.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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

    def draw_curve(self, u_D: NDArray[np.float64], seed: int) -> list[float]:
        """Train a configuration in thought: its validation loss after each epoch, by the seed."""
        rng = np.random.default_rng([seed, *(int(1e6 * c) for c in np.clip(u_D, 0, 1))])
        near, sign = rng.choice(self._find_near(u_D[None])[0]), rng.choice([-1.0, 1.0])
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
    for row in read_curves(FOLDER, architecture, recipe):
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
    ranked = [_correlate_ranks(told_N[k], land.log_NE[k, -1]) for k in (slice(None), is_better)]
    return float(np.median(np.abs(error_N))), noise, ranked[0], ranked[1]


def _correlate_ranks(a_N: NDArray[np.float64], b_N: NDArray[np.float64]) -> float:
    return float(np.corrcoef(a_N.argsort().argsort(), b_N.argsort().argsort())[0, 1])


def main() -> None:
    """Show the error of each landscape."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="fast")
    recipe = parser.parse_args().recipe
    print(
        "architecture  configurations  error  noise of two seeds  rank, better half"
        "  best / recommended  lowest anywhere  alive"
    )
    for name in SPACES:
        land = open_landscape(name, recipe)
        alive, drawn = measure_alive(name, recipe)
        error, noise, ranked, ranked_better = measure_error(land)
        rng = np.random.default_rng(1)
        lowest = land.get_true(rng.random((4000, land.u_ND.shape[1]))).min()
        print(
            f"{name:12}  {len(land.u_ND):14}  {100 * error:4.1f}%  {100 * noise:17.1f}%  "
            f"{ranked:4.2f}, {ranked_better:11.2f}  {land.best:.4f} / {land.recommended:.4f}"
            f"       {lowest:.4f}           {100 * alive:.0f}% of {drawn}"
        )


if __name__ == "__main__":
    main()
