"""What is wrong with the words of a request, whatever the database holds, told before it is opened.

The plan finds the same faults; here they take no library that is slow to load.
"""

from __future__ import annotations

from pathlib import Path

from sweep.data.paths import check_counts, check_paths
from sweep.models import ARCHITECTURES
from sweep.models.space import Fixed
from sweep.plan.network import check_names, is_own, list_models
from sweep.plan.parts import plan_limits
from sweep.plan.profile import CPU, choose_profile
from sweep.plan.recipes import DEFAULT_RECIPE, build_recipe
from sweep.plan.request import Request
from sweep.plan.several import check_cost, share_request
from sweep.plan.space import check_training, read_assignments
from sweep.search.strategy import choose_objective, choose_pruner, choose_sampler


def check_words(request: Request) -> None:
    """Refuse names that are unknown, numbers of events that are too low, files of events that are
    not there, and dimensions that are not readable.

    A person's own network is not looked at: a sweep that is stored brings its files.

    Raises:
        ConfigError, DataError, ModelError: as `sweep.plan.plan.plan_sweep`.
    """
    check_counts(request.events, request.val_events, request.test_events)
    files = (*request.data, *request.val_data, *request.test_data)
    check_paths([Path(name) for name in files])
    if request.profile is not None:
        choose_profile(request.profile)
    if request.recipe is not None or request.epochs is not None:
        build_recipe(request.recipe or DEFAULT_RECIPE, request.epochs, CPU.epochs)
    if request.objective is not None:
        choose_objective(request.objective)
    plan_limits(request)
    if request.sampler is not None:
        choose_sampler(request.sampler)
    if request.pruner is not None:
        choose_pruner(request.pruner)
    if request.model is not None or request.cost is not None:
        check_cost(request.cost, len(list_models(request.model)) if request.model else 2)
    if request.model is None or is_own(request.model):
        return
    check_names(request.model)
    models = list_models(request.model)
    shares = {models[0]: request}
    if len(models) > 1:
        shares = share_request(request, {model: ARCHITECTURES[model].space for model in models})
    for model, share in shares.items():
        space = ARCHITECTURES[model].select_space(on_cpu=True)
        check_training(read_assignments(share, {"batch_size": Fixed(CPU.batch_size), **space}))
