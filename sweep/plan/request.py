"""What a person asked of a sweep: the options of `sweep run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from sweep.config import SweepConfig, Value


@dataclass(frozen=True)
class Origin:
    """The trial of another sweep, with that sweep's config, whose hyperparameters are taken.

    `note` says what is to be known of how it was chosen, if anything is.
    """

    sweep: str
    trial: int
    config: SweepConfig
    params: Mapping[str, Value]
    note: str = ""


@dataclass(frozen=True)
class CurveRequest:
    """What a person asked of a sample-size curve; None or empty where they did not say."""

    sizes: tuple[int, ...] = ()
    repeats: int | None = None
    equal: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True)
class Request:
    """What a person asked; None or empty where they did not say.

    `dimensions` and `fixed` are texts `name=dimension`, as `--set` and `--fix` take them;
    `curve` is there where a sample-size curve is asked for instead of a search.
    """

    model: str | None = None
    data: tuple[str, ...] = ()
    val_data: tuple[str, ...] = ()
    test_data: tuple[str, ...] = ()
    x_key: str | None = None
    y_key: str | None = None
    variant: str | None = None
    events: int | None = None
    val_events: int | None = None
    test_events: int | None = None
    epochs: int | None = None
    recipe: str | None = None
    sampler: str | None = None
    pruner: str | None = None
    objective: str | None = None
    cost: str | None = None
    max_fp: float | None = None
    max_parameters: int | None = None
    max_latency_us: float | None = None
    seed: int | None = None
    profile: str | None = None
    dimensions: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    curve: CurveRequest | None = None


def merge_requests(over: Request, under: Request) -> Request:
    """Lay one request over another; dimensions of both apply, the upper one's last."""
    chosen = {
        field.name: getattr(over, field.name)
        for field in fields(Request)
        if getattr(over, field.name) not in (None, ())
    }
    return replace(
        under,
        **chosen
        | {
            "dimensions": (*under.dimensions, *over.dimensions),
            "fixed": (*under.fixed, *over.fixed),
        },
    )
