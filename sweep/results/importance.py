"""How much each hyperparameter mattered: PED-ANOVA, as Optuna has it.

It compares where the best trials lie with where all lie, so it needs a ranking only. Pruned trials
take part with their best epoch, and dead ones as the worst, whatever their loss: in Optuna's own
view of the study neither holds.
"""

from __future__ import annotations

import math
import warnings

import optuna
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from sweep.metrics.score import get_score
from sweep.metrics.table import OBJECTIVES, Metric
from sweep.models.space import Dimension, Fixed
from sweep.plan.space import read_space
from sweep.plan.versions import find_varied
from sweep.results.status import Status
from sweep.search.suggestion import fix_point, name_in_study, suggest
from sweep.storage.epochs import TrialRow

optuna.logging.set_verbosity(optuna.logging.WARNING)  # a study of its own is no news

NUM_TOP = 5
"""Trials that are called the best; fewer give no density (Optuna's note on PED-ANOVA)."""
MIN_TRIALS = 4 * NUM_TOP
TOP_SHARE = 0.1
WORST = 1e300


def compute_importances(status: Status) -> dict[str, dict[str, float]]:
    """Compute the importance of each searched hyperparameter for what a sweep may search by.

    Returns:
        For each metric that the sweep measured, importances that add up to 1 by hyperparameter,
        largest first; empty where fewer than MIN_TRIALS finished trials lie in the search space.
    """
    space = read_space(status.config)
    trials = list_comparable(status, space)
    if len(trials) < MIN_TRIALS:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(
        target_quantile=max(TOP_SHARE, NUM_TOP / len(trials))
    )
    names = {study_name: name for name, study_name in name_in_study(space).items()}
    found = {}
    for metric in OBJECTIVES.values():
        if all(math.isnan(_measure(trial, metric)) for trial in trials):
            continue
        study = optuna.create_study(direction="minimize")
        study.add_trials([_copy(trial, space, metric) for trial in trials])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of rare values: fewer than two trials
            importances = optuna.importance.get_param_importances(study, evaluator=evaluator)
        found[metric.label] = {names[name]: value for name, value in importances.items()}
    return found


def list_comparable(status: Status, space: dict[str, Dimension]) -> list[TrialRow]:
    """List the finished trials whose every hyperparameter lies in the search space.

    Hand-tuned points may lie outside, and so may what was tried before the space was changed;
    failed trials say nothing of their setting.
    """
    varied = find_varied(status.config, status.config.label)
    return [
        trial
        for trial in status.begun
        if trial.finished_s is not None
        and trial.best is not None
        and all(
            (isinstance(dimension, Fixed) and name not in varied)
            or dimension.contains(trial.params.get(name))
            for name, dimension in space.items()
        )
    ]


def _copy(trial: TrialRow, space: dict[str, Dimension], metric: Metric) -> FrozenTrial:
    chosen = FixedTrial(fix_point(trial.params, space))
    suggest(chosen, space, {})
    return create_trial(
        state=TrialState.COMPLETE,
        value=_rate(trial, metric),
        params=chosen.params,
        distributions=chosen.distributions,
    )


def _rate(trial: TrialRow, metric: Metric) -> float:
    """Give a trial's value, lower being better."""
    value = _measure(trial, metric)
    return WORST if trial.outcome == "dead" or math.isnan(value) else metric.sign * value


def _measure(trial: TrialRow, metric: Metric) -> float:
    return metric.measure(get_score(trial.best)) if trial.best else math.nan
