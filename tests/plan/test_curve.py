"""A sample-size curve: nested events, equal beginnings, one trial for each size and repeat."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sweep.config import CurveConfig, SweepConfig
from sweep.data.formats import open_events
from sweep.errors import ConfigError, ConflictError
from sweep.machine.signals import Signals
from sweep.models.space import Int, to_json
from sweep.plan.curve import parse_sizes
from sweep.plan.curve_trials import fit_config, list_curve_trials
from sweep.plan.plan import plan_sweep
from sweep.plan.preparation import prepare_sweep
from sweep.plan.profile import CPU
from sweep.plan.request import CurveRequest, Request
from sweep.plan.trial_seeds import choose_draw, draw_events
from sweep.storage import studies
from sweep.storage.claims import Claim
from sweep.storage.engine import open_engine, parse_url
from sweep.storage.epochs import TrialRow, read_trials
from sweep.storage.sweeps import count_trials
from sweep.storage.tables import Epoch
from sweep.trial.run import run_trial
from sweep.trial.session import Session
from sweep.worker.agenda import Agenda
from sweep.worker.lease import Lease
from sweep.worker.worker import WorkerOptions, run_worker

HOUR_S = 3600.0
SIZES = (8, 12, 24)


@pytest.fixture(scope="module")
def request_(events_file: Path, own_network: Path) -> Request:
    """A small study of three sizes in two repeats."""
    return Request(
        model=f"{own_network}:MyNet",
        data=(str(events_file),),
        val_events=12,
        epochs=1,
        sampler="random",
        pruner="none",
        fixed=("batch_size=6", "lr=0.05", "hidden_size=4", "beta1=0.9", "beta2=0.999"),
        curve=CurveRequest(sizes=SIZES, repeats=2),
    )


@pytest.fixture(scope="module")
def config(request_: Request) -> SweepConfig:
    """Its config."""
    return plan_sweep(request_, CPU).config


def train(url: str, request: Request, artifacts: Path) -> list[TrialRow]:
    """Train a whole study in this process; gives its trials by slot."""
    engine, sweep, _notes = prepare_sweep(request, url, "study", None, CPU)
    run_worker(WorkerOptions(url, "study", artifacts, num_threads=1), Signals())
    return read_trials(engine, sweep.id)


def get_study(config: SweepConfig) -> CurveConfig:
    """Give a config's study, which must be there."""
    assert config.curve is not None
    return config.curve


def test_config_of_before_is_readable(config: SweepConfig) -> None:
    """A sweep that was stored before there were such studies has none; a study comes back, also
    under the name that it was stored by at first."""
    stored = config.to_json()
    assert SweepConfig.from_json(stored) == config
    earlier = {"sample_size": stored.pop("curve"), **stored}
    assert SweepConfig.from_json(earlier) == config
    assert SweepConfig.from_json(stored).curve is None


def test_every_size_has_its_trial_in_every_repeat(config: SweepConfig) -> None:
    """Repeat after repeat, so that a study stopped early has whole curves."""
    samples = list_curve_trials(get_study(config))
    assert [(s.num_train, s.repeat) for s in samples] == [
        (size, repeat) for repeat in (1, 2) for size in SIZES
    ]
    assert [dict(point) for point in config.starting_points] == [
        {"num_train": s.num_train, "repeat": s.repeat} for s in samples
    ]
    assert config.space["num_train"] == to_json(Int(8, 24))
    assert config.space["repeat"] == to_json(Int(1, 2))


def test_sizes_nest_within_a_repeat(config: SweepConfig, events_file: Path) -> None:
    """Fewer events are the first of more; another repeat has others; never one twice."""
    train = open_events([events_file])
    drawn = [draw_events(config, slot, train).hashes.tolist() for slot in range(6)]
    assert [len(hashes) for hashes in drawn] == [*SIZES, *SIZES]
    for repeat in (drawn[:3], drawn[3:]):
        assert repeat[0] == repeat[1][:8] == repeat[2][:8]
        assert repeat[1] == repeat[2][:12]
        assert len(set(repeat[2])) == 24
    assert set(drawn[0]) != set(drawn[3])


def test_sizes_are_drawn_out_of_all_events(config: SweepConfig, request_: Request) -> None:
    """What validation leaves of the files, so that repeats differ at the largest size too."""
    small = replace(request_, curve=CurveRequest(sizes=(5, 10)))
    assert plan_sweep(small, CPU).config.data.num_train == 24
    assert config.data.num_train == 24
    fingerprints = {
        plan_sweep(r, CPU).config.data.validation_fingerprint for r in (small, request_)
    }
    assert len(fingerprints) == 1


def test_smaller_sizes_train_for_as_many_events(config: SweepConfig) -> None:
    """By default; at equal epochs they do not. Grace and null loss see the trial's own events."""
    passes = [fit_config(config, slot) for slot in range(3)]
    assert [c.data.num_train for c in passes] == [8, 12, 24]
    assert [c.recipe.epochs for c in passes] == [3, 2, 1]
    study = get_study(config).model_copy(update={"equal": "epochs"})
    equal = config.model_copy(update={"curve": study})
    assert [fit_config(equal, slot).recipe.epochs for slot in range(3)] == [1, 1, 1]


def test_a_search_is_left_as_it_is(request_: Request, events_file: Path) -> None:
    """Its trials see all events, and every slot begins in its own way."""
    search = plan_sweep(replace(request_, curve=None), CPU).config
    train = open_events([events_file])
    assert fit_config(search, 5) is search
    assert draw_events(search, 5, train) is train
    assert [choose_draw(search, slot) for slot in range(3)] == [0, 1, 2]


def test_repeats_begin_with_other_weights_and_sizes_with_the_same(
    request_: Request, sqlite_url: str, tmp_path: Path
) -> None:
    """A study of one size twice over one event set: only the repeat tells the trials apart."""
    alike = replace(request_, curve=CurveRequest(sizes=(24,), repeats=2))
    rows = train(sqlite_url, alike, tmp_path / "artifacts")
    losses = [row.best.validation_loss for row in rows if row.best]
    assert losses[0] != losses[1]
    assert [choose_draw(plan_sweep(request_, CPU).config, slot) for slot in range(6)] == [
        1, 1, 1, 2, 2, 2,
    ]  # fmt: skip


def claim(url: str, artifacts: Path) -> tuple[Session, Claim]:
    """Open the study as a worker does, and claim its first trial."""
    agenda = Agenda(
        open_engine(parse_url(url)),
        studies.open_study_storage(parse_url(url)),
        "study",
        torch.device("cpu"),
        artifacts,
        lambda line: None,
    )
    found = agenda.claim("worker", HOUR_S, lambda: False)
    assert found is not None
    return found


def run_first(session: Session, claim: Claim, signals: Signals) -> Epoch | None:
    """Train the first trial; gives its best epoch, None where it was given back."""
    run_trial(session, claim, Lease(session.engine, claim, HOUR_S, signals))
    (row,) = read_trials(session.engine, session.sweep.id)
    return row.best


def test_interrupted_trial_ends_as_if_nothing_had_happened(
    request_: Request, tmp_path: Path
) -> None:
    """It draws the same events again, and goes on from its checkpoint with them."""
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("broken", "whole")]
    for url in urls:
        prepare_sweep(request_, url, "study", None, CPU)
    asked = Signals()
    asked.ask()
    assert run_first(*claim(urls[0], tmp_path / "broken"), asked) is None
    ends = [
        run_first(*claim(url, tmp_path / name), Signals())
        for url, name in zip(urls, ("broken", "whole"), strict=True)
    ]
    assert strip(ends[0]) == strip(ends[1])


def strip(epoch: Epoch | None) -> Epoch:
    """Leave out what is different each time: how long it took."""
    assert epoch is not None
    return replace(epoch, duration_s=0.0)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"sizes": (6, 12)}, "curve.sizes: stored [8, 12, 24], asked [6, 12]"),
        ({"repeats": 3}, "curve.repeats: stored 2, asked 3"),
        ({"equal": "epochs"}, 'curve.equal: stored "passes", asked "epochs"'),
    ],
)
def test_going_on_differently_is_refused(
    request_: Request, config: SweepConfig, change: dict[str, Any], difference: str
) -> None:
    """Before any event is read; without options, or with the same, nothing changes."""
    for asked in (CurveRequest(), get_sizes(request_), None):
        again = plan_sweep(Request(model=config.model, curve=asked), CPU, config)
        assert again.config == config
    with pytest.raises(ConflictError, match=re.escape(difference)):
        plan_sweep(Request(model=config.model, curve=CurveRequest(**change)), CPU, config)


def get_sizes(request: Request) -> CurveRequest:
    """Give what a request asks of the sizes."""
    assert request.curve is not None
    return request.curve


def test_search_and_study_are_two_things(request_: Request) -> None:
    """Neither goes on as the other, and a study's budget follows from its sizes."""
    search = plan_sweep(replace(request_, curve=None), CPU).config
    with pytest.raises(ConflictError, match="it is a search already"):
        plan_sweep(Request(curve=CurveRequest(sizes=(6,))), CPU, search)


def test_budget_of_a_study_is_its_own(request_: Request, sqlite_url: str) -> None:
    """Other numbers of trials are refused, at first and afterwards, and change nothing."""
    with pytest.raises(ConfigError, match="trials: a sample-size curve has one for each"):
        prepare_sweep(request_, sqlite_url, "study", 5, CPU)
    engine, sweep, _notes = prepare_sweep(request_, sqlite_url, "study", None, CPU)
    with pytest.raises(ConfigError, match="got 50, expected 6"):
        prepare_sweep(Request(model=request_.model), sqlite_url, "study", 50, CPU)
    assert count_trials(engine, sweep.id).waiting == 6


def test_hyperparameters_must_all_be_fixed(request_: Request) -> None:
    """A study searches nothing."""
    loose = tuple(text for text in request_.fixed if not text.startswith("hidden_size"))
    with pytest.raises(ConfigError, match=r"space\.hidden_size: a sample-size curve searches"):
        plan_sweep(replace(request_, fixed=loose), CPU)


def test_sizes_are_read_from_text() -> None:
    """As a person types them."""
    assert parse_sizes("1000, 2000,500") == (1000, 2000, 500)
    assert parse_sizes(None) == ()
    for text in ("", "many", "1000,", "1e3"):
        with pytest.raises(ConfigError, match="events: not a list of numbers"):
            parse_sizes(text)
