"""What a person asks of a sweep, as options of `sweep run` and `sweep curve`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.cli.completion import offer
from sweep.cli.options import Dimensions, FixedValues, Variant, XKey, YKey
from sweep.errors import list_allowed
from sweep.metrics.table import DEFAULT_OBJECTIVE, OBJECTIVES
from sweep.models import ARCHITECTURES
from sweep.plan.recipes import DEFAULT_RECIPE, RECIPES
from sweep.search.pruners import DEFAULT_PRUNER, PRUNERS
from sweep.search.samplers import DEFAULT_SAMPLER, SAMPLERS

if TYPE_CHECKING:
    from sweep.plan.request import Request


@dataclass(frozen=True)
class RequestOptions:
    """What may be asked of any sweep; the fields are those of a `Request`."""

    model: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(ARCHITECTURES)}, or FILE.py:CLASS for a network of your own; in a "
            "search several with commas, or all.",
            autocompletion=offer(*ARCHITECTURES, "all"),
        ),
    ] = None
    data: Annotated[
        list[str] | None,
        typer.Option(help="Events: course .npz or PV-Finder HDF5; again for more files."),
    ] = None
    val_data: Annotated[
        list[str] | None, typer.Option(help="Events to validate on; else some are split off.")
    ] = None
    val_events: Annotated[int | None, typer.Option(help="Validation events.")] = None
    x_key: XKey = None
    y_key: YKey = None
    variant: Variant = None
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the training events; in a curve, of the largest size."),
    ] = None
    recipe: Annotated[
        str | None,
        typer.Option(
            help=f"{list_allowed(RECIPES)}; the last as the hand-tuned report trained.  "
            f"[{DEFAULT_RECIPE}]",
            autocompletion=offer(*RECIPES),
        ),
    ] = None
    profile: Annotated[
        str | None,
        typer.Option(
            help="Sizes to begin with: cpu or gpu.  [gpu, if there is one]",
            autocompletion=offer("cpu", "gpu"),
        ),
    ] = None
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.  [1]")] = None
    fixed: FixedValues = None

    def make_request(self) -> Request:
        """Give what was asked."""
        from sweep.plan.request import Request  # late: it takes a while, and help needs none

        asked: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in vars(self).items()
            if value is not None
        }
        return Request(**asked)


@dataclass(frozen=True)
class SearchOptions(RequestOptions):
    """What else may be asked of a search."""

    events: Annotated[int | None, typer.Option(help="Training events.")] = None
    test_data: Annotated[
        list[str] | None,
        typer.Option(help="Events for the winner alone; else some are set aside."),
    ] = None
    test_events: Annotated[int | None, typer.Option(help="Events set aside for the winner.")] = None
    sampler: Annotated[
        str | None,
        typer.Option(
            help=f"{list_allowed(SAMPLERS)}.  [{DEFAULT_SAMPLER}]", autocompletion=offer(*SAMPLERS)
        ),
    ] = None
    pruner: Annotated[
        str | None,
        typer.Option(
            help=f"{list_allowed(PRUNERS)}.  [{DEFAULT_PRUNER}]", autocompletion=offer(*PRUNERS)
        ),
    ] = None
    objective: Annotated[
        str | None,
        typer.Option(
            help=f"{list_allowed(OBJECTIVES)}.  [{DEFAULT_OBJECTIVE}]",
            autocompletion=offer(*OBJECTIVES),
        ),
    ] = None
    cost: Annotated[
        str | None,
        typer.Option(
            help="What several architectures have alike where trials are compared: events (seen) "
            "or seconds (of training).  [events]",
            autocompletion=offer("events", "seconds"),
        ),
    ] = None
    max_fp: Annotated[
        float | None,
        typer.Option(
            help="Most false positives per event of a network that may win; the fixed rate of "
            "efficiency_at_fp.  [none; 0.1]"
        ),
    ] = None
    max_parameters: Annotated[
        int | None, typer.Option(help="Most parameters; larger networks are not trained.")
    ] = None
    max_latency_us: Annotated[
        float | None,
        typer.Option(help="Most microseconds for an event on its device; slower are not trained."),
    ] = None
    dimensions: Dimensions = None
