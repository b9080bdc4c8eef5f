"""Profiles: the sizes a sweep begins with on a kind of device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sweep.errors import check_known


@dataclass(frozen=True)
class Profile:
    """Default sizes for a kind of device."""

    name: Literal["cpu", "gpu"]
    num_train: int
    num_validation: int
    epochs: int
    batch_size: int


CPU = Profile("cpu", num_train=700, num_validation=400, epochs=8, batch_size=16)
GPU = Profile("gpu", num_train=20_000, num_validation=5000, epochs=30, batch_size=64)
PROFILES: dict[str, Profile] = {profile.name: profile for profile in (CPU, GPU)}


def choose_profile(name: str) -> Profile:
    """Choose a profile by name.

    Raises:
        ConfigError: when there is none of that name.
    """
    check_known("profile", name, PROFILES)
    return PROFILES[name]
