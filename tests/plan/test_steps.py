"""What follows from how many steps a trial has."""

from __future__ import annotations

import pytest

from sweep.models import ARCHITECTURES
from sweep.models.space import Choice, Fixed, Float
from sweep.plan.profile import CPU, GPU, Profile
from sweep.plan.recipes import build_recipe
from sweep.plan.space import choose_space
from sweep.plan.steps import fit_grace, fit_space, list_fits

SPACE = {"lr": Float(1e-4, 1e-2, "log"), "batch_size": Fixed(64)}


@pytest.mark.parametrize(
    ("num_seen", "size", "low"),
    [(600_000, 64, 1e-4), (45_000, 64, 5e-4), (4500, 16, 1e-3), (100, 16, 1e-3)],
)
def test_few_steps_shrink_batches_and_leave_out_low_rates(
    num_seen: int, size: int, low: float
) -> None:
    """Many leave the profile's as they are; a range keeps a factor of ten."""
    fitted = fit_space(SPACE, num_seen)
    assert fitted["batch_size"] == Fixed(size)
    assert fitted["lr"] == Float(low, 1e-2, "log")


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
@pytest.mark.parametrize("profile", [CPU, GPU], ids=lambda profile: profile.name)
def test_profiles_of_their_own_size_are_left_alone(name: str, profile: Profile) -> None:
    """Each default space is made for its profile's steps."""
    recipe = build_recipe("fast", None, profile.epochs)
    usual = choose_space(ARCHITECTURES[name], profile, recipe, None)
    fitted = choose_space(ARCHITECTURES[name], profile, recipe, profile.num_train)
    assert list_fits(usual, fitted) == []


def test_what_was_fitted_is_said() -> None:
    """With the option that undoes it."""
    lines = list_fits(SPACE, fit_space(SPACE, 4500))
    assert [line.rpartition("; ")[2] for line in lines] == [
        "for another one: --set lr=0.0001:0.01:log",
        "for another one: --set batch_size=64",
    ]


def test_the_reports_recipe_is_not_fitted() -> None:
    """Its settings are exact, however few the events."""
    recipe = build_recipe("report", 1, 1)
    cnn = ARCHITECTURES["cnn"]
    assert choose_space(cnn, GPU, recipe, 100) == choose_space(cnn, GPU, recipe, None)


def test_grace_is_of_steps_of_the_largest_batch() -> None:
    """So a trial of any batch size has them."""
    recipe = build_recipe("fast", 3, 3)
    graces = [
        fit_grace(recipe, {"batch_size": size}).grace_events
        for size in (Fixed(16), Fixed(64), Choice((16, 32)))
    ]
    assert graces == [recipe.grace_events, 4 * recipe.grace_events, 2 * recipe.grace_events]
