"""The samplers there are: which algorithm chooses a trial's hyperparameters.

Another one is an entry of this table. The command line reads the names at its start, and configs
are checked by them: nothing heavy is loaded here before a sampler is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sweep.search.draw import Draw
from sweep.search.seeds import derive_seed

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@dataclass(frozen=True)
class Sampler:
    """An algorithm that chooses hyperparameters.

    Attributes:
        build: Makes it for one trial, told of the `Draw`, and by keyword of its settings.
        settings: Those of a new sweep, under the names that `sweep.config.SamplerConfig` has.
    """

    build: Callable[..., BaseSampler]
    settings: Mapping[str, float] = field(default_factory=dict)


def _build_mixed(draw: Draw) -> BaseSampler:
    """This project's: random, near the recommended or the best points, or where a model says."""
    from sweep.search.mixed import MixedSampler

    return MixedSampler(draw)


def _build_tpe(
    draw: Draw,
    *,
    num_startup_trials: int,
    multivariate: bool,
    constant_liar: bool,
    num_ei_candidates: int,
) -> BaseSampler:
    """Tree-structured Parzen estimators."""
    from optuna.samplers import TPESampler

    return TPESampler(
        n_startup_trials=num_startup_trials,
        multivariate=multivariate,
        constant_liar=constant_liar,
        n_ei_candidates=num_ei_candidates,
        seed=draw.seed,
    )


def _build_gp(draw: Draw, *, num_startup_trials: int) -> BaseSampler:
    """A Gaussian process."""
    from optuna.samplers import GPSampler

    return GPSampler(
        n_startup_trials=num_startup_trials,
        independent_sampler=_build_random(draw),
        seed=draw.seed,
    )


def _build_qmc(draw: Draw) -> BaseSampler:
    """Sobol's points, one after the other, whoever trains them."""
    from sweep.search.sequences import PointSampler, draw_sobol_point

    seed = derive_seed(draw.base_seed, "qmc")
    return PointSampler(draw_sobol_point(draw.names, draw.slot, seed))


def _build_random(draw: Draw) -> BaseSampler:
    """Random points."""
    from sweep.search.sequences import PointSampler, draw_random_point

    return PointSampler(draw_random_point(draw.names, draw.seed))


DEFAULT_SAMPLER = "mixed"
SAMPLERS: Mapping[str, Sampler] = {
    DEFAULT_SAMPLER: Sampler(_build_mixed),
    "tpe": Sampler(
        _build_tpe,
        {
            "num_startup_trials": 10,
            "multivariate": True,
            "constant_liar": True,
            "num_ei_candidates": 24,
        },
    ),
    "gp": Sampler(_build_gp, {"num_startup_trials": 10}),
    "qmc": Sampler(_build_qmc),
    "random": Sampler(_build_random),
}
"""Each by the name that `--sampler` takes. Settings of TPE are written out so that a new version of
Optuna does not change them."""
