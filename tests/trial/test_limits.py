"""Networks that cost more than a sweep allows: refused before they train, or never the best."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from workers import take

from sweep.errors import ConfigError, SweepError
from sweep.machine.signals import Signals
from sweep.metrics.score import get_score
from sweep.metrics.table import EFFICIENCY_AT_FP
from sweep.results.best import find_best_trial, get_decode
from sweep.results.export import export_trial
from sweep.results.status import read_status
from sweep.search.judgement import find_best_epoch, get_ranking
from sweep.storage import studies
from sweep.storage.claims import claim_trial
from sweep.storage.epochs import TrialRow, read_curve, read_trials
from sweep.storage.standings import NextTrial, Promotion
from sweep.storage.tables import Epoch
from sweep.trial.run import run_trial
from sweep.trial.session import Session
from sweep.trial.verdict import Verdict
from sweep.worker.lease import Lease

MakeSession = Callable[..., Session]


def train(session: Session) -> Verdict:
    """Train the next trial to its end."""
    claim = take(session)
    verdict = run_trial(session, claim, Lease(session.engine, claim, 3600.0, Signals()))
    assert isinstance(verdict, Verdict)
    return verdict


def read_row(session: Session) -> TrialRow:
    """Read the first trial."""
    return read_trials(session.engine, session.sweep.id)[0]


def read_constraints(session: Session) -> list[float]:
    """Read what the dashboard and the sampler see of the first trial's constraints."""
    told = studies.load_study(session.study_storage, session.sweep.name).trials[0]
    found: list[float] = told.system_attrs["constraints"]
    return found


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_parameters": 2}, "3 parameters, expected at most 2 (--max-parameters)"),
        ({"max_latency_us": 1e-3}, "us an event, expected at most 0.001 (--max-latency-us)"),
    ],
)
def test_network_that_costs_too_much_is_never_trained(
    database_url: str, make_session: MakeSession, limits: dict[str, float], said: str
) -> None:
    """It is pruned with its reason before its first epoch, and both constraints are told."""
    session = make_session(database_url, fixed=("hidden_size=3",), **limits)
    verdict = train(session)
    assert (verdict.state, verdict.outcome) == ("pruned", "over_limit")
    assert said in str(verdict.reason)
    row = read_row(session)
    assert (row.feasible, row.reason) == (False, verdict.reason)
    assert read_curve(session.engine, row.id) == []
    lives, excess = read_constraints(session)
    assert lives == 0.0
    assert excess > 0
    status = read_status(session.engine, session.sweep)
    with pytest.raises(SweepError, match=r"no best trial, got 1 of 1 finished trial over a limit"):
        find_best_trial(status)


def test_network_within_its_limits_trains_as_ever(
    sqlite_url: str, make_session: MakeSession
) -> None:
    """Its constraints are told as kept, its cost beside its metrics, and it may be the best."""
    limits = {"max_parameters": 3, "max_latency_us": 1e9, "max_fp": 1e9}
    session = make_session(sqlite_url, fixed=("hidden_size=3",), **limits)
    assert train(session).outcome in ("complete", "dead")
    _lives, fp, size, latency = read_constraints(session)
    assert max(fp, size, latency) <= 0.0
    told = studies.load_study(session.study_storage, session.sweep.name).trials[0]
    assert told.user_attrs["parameters"] == 3
    assert told.user_attrs["latency_us"] > 0


def test_cost_of_a_trial_that_went_on_is_that_of_its_first_attempt(
    sqlite_url: str, make_session: MakeSession
) -> None:
    """It is measured before the first epoch, kept with the study, and told at the end."""
    limits = {"max_parameters": 5, "max_latency_us": 1e9}
    session = make_session(sqlite_url, epochs=2, fixed=("hidden_size=3",), **limits)
    ranking, told = get_ranking("validation_loss"), []
    for until_epoch in (1, 2):
        promotion = Promotion((1, 2), ranking, lambda _all, until=until_epoch: NextTrial(0, until))
        claim = claim_trial(session.engine, session.sweep.id, "a", 3600.0, promotion)
        assert claim is not None
        run_trial(session, claim, Lease(session.engine, claim, 3600.0, Signals()))
        study = studies.load_study(session.study_storage, session.sweep.name)
        told.append(study.trials[0].user_attrs)
    assert told[1]["parameters"] == 3
    assert told[1]["latency_us"] == told[0]["latency_us"] > 0
    _lives, size, latency = read_constraints(session)
    assert size == -2
    assert latency < 0


def test_network_with_too_many_false_positives_is_never_the_best(
    sqlite_url: str, make_session: MakeSession
) -> None:
    """Trained to its end it is complete, but not feasible; best says so, and names the limit."""
    session = make_session(sqlite_url, max_fp=1e-9, objective="efficiency")
    curve = [make_epoch(1, found=5, false=1), make_epoch(2, found=6, false=4)]
    assert find_best_epoch(curve, "efficiency", 0.1, max_fp=0.2) == curve[0]
    assert find_best_epoch(curve, "efficiency", 0.1, max_fp=0.01) == curve[1]
    verdict = train(session)
    row = read_row(session)
    assert row.best is not None
    is_over = row.best.false_positives > 0
    assert verdict.outcome == ("over_limit" if is_over else "complete")
    assert row.feasible is not is_over
    assert (read_constraints(session)[1] > 0) is is_over


def make_epoch(epoch: int, *, found: int, false: int) -> Epoch:
    """Make an epoch of 10 events with 10 true peaks."""
    return Epoch(epoch, 100 * epoch, 0.05, 0.05, 10, found, 10 - found, found, false, 1e-3, 1.0)


@pytest.mark.parametrize("name", ["max_fp", "max_parameters", "max_latency_us"])
def test_limit_that_nothing_can_keep_is_refused(
    sqlite_url: str, make_session: MakeSession, name: str
) -> None:
    """Zero or less is no limit."""
    with pytest.raises(ConfigError, match=f"{name.replace('_', '-')}: got 0, expected a number"):
        make_session(sqlite_url, **{name: 0})


@pytest.mark.usefixtures("forked_check")
def test_settings_chosen_in_validation_are_the_trials_and_the_exports(
    sqlite_url: str, make_session: MakeSession, tmp_path: Path
) -> None:
    """The epoch stores them, the export has them, and judged again it has the same numbers."""
    session = make_session(sqlite_url, objective="efficiency_at_fp", max_fp=0.2, trials=1)
    assert session.config.search.fixed_fp == 0.2
    train(session)
    status = read_status(session.engine, session.sweep)
    trial = find_best_trial(status)
    assert trial.best is not None
    score = get_score(trial.best)
    assert score.operating is not None
    assert trial.best.false_positives <= 0.2 * trial.best.events
    assert EFFICIENCY_AT_FP.measure(score) == trial.best.found / (
        trial.best.found + trial.best.missed
    )
    low, high = EFFICIENCY_AT_FP.compute_interval(score) or (2.0, 2.0)
    assert low <= EFFICIENCY_AT_FP.measure(score) <= high
    exported = export_trial(status, trial, session.artifacts, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["decode"] == score.operating.decode.to_json()
    assert get_decode(trial) == score.operating.decode
    assert exported.score.counts == score.counts
    card = (tmp_path / "model" / "README.md").read_text()
    assert "chosen on the validation events" in card
