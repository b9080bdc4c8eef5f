"""What a person asked: options over a TOML file, and from both to a config that can run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sweep.config import SweepConfig
from sweep.errors import ConfigError, ConflictError, DataError, ModelError
from sweep.models import ARCHITECTURES
from sweep.models.space import Fixed
from sweep.plan.differences import list_differences
from sweep.plan.plan import Plan, plan_sweep
from sweep.plan.profile import CPU, GPU, Profile
from sweep.plan.recipes import build_recipe
from sweep.plan.request import Request, merge_requests
from sweep.plan.space import read_space


@pytest.fixture(scope="module")
def asked(events_file: Path) -> Request:
    """A request for a small sweep."""
    return Request(model="cnn", data=(str(events_file),), events=24, val_events=12, epochs=2)


@pytest.fixture(scope="module")
def plan(asked: Request) -> Plan:
    """What it comes to."""
    return plan_sweep(asked, CPU)


def test_one_request_lies_over_another() -> None:
    """What is said wins over what was lent; dimensions of both apply, the said ones last."""
    under = Request(model="cnn", epochs=4, seed=0, dimensions=("lr=0.1",), fixed=("head=relu",))
    over = Request(epochs=8, data=("a.npz",), dimensions=("lr=0.2",))
    assert merge_requests(over, under) == Request(
        model="cnn",
        epochs=8,
        seed=0,
        data=("a.npz",),
        dimensions=("lr=0.1", "lr=0.2"),
        fixed=("head=relu",),
    )
    assert merge_requests(Request(seed=0), Request(seed=5)).seed == 0


def test_plan_takes_the_profile_where_nothing_is_asked(plan: Plan, asked: Request) -> None:
    """Sampler, pruner, objective, recipe and space have their defaults."""
    config = plan.config
    assert (config.search.sampler.name, config.search.pruner.name) == ("mixed", "rungs")
    assert (config.search.objective, config.search.seed) == ("validation_loss", 1)
    assert (config.recipe.name, config.recipe.epochs) == ("fast", 2)
    assert config.space["batch_size"] == {"kind": "fixed", "value": 16}
    assert (config.data.num_train, config.data.num_validation) == (24, 12)
    many = replace(asked, epochs=1000)
    assert read_space(plan_sweep(many, GPU).config)["batch_size"] == Fixed(64)


def test_stored_config_comes_back(plan: Plan) -> None:
    """Through the JSON of the database."""
    assert SweepConfig.from_json(plan.config.to_json()) == plan.config


def test_space_of_an_earlier_version_goes_on(plan: Plan) -> None:
    """Databases hold spaces as text, as they were stored before."""
    texts = {name: str(dimension) for name, dimension in read_space(plan.config).items()}
    stored = SweepConfig.from_json({**plan.config.to_json(), "space": texts})
    assert read_space(stored) == read_space(plan.config)
    again = plan_sweep(Request(model="cnn", fixed=("batch_size=16",)), CPU, stored)
    assert read_space(again.config) == read_space(plan.config)


def test_space_changed_by_hand_is_refused(plan: Plan) -> None:
    """In one line, wherever the sweep is read."""
    space = {**plan.config.space, "lr": {"kind": "float"}}
    with pytest.raises(ConfigError, match="its space is not readable, got dimension: fields"):
        read_space(plan.config.model_copy(update={"space": space}))


def test_broken_stored_config_is_refused(plan: Plan) -> None:
    """One line names the place."""
    with pytest.raises(ConfigError, match=r"stored sweep: its config is not readable.*model"):
        SweepConfig.from_json({**plan.config.to_json(), "model": 3})


def test_going_on_without_options_changes_nothing(plan: Plan) -> None:
    """Even on another kind of machine: the stored profile counts."""
    again = plan_sweep(Request(model="cnn"), GPU, plan.config)
    assert again.config == plan.config


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"epochs": 3}, "recipe.epochs: stored 2, asked 3"),
        ({"seed": 2}, "search.seed: stored 1, asked 2"),
        ({"objective": "efficiency"}, "search.objective"),
        ({"pruner": "none"}, 'search.pruner.name: stored "rungs", asked "none"'),
        ({"sampler": "random"}, "search.sampler.name"),
        ({"recipe": "report"}, "recipe.name"),
        ({"events": 20}, "data.num_train: stored 24, asked 20"),
        ({"dimensions": ("lr=1e-5:1e-3:log",)}, "space.lr"),
        ({"fixed": ("num_layers=2",)}, 'space.num_layers: stored "2:3", asked "2"'),
        ({"model": "mlp"}, 'model: stored "cnn", asked "mlp"'),
    ],
)
def test_going_on_differently_is_refused(
    plan: Plan, asked: Request, change: dict[str, object], difference: str
) -> None:
    """The line says what differs, and what to do."""
    request = replace(Request(model="cnn"), **change)  # type: ignore[arg-type]
    with pytest.raises(ConflictError) as caught:
        plan_sweep(request, CPU, plan.config)
    assert difference in str(caught.value)
    assert "--sweep" in str(caught.value)


def test_differences_are_listed_by_place(plan: Plan) -> None:
    """One entry each, none of equals."""
    recipe = build_recipe("fast", 9, 8)
    changed = plan.config.model_copy(update={"recipe": recipe})
    assert list_differences(plan.config, changed) == ["recipe.epochs: stored 2, asked 9"]
    assert list_differences(plan.config, plan.config) == []


@pytest.mark.parametrize(
    ("change", "fault", "reason"),
    [
        ({"model": None}, ConfigError, "model: not given"),
        ({"model": "rnn"}, ModelError, "rnn"),
        ({"model": "none.py:Net"}, ModelError, "no such file"),
        ({"epochs": 0}, ConfigError, "epochs: got 0"),
        ({"recipe": "slow"}, ConfigError, "recipe: unknown"),
        ({"sampler": "grid"}, ConfigError, "sampler: unknown"),
        ({"pruner": "hyperband"}, ConfigError, "pruner: unknown"),
        ({"objective": "fp_rate"}, ConfigError, "objective: unknown"),
        ({"seed": -1}, ConfigError, "seed"),
        ({"events": 0}, DataError, "events: too few"),
        ({"events": 100}, DataError, "fewer events than asked"),
        ({"data": ("none.npz",)}, DataError, "none.npz"),
        ({"dimensions": ("lr",)}, ConfigError, "--set: not readable"),
        ({"dimensions": ("size=3",)}, ConfigError, "--set size: no such hyperparameter"),
        ({"dimensions": ("lr=2:1",)}, ConfigError, "space.lr: .*low must be below high"),
        ({"dimensions": ("weight_decay=true",)}, ConfigError, "space.weight_decay: impossible"),
        ({"dimensions": ("batch_size=null",)}, ConfigError, "batch_size: impossible, got None"),
        (
            {"dimensions": ("reflected_share=0:1.5",)},
            ConfigError,
            "space.reflected_share: impossible, got 1.5",
        ),
        ({"dimensions": ("hidden_size=[8]",)}, ConfigError, "numbers are needed here, got"),
        ({"fixed": ("lr=1e-4:1e-3",)}, ConfigError, "--fix lr: not one value"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_trains(
    asked: Request, change: dict[str, object], fault: type[Exception], reason: str
) -> None:
    """Each with a class of its own and one line."""
    with pytest.raises(fault, match=reason) as caught:
        plan_sweep(replace(asked, **change), CPU)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_starting_points_move_into_the_space(asked: Request) -> None:
    """What was moved is said; points that become equal are kept once."""
    plan = plan_sweep(replace(asked, dimensions=("hidden_size=8,16",)), CPU)
    points = plan.config.starting_points
    assert points
    assert {point["hidden_size"] for point in points} == {16}
    assert len({tuple(point.items()) for point in points}) == len(points)
    assert any("hidden_size 64 to 16" in note for note in plan.notes)


@pytest.mark.parametrize("profile", [CPU, GPU], ids=lambda profile: profile.name)
@pytest.mark.parametrize("name", ["birnn", "cnn", "rcnn"])
def test_recommended_point_is_known_where_tuned_ones_fall_together(
    asked: Request, name: str, profile: Profile
) -> None:
    """It comes after those tuned by hand, however many of them are left."""
    config = plan_sweep(replace(asked, model=name), profile).config
    slot = config.recommended_slot
    assert slot == len(config.starting_points) - 1 == config.num_hand_tuned
    point = config.starting_points[slot]
    recommended = ARCHITECTURES[name].select_recommended(on_cpu=profile == CPU)
    assert point["lr"] == recommended["lr"]


def test_tuned_point_that_equals_the_recommended_one_is_that(asked: Request) -> None:
    """Where everything is fixed, there is one point."""
    fixed = ("lr=0.01", "beta1=0.9", "beta2=0.99", "hidden_size=16", "num_layers=2")
    config = plan_sweep(replace(asked, fixed=fixed), CPU).config
    assert (len(config.starting_points), config.recommended_slot) == (1, 0)


@pytest.mark.parametrize(
    ("profile", "recipe", "size"), [(CPU, None, 32), (CPU, "report", 64), (GPU, None, 64)]
)
def test_hand_tuned_sizes_move_into_the_space_of_a_cpu(
    asked: Request, profile: Profile, recipe: str | None, size: int
) -> None:
    """There an epoch of theirs would take minutes; the report's recipe has them exact anywhere."""
    config = plan_sweep(replace(asked, recipe=recipe), profile).config
    tuned = config.starting_points[: config.num_hand_tuned]
    assert {point["hidden_size"] for point in tuned} == {size}
    assert {point["lr"] for point in tuned} == {1e-3, 5e-4}


def test_own_network_is_known_by_what_it_does(
    asked: Request, tmp_path: Path, own_network: Path
) -> None:
    """A comment makes no other network of it, nor another place; a changed program does."""
    path = tmp_path / "mynet.py"
    path.write_bytes(own_network.read_bytes())
    request = replace(asked, model=f"{path}:MyNet")
    plan = plan_sweep(request, CPU)
    files = plan.files
    moved = tmp_path / "elsewhere.py"
    moved.write_bytes(own_network.read_bytes() + b"\n# changed\n")
    path.unlink()
    again = plan_sweep(replace(request, model=f"{moved}:MyNet"), CPU, plan.config, files=files)
    kept = again.config.model_copy(
        update={"model": plan.config.model, "model_digest": plan.config.model_digest}
    )
    assert kept == plan.config
    moved.write_bytes(own_network.read_bytes() + b"\nCHANGED = 1\n")
    with pytest.raises(ConflictError, match=r"got elsewhere\.py that does something else"):
        plan_sweep(replace(request, model=f"{moved}:MyNet"), CPU, plan.config, files=files)


def test_sweep_goes_on_with_the_network_it_keeps(
    asked: Request, tmp_path: Path, own_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file is gone, for who trusts what the database holds."""
    path = tmp_path / "mynet.py"
    path.write_bytes(own_network.read_bytes() + b"\n# of this test alone\n")
    request = replace(asked, model=f"{path}:MyNet")
    plan = plan_sweep(request, CPU)
    path.unlink()
    assert plan_sweep(request, CPU, plan.config, files=plan.files).config == plan.config
    monkeypatch.setenv("SWEEP_TRUST_CODE", "0")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("sweep.files.trust._given", set())
    with pytest.raises(ModelError, match=r"mynet\.py is code that comes with the sweep"):
        plan_sweep(request, CPU, plan.config, files=plan.files)
