"""What of a training's first epochs foretells how the same configuration ends with another seed.

    python benchmarks/search/early.py

prints rank correlations over the recording: of the last loss, of means over the last losses, and
of these with other metrics beside, weighed as a straight line fitted to the other configurations
has it. What does better than the last loss is what trials should be compared by at a rung.

Shapes: T training, P what foretells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from landscape import NULL_LOSS, NUM_FOLDS, correlate_ranks
from numpy.typing import NDArray
from record import FOLDER, NAMES, NUM_EPOCHS, NUM_VALIDATION, read_curves, write_key

AFTER = (2, 3, 4, 6, 8)


def foretell(rows: Sequence[Mapping[str, Any]], num_epochs: int) -> dict[str, NDArray[np.float64]]:
    """Give what may foretell the ends of trainings after so many epochs, each of shape (T, P)."""
    seen = [row["epochs"][:num_epochs] for row in rows]
    loss_TE = np.log([[min(e["validation_loss"], NULL_LOSS) for e in one] for one in seen])
    train_T = np.log([min(one[-1]["train_loss"], NULL_LOSS) for one in seen])
    found_T = [one[-1]["found"] / (one[-1]["found"] + one[-1]["missed"]) for one in seen]
    false_T = [one[-1]["false_positives"] / NUM_VALIDATION for one in seen]
    last_T = loss_TE[:, -1]
    return {
        "loss": last_T[:, None],
        "mean of 2": loss_TE[:, -2:].mean(axis=1, keepdims=True),
        "mean of 3": loss_TE[:, -3:].mean(axis=1, keepdims=True),
        "with training": np.stack([last_T, train_T], axis=1),
        "with found, false": np.stack([last_T, found_T, false_T], axis=1),
    }


def fit_line(
    x_TP: NDArray[np.float64], y_T: NDArray[np.float64], fold_T: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Foretell each training's end by a line fitted to those of the other folds."""
    told_T = np.empty(len(y_T))
    design_TP = np.concatenate([np.ones((len(x_TP), 1)), x_TP], axis=1)
    for fold in range(NUM_FOLDS):
        own_T = fold_T == fold
        solution, *_ = np.linalg.lstsq(design_TP[~own_T], y_T[~own_T], rcond=None)
        told_T[own_T] = design_TP[own_T] @ solution
    return told_T


def main() -> None:
    """Print a line for each architecture and number of epochs."""
    for name in NAMES:
        groups: dict[str, list[dict[str, Any]]] = {}
        for row in read_curves(FOLDER, name, "fast"):
            if len(row["epochs"]) == NUM_EPOCHS:
                groups.setdefault(write_key(row["params"], 0), []).append(row)
        paired = [group for group in groups.values() if len(group) > 1]
        rows = [row for group in paired for row in group]
        end_T = np.log([min(row["epochs"][-1]["validation_loss"], NULL_LOSS) for row in rows])
        size_T = np.array([len(group) for group in paired for _row in group])
        group_T = np.repeat(np.arange(len(paired)), [len(group) for group in paired])
        sum_T = np.bincount(group_T, end_T)[group_T]
        other_T = (sum_T - end_T) / (size_T - 1)  # the mean of the configuration's other seeds
        for num_epochs in AFTER:
            ranked = []
            for what, x_TP in foretell(rows, num_epochs).items():
                told_T = fit_line(x_TP, other_T, group_T % NUM_FOLDS)
                ranking_T = x_TP[:, 0] if x_TP.shape[1] == 1 else told_T
                ranked.append(f"{what} {correlate_ranks(ranking_T, other_T):.2f}")
            print(f"{name:6} after {num_epochs}: " + ", ".join(ranked))


if __name__ == "__main__":
    main()
