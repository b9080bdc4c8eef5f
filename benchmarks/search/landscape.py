"""What a configuration would have given: the recorded curves, carried to every place between them.

A Gaussian process for each epoch, fitted to the mean curves of the recorded configurations, gives
a place's mean curve; what the seeds of a recorded configuration nearby differed by is its noise, so
that late escapes and noisy corners stay where they are. `python landscape.py` shows how well a
configuration that was left out is foretold.

Shapes: N configuration, E epoch, D dimension.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import FOLDER, NUM_EPOCHS, SPACES, list_good_points, read_curves, to_unit, write_key

from sweep.models.space import Dimension, Fixed
from sweep.models.value import Value
from sweep.search.surrogate import Surrogate, fit_surrogate

NULL_LOSS = 0.0953
"""Of the recording's validation events."""
DEAD = 0.98 * NULL_LOSS
NUM_NEAR = 8
"""Recorded configurations whose noise a place may have."""
NUM_FOLDS = 10


@dataclass(frozen=True)
class Landscape:
    """The recorded curves of one architecture under one recipe.

    Attributes:
        space: The searched dimensions, by name.
        u_ND: Places of the recorded configurations in the unit cube.
        log_NE: Logarithm of the validation loss after each epoch, mean over the seeds.
        noise_NE: By how much one seed differs from that, in its logarithm.
        models: For each epoch.
    """

    space: dict[str, Dimension]
    u_ND: NDArray[np.float64]
    log_NE: NDArray[np.float64]
    noise_NE: NDArray[np.float64]
    models: tuple[Surrogate, ...]

    def draw_curve(self, u_D: NDArray[np.float64], seed: int) -> list[float]:
        """Train a configuration in thought: its validation loss after each epoch, by the seed."""
        rng = np.random.default_rng([seed, *(int(1e6 * c) for c in np.clip(u_D, 0, 1))])
        near = np.argsort(((self.u_ND - u_D) ** 2).sum(axis=1))[:NUM_NEAR]
        noise_E = self.noise_NE[rng.choice(near)] * rng.choice([-1.0, 1.0])
        log_E = np.array([model.predict(u_D[None])[0][0] for model in self.models]) + noise_E
        return [float(v) for v in np.exp(np.minimum(log_E, math.log(NULL_LOSS)))]

    def get_true(self, u_MD: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the mean loss at the end, shape (M,)."""
        return np.exp(self.models[-1].predict(u_MD)[0])

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
    log_NE = np.array([log_SE.mean(axis=0) for log_SE in log_NSE])
    noise_NE = np.array([(s[0] - s[1]) / math.sqrt(2) for s in log_NSE if len(s) > 1])
    paired = np.array([len(s) > 1 for s in log_NSE])
    if not paired.any():
        raise SystemExit(f"{architecture}: no configuration with two seeds yet; record more")
    models = _fit(u_ND, log_NE)
    return Landscape(space, u_ND[paired], log_NE[paired], noise_NE, models)


def _read_log(row: dict[str, Any]) -> NDArray[np.float64]:
    losses = [min(epoch["validation_loss"], NULL_LOSS) for epoch in row["epochs"]]
    losses += [NULL_LOSS] * (NUM_EPOCHS - len(losses))
    return np.log(losses)


def _fit(u_ND: NDArray[np.float64], log_NE: NDArray[np.float64]) -> tuple[Surrogate, ...]:
    none_N = np.zeros(len(u_ND))
    return tuple(fit_surrogate(u_ND, column_N, none_N) for column_N in log_NE.T)


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


def measure_error(land: Landscape) -> tuple[float, float, float]:
    """Foretell each configuration's end from the others'.

    Returns:
        Median error, the share of the variance explained, and the noise of the mean of two seeds;
        the first and the last in shares of the loss.
    """
    fold_N = np.arange(len(land.u_ND)) % NUM_FOLDS
    told_N = np.empty(len(fold_N))
    for fold in range(NUM_FOLDS):
        rest = fold_N != fold
        model = fit_surrogate(land.u_ND[rest], land.log_NE[rest, -1], np.zeros(rest.sum()))
        told_N[~rest] = model.predict(land.u_ND[~rest])[0]
    error_N = told_N - land.log_NE[:, -1]
    noise = float(np.median(np.abs(land.noise_NE[:, -1]))) * 1.4826 / math.sqrt(2)
    explained = 1 - error_N.var() / land.log_NE[:, -1].var()
    return float(np.median(np.abs(error_N))), float(explained), noise


def main() -> None:
    """Show the error of each landscape."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="fast")
    recipe = parser.parse_args().recipe
    print(
        "architecture  configurations  error  explained  noise of two seeds  best / recommended"
        "  alive"
    )
    for name in SPACES:
        land = open_landscape(name, recipe)
        alive, drawn = measure_alive(name, recipe)
        error, explained, noise = measure_error(land)
        rng = np.random.default_rng(1)
        best = land.get_true(rng.random((4000, land.u_ND.shape[1]))).min()
        recommended = land.get_true(land.get_unit(list_good_points(name)[0])[None])[0]
        print(
            f"{name:12}  {len(land.u_ND):14}  {100 * error:4.1f}%  {100 * explained:8.0f}%  "
            f"{100 * noise:17.1f}%  {best:.4f} / {recommended:.4f}       "
            f"{100 * alive:.0f}% of {drawn}"
        )


if __name__ == "__main__":
    main()
