"""A sweep's space is checked by building its networks, no more strictly than training does."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch

from sweep.errors import ConfigError
from sweep.models import find_architecture
from sweep.models.space import Choice, Dimension, Fixed
from sweep.plan.space import check_space, read_assignment

NETWORK = """
import sys

import torch


class MyNet(torch.nn.Module):
    space = {"width": [2, 1], "norm": [None, "batch"]}

    def __init__(self, width, norm):
        super().__init__()
        self.width = width
        BUILD

    def forward(self, x_BCL):
        return x_BCL[:, 0] * self.width
"""
TRAINING: dict[str, Dimension] = {"lr": Fixed(0.1), "batch_size": Fixed(16)}


def check(folder: Path, build: str) -> None:
    """Check the space of a network with a line of its own in `__init__`."""
    path = folder / "mynet.py"
    path.write_text(NETWORK.replace("BUILD", build), encoding="utf-8")
    space = {**TRAINING, "width": Choice((1, 2)), "norm": Fixed(None)}
    check_space(find_architecture(f"{path}:MyNet"), space)


@pytest.mark.parametrize(
    "build",
    [
        "self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 4)]",
        "self.depth = int(torch.randint(1, 4, ()))",
        "torch.nn.init.orthogonal_(torch.empty(4, 4)); assert torch.rand(3).sum() >= 0",
        "self.table = torch.from_numpy(torch.eye(3).numpy())",
    ],
)
def test_network_that_reads_its_numbers_can_be_built(tmp_path: Path, build: str) -> None:
    """As it can in training; the random state stays as it was."""
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    check(tmp_path, build)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        ("assert width < 2, 'too wide'", "too wide"),
        ("width == 2 and sys.exit()", "SystemExit"),
    ],
)
def test_value_that_no_network_takes_is_refused(tmp_path: Path, build: str, reason: str) -> None:
    """With the value and the network's own reason, also where it would end the process."""
    with pytest.raises(ConfigError, match=rf"space.width: no network can be built.*{reason}"):
        check(tmp_path, build)


def test_network_too_large_for_the_check_is_left_to_its_trials(tmp_path: Path) -> None:
    """It may be for a larger machine; memory is bounded while it is tried, and only then."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    build = "torch.ones(()).item(); self.table = torch.ones(width - 1, 1 << 36, dtype=torch.int8)"
    check(tmp_path, build)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("norm=none", Fixed(None)),
        ("norm=null", Fixed(None)),
        ("norm=layer,none", Choice(("layer", None))),
        ('norm="none"', Fixed("none")),
        ("skip=false", Fixed(False)),
        ("skip=True,False", Choice((True, False))),
        ("activation=relu,none", Choice(("relu", "none"))),
        ("sizes=[4,8],[8]", Choice(([4, 8], [8]))),
    ],
)
def test_option_is_read_in_the_sense_of_what_it_changes(text: str, expected: Dimension) -> None:
    """`none` is None where the network's space has None, and text where that is meant."""
    space: dict[str, Dimension] = {
        "norm": Choice((None, "batch")),
        "skip": Choice((True, False)),
        "activation": Choice(("relu", "none")),
        "sizes": Fixed([8]),
    }
    assert repr(read_assignment("--set", text, space)[1]) == repr(expected)


EXITING = """
import os
import torch

class MyNet(torch.nn.Module):
    space = {"width": [4, 8, 16]}
    def __init__(self, width):
        super().__init__()
        if width == 16:
            os._exit(3)

    def forward(self, x_BCL):
        return x_BCL[:, 0]
"""


def test_value_at_which_a_network_ends_its_process_is_named(tmp_path: Path) -> None:
    """It is tried in another process: this one can say which value it was."""
    (tmp_path / "mynet.py").write_text(EXITING)
    architecture = find_architecture(f"{tmp_path}/mynet.py:MyNet")
    with pytest.raises(ConfigError, match=r"width: no network .* got 16, .*process: exit code 3"):
        check_space(architecture, architecture.space)
