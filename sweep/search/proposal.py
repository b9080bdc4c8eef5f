"""Proposals: where a search looks next.

Four arms propose: anywhere (`random`), near the recommended point (`prior`), near one of the best
so far (`mutation`), and where a model of all that was seen expects an improvement (`model`). Each
trial asks one of them, drawn by shares that follow what has paid: how often an arm's trials came
among the best third (the idea of PriorBand, Mallik et al., arXiv:2306.12370). No arm's share falls
below LEAST_SHARE, so that a wrong prior or a model that was misled is outgrown.

A place is a point of the unit cube, a coordinate for each searched hyperparameter on its own scale.

The shares and widths below were set by hand: what was tried instead on recorded curves made no
difference that is larger than that of the seeds (docs/SEARCH.md).

Shapes: N trial, M candidate, D dimension.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.search.seen import NUM_FIRST, Arm, Seen, choose_observed
from sweep.search.surrogate import fit_surrogate

LEAST_SHARE = 0.06
FIRST_SHARES: Mapping[Arm, float] = {"random": 0.3, "prior": 0.5, "mutation": 0.2, "model": 0.0}
SHARES: Mapping[Arm, float] = {"random": 0.08, "prior": 0.14, "mutation": 0.22, "model": 0.56}
PRIOR_SIGMA = 0.15
MUTATION_SIGMAS = (0.2, 0.05)
"""Of a mutation at the beginning and from NUM_NARROW trials on."""
NUM_NARROW = 50
NUM_INCUMBENTS = 3
NUM_CANDIDATES = 300
BEST_SHARE = 1 / 3


def propose(
    seen: Seen, center_D: NDArray[np.float64] | None, rng: np.random.Generator
) -> tuple[NDArray[np.float64], Arm]:
    """Propose the place of the next trial.

    Args:
        seen: The trials that have begun, those that run too.
        center_D: The recommended point, shape (D,), or None where there is none.

    Returns:
        The place, shape (D,), each from 0 to below 1, and the arm that proposed it.
    """
    known = np.isfinite(seen.value_N)
    arm = _draw_arm(seen, known, center_D is not None, rng)
    if arm == "random" or not seen.u_ND.shape[1]:
        return rng.random((1, seen.u_ND.shape[1]))[0], arm
    if arm == "prior" and center_D is not None:
        return _shift(center_D[None], PRIOR_SIGMA, 1.0, rng)[0], arm
    incumbents_ND, sigma = _find_incumbents(seen)
    if arm == "mutation":
        chosen = incumbents_ND[rng.integers(len(incumbents_ND))]
        return _shift(chosen[None], sigma, 0.5, rng)[0], arm
    return ask_model(seen, center_D, rng).place_D, arm


def _find_incumbents(seen: Seen) -> tuple[NDArray[np.float64], float]:
    """Find the places of the best so far, and how far one looks about them."""
    known = np.isfinite(seen.value_N)
    incumbents_ND = seen.u_ND[known][np.argsort(seen.value_N[known])[:NUM_INCUMBENTS]]
    wide, narrow = MUTATION_SIGMAS
    return incumbents_ND, wide * (narrow / wide) ** min(1.0, len(seen.u_ND) / NUM_NARROW)


def _draw_arm(
    seen: Seen, known: NDArray[np.bool_], has_center: bool, rng: np.random.Generator
) -> Arm:
    """Draw an arm by its share times the rate at which its trials came among the best third."""
    num_known = int(known.sum())
    shares = dict(SHARES if num_known >= NUM_FIRST else FIRST_SHARES)
    if num_known >= NUM_FIRST:
        bar = np.quantile(seen.value_N[known], BEST_SHARE)
        for arm in shares:
            own_N = seen.value_N[known & (seen.arm_N == arm)]
            num_best = int((own_N <= bar).sum())
            shares[arm] *= (1.0 + num_best) / (1.0 / BEST_SHARE + len(own_N))
    if not has_center:
        shares["prior"] = 0.0
    if num_known == 0:
        shares["mutation"] = 0.0
    total = sum(shares.values())
    weights = [max(share / total, LEAST_SHARE) if share else 0.0 for share in shares.values()]
    arms: list[Arm] = list(shares)
    return arms[int(rng.choice(len(arms), p=np.array(weights) / sum(weights)))]


def _shift(
    u_MD: NDArray[np.float64], sigma: float, share: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Shift places by a normal number in a share of their coordinates, reflected at the ends."""
    moved = rng.random(u_MD.shape) < share
    moved |= ~moved.any(axis=1, keepdims=True)  # at least somewhere
    shifted = u_MD + sigma * moved * rng.standard_normal(u_MD.shape)
    folded = np.abs(shifted) % 2.0
    return np.clip(np.where(folded > 1.0, 2.0 - folded, folded), 0.0, 1.0 - 1e-9)


@dataclass(frozen=True)
class Prospect:
    """Where a model of what was seen expects the most of a further trial.

    Attributes:
        place_D: The place, shape (D,).
        gain: By how much a trial there is expected to be better than the best one, at least 0.
        noise: By how much two trainings at one place differ, a standard deviation.
    """

    place_D: NDArray[np.float64]
    gain: float
    noise: float


def ask_model(
    seen: Seen, center_D: NDArray[np.float64] | None, rng: np.random.Generator
) -> Prospect:
    """Take the candidate of the largest expected improvement (Jones et al. 1998, eq. 15).

    The improvement is on the best expected value, not on the best seen one, which was lucky. What
    still runs counts as seen at its expected value, so that two workers do not go to one place.

    Args:
        seen: The trials that have begun, one of them at least with a value.
        center_D: As for `propose`.
    """
    known, (incumbents_ND, sigma) = np.isfinite(seen.value_N), _find_incumbents(seen)
    chosen_N = choose_observed(seen.value_N)
    u_ND, value_N, doubt_N = (part[chosen_N] for part in (seen.u_ND, seen.value_N, seen.doubt_N))
    model = fit_surrogate(u_ND, value_N, doubt_N)
    if not known.all():
        u_XD = seen.u_ND[~known]
        value_X, none_X = model.expect(u_XD), np.zeros(len(u_XD))
        model = model.observe(
            np.concatenate([u_ND, u_XD]),
            np.concatenate([value_N, value_X]),
            np.concatenate([doubt_N, none_X]),
        )
    centers = [incumbents_ND] if center_D is None else [incumbents_ND, center_D[None]]
    near_MD = np.repeat(np.concatenate(centers), NUM_CANDIDATES // 2, axis=0)
    candidates_MD = np.concatenate(
        [
            rng.random((NUM_CANDIDATES, seen.u_ND.shape[1])),
            _shift(near_MD, sigma, 0.7, rng),
            _shift(near_MD, sigma / 3, 0.7, rng),
        ]
    )
    mean_M, deviation_M = model.predict(candidates_MD)
    best = model.expect(u_ND).min()
    z_M = (best - mean_M) / deviation_M
    density_M = np.exp(-0.5 * z_M**2) / math.sqrt(2.0 * math.pi)
    below_M = 0.5 * (1.0 + np.vectorize(math.erf)(z_M / math.sqrt(2.0)))
    gain_M = deviation_M * (z_M * below_M + density_M)
    first = int(np.argmax(gain_M))
    return Prospect(candidates_MD[first], float(gain_M[first]), model.noise)
