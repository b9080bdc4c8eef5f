"""A sweep of several architectures is planned: whose space is whose, and what may be asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sweep.config import MODEL, OF_SEVERAL, SweepConfig
from sweep.errors import ConfigError, ConflictError, ModelError, SweepError
from sweep.models import ARCHITECTURES
from sweep.plan.changes import AskedChange, change_sweep
from sweep.plan.names import choose_name
from sweep.plan.network import list_models
from sweep.plan.plan import Plan, plan_sweep
from sweep.plan.preparation import prepare_sweep
from sweep.plan.profile import CPU
from sweep.plan.request import Request
from sweep.plan.space import read_space
from sweep.plan.versions import find_varied, give_version
from sweep.search.suggestion import name_in_study


@pytest.fixture(scope="module")
def asked(events_file: Path) -> Request:
    """A sweep of two architectures, few events, two epochs."""
    files = (str(events_file),)
    return Request(model="cnn,mlp", data=files, events=24, val_events=12, epochs=2)


@pytest.fixture(scope="module")
def plan(asked: Request) -> Plan:
    """That, planned."""
    return plan_sweep(asked, CPU)


def test_each_architecture_has_its_space_and_its_point(plan: Plan) -> None:
    """The recommended one is tried first; mlp has none, and the sampler chooses."""
    config = SweepConfig.from_json(plan.config.to_json())
    assert config == plan.config
    cnn, mlp = config.narrow_all()
    recommended = ARCHITECTURES["cnn"].select_recommended(on_cpu=True)
    assert (cnn.recommended_slot, mlp.recommended_slot, config.recommended_slot) == (0, None, None)
    assert [point[MODEL] for point in config.starting_points] == ["cnn", "mlp"]
    assert recommended.items() <= config.starting_points[0].items()
    assert (cnn.model, mlp.model, config.model) == ("cnn", "mlp", "cnn,mlp")


def test_names_that_mean_two_things_are_told_apart_in_the_study(plan: Plan) -> None:
    """A range here, a choice there: Optuna refuses both under one name; what is alike is shared."""
    names = [
        name_in_study(read_space(part), part.prefixed, part.label)
        for part in plan.config.narrow_all()
    ]
    assert [one["hidden_size"] for one in names] == ["cnn.hidden_size", "mlp.hidden_size"]
    assert [one["lr"] for one in names] == ["lr", "lr"]
    assert [one["beta1"] for one in names] == ["1 - beta1", "1 - beta1"]


def test_config_of_one_architecture_is_stored_as_before(asked: Request) -> None:
    """Earlier versions read it, and its sweeps go on."""
    config = plan_sweep(replace(asked, model="cnn"), CPU).config
    assert not set(OF_SEVERAL) & config.to_json().keys()
    assert config.narrow("cnn") is config.narrow_to({MODEL: "x"}) is config


def test_dimension_is_asked_of_those_that_have_it_or_of_one(asked: Request) -> None:
    """As `lr=...`, `num_layers=...` and `mlp.hidden_size=...`."""
    texts = ("lr=0.001:0.01:log", "mlp.hidden_size=16", "activation=relu")
    plan = plan_sweep(replace(asked, dimensions=texts), CPU)
    cnn, mlp = (read_space(part) for part in plan.config.narrow_all())
    assert str(cnn["lr"]) == str(mlp["lr"]) == "0.001:0.01:log"
    assert str(mlp["hidden_size"]) == "16"
    assert cnn["hidden_size"] == ARCHITECTURES["cnn"].cpu_space["hidden_size"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "cnn,nothing"}, "model: unknown, got 'nothing'"),
        ({"model": "cnn,cnn"}, "model: named twice, got cnn,cnn"),
        ({"dimensions": ("num_levels=2",)}, "--set num_levels: no such hyperparameter"),
        ({"dimensions": ("unet.lr=0.1",)}, "--set unet.lr: no such hyperparameter"),
    ],
)
def test_what_no_architecture_has_is_refused(
    asked: Request, change: dict[str, object], said: str
) -> None:
    """With what there is."""
    with pytest.raises(SweepError, match=said):
        plan_sweep(replace(asked, **change), CPU)  # type: ignore[arg-type]


def test_sweep_goes_on_with_its_architectures_and_no_others(asked: Request, plan: Plan) -> None:
    """In any order, or named by nothing; one more is another sweep."""
    assert plan_sweep(replace(asked, model="mlp,cnn"), CPU, plan.config).config == plan.config
    assert plan_sweep(replace(asked, model=None), CPU, plan.config).config == plan.config
    for other in ("cnn", "cnn,unet", "all"):
        with pytest.raises(ConflictError, match="model: stored cnn,mlp, asked"):
            plan_sweep(replace(asked, model=other), CPU, plan.config)
    with pytest.raises(ConflictError, match=r"architectures\.cnn\.space\.lr"):
        plan_sweep(replace(asked, dimensions=("cnn.lr=0.01",)), CPU, plan.config)


def test_changed_sweep_goes_on_as_it_was_changed(asked: Request, sqlite_url: str) -> None:
    """With its first options or none; what each architecture had is known by itself, too."""
    asked = replace(asked, dimensions=("lr=0.001:0.01:log",))
    engine, begun, _notes = prepare_sweep(asked, sqlite_url, None, 4, CPU)
    change = AskedChange(("cnn.lr=0.002,0.003", "mlp.hidden_size=8"))
    changed = change_sweep(engine, begun, change, "anna")
    for again in (asked, replace(asked, dimensions=())):
        _engine, found, notes = prepare_sweep(again, sqlite_url, None, None, CPU)
        assert (found.config, found.version) == (changed.config, 2)
        assert any("goes on with version 2" in note for note in notes) == bool(again.dimensions)
    cnn, mlp = SweepConfig.from_json(changed.config).narrow_all()
    assert (find_varied(cnn, "cnn"), find_varied(mlp, "mlp")) == ({"lr"}, {"hidden_size"})
    assert str(read_space(give_version(cnn, 1))["lr"]) == "0.001:0.01:log"
    engine.dispose()


def test_all_are_those_of_this_project() -> None:
    """And the sweep has that name."""
    assert list_models("all") == tuple(ARCHITECTURES)
    assert choose_name(Request(model="all"), None) == "all"
    assert choose_name(Request(model="cnn, dir/mynet.py:MyNet"), None) == "cnn,MyNet"


def test_own_networks_are_kept_each_with_its_files(
    asked: Request, own_network: Path, tmp_path: Path
) -> None:
    """A file of one name with two contents cannot be kept twice."""
    request = replace(asked, model=f"cnn,{own_network}:MyNet,{own_network}:DeadNet")
    plan = plan_sweep(request, CPU)
    files = [part.files for part in plan.config.narrow_all()]
    assert files == [(), (own_network.name,), (own_network.name,)]
    assert plan_sweep(request, CPU, plan.config, files=plan.files).config == plan.config
    moved = tmp_path / "moved.py"
    moved.write_bytes(own_network.read_bytes())
    request = replace(request, model=f"{moved}:MyNet,cnn,{moved}:DeadNet")
    again = plan_sweep(request, CPU, plan.config, files=plan.files)
    assert [part.files for part in again.config.narrow_all()] == [(), ("moved.py",), ("moved.py",)]
    assert again.files.keys() == {"moved.py"}
    other = tmp_path / own_network.name
    other.write_bytes(own_network.read_bytes() + b"\nCHANGED = 1\n")
    with pytest.raises(ConfigError, match="two networks have a file"):
        plan_sweep(replace(request, model=f"{own_network}:MyNet,{other}:DeadNet"), CPU)


def test_slower_architecture_has_fewer_events_an_epoch(asked: Request, own_network: Path) -> None:
    """By --cost seconds; measured when the sweep begins, and kept when it goes on."""
    request = replace(asked, model=f"{own_network}:MyNet,cnn", cost="seconds")
    plan = plan_sweep(request, CPU)
    quick, cnn = plan.config.narrow_all()
    assert quick.epoch_events == 24
    assert cnn.epoch_events is not None
    assert 3 <= cnn.epoch_events < 24
    assert f"cnn: an epoch has {cnn.epoch_events} of 24" in plan.notes[-1]
    again = replace(request, cost=None)
    assert plan_sweep(again, CPU, plan.config, files=plan.files).config == plan.config
    with pytest.raises(ConflictError, match='cost: stored "seconds", asked "events"'):
        plan_sweep(replace(request, cost="events"), CPU, plan.config, files=plan.files)


@pytest.mark.parametrize(("model", "cost"), [("cnn", "seconds"), ("cnn,mlp", "hours")])
def test_cost_that_compares_nothing_is_refused(asked: Request, model: str, cost: str) -> None:
    """One architecture has nothing to be compared with."""
    with pytest.raises(ConfigError, match="cost: "):
        plan_sweep(replace(asked, model=model, cost=cost), CPU)


def test_network_that_cannot_be_timed_is_told_of(asked: Request, own_network: Path) -> None:
    """In one line, with what it raised."""
    model = f"cnn,{own_network}:BrokenNet"
    with pytest.raises(ModelError, match="BrokenNet cannot be timed, got 'no such layer'"):
        plan_sweep(replace(asked, model=model, cost="seconds"), CPU)
