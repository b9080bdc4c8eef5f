"""A person's own network: the documented protocol, and every way to get it wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sweep.models import find_architecture
from sweep.models.space import Choice, Fixed, Float, Int

GOOD = '''
"""A network of a person's own."""
import torch
from sweep.models.space import Float


class MyNet(torch.nn.Module):
    """One convolution."""

    space = {"hidden_size": "8:64:log", "dropout": Float(0.0, 0.5), "lr": "1e-3:1e-1"}

    def __init__(self, hidden_size: int, dropout: float, kernel_size: int = 5) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv1d(4, hidden_size, kernel_size, padding="same"),
            torch.nn.Dropout(dropout),
            torch.nn.Conv1d(hidden_size, 1, 1),
        )

    def forward(self, x_BCL):
        return self.layers(x_BCL)[:, 0]
'''


def write(folder: Path, text: str) -> str:
    """Write a file with a network and give the name a person would type."""
    path = folder / "mynet.py"
    path.write_text(text)
    return f"{path}:MyNet"


def test_own_network_is_loaded(tmp_path: Path) -> None:
    """The documented protocol gives an architecture that builds and predicts."""
    architecture = find_architecture(write(tmp_path, GOOD))
    assert architecture.rationale == "One convolution."
    assert architecture.space["hidden_size"] == Int(8, 64, log=True)
    assert architecture.space["dropout"] == Float(0.0, 0.5)
    assert architecture.space["lr"] == Float(1e-3, 1e-1, "log")
    assert set(architecture.space) == {"lr", "beta1", "beta2", "hidden_size", "dropout"}
    assert architecture.defaults["hidden_size"] == 23
    network = architecture.build({**architecture.defaults, "hidden_size": 8})
    assert network(torch.zeros(1, 4, 4000)).shape == (1, 4000)


TYPED = """
import torch


class MyNet(torch.nn.Module):
    space = {"skip": [True, False], "norm": None, "width": [8, 16], "sizes": [[8, 16]]}

    def __init__(self, skip, norm, width, sizes) -> None:
        super().__init__()
        self.got = (skip, norm, width, list(sizes))
        sizes.append(0)

    def forward(self, x_BCL):
        return x_BCL[:, 0]
"""


def test_python_values_of_the_space_arrive_typed(tmp_path: Path) -> None:
    """The network gets what its class says, each time, whatever it does to its own list."""
    architecture = find_architecture(write(tmp_path, TYPED))
    assert architecture.space["skip"] == Choice((True, False))
    for _time in range(2):
        network = architecture.build({**architecture.defaults, "skip": True})
        assert repr(network.got) == "(True, None, 16, [8, 16])"


def test_loading_draws_no_shared_numbers(tmp_path: Path) -> None:
    """Checking a network leaves torch's random state as it was, so seeds keep their meaning."""
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    find_architecture(write(tmp_path, GOOD))
    assert torch.equal(torch.rand(1), expected)


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    """A file that was edited and loaded again gives the new network."""
    find_architecture(write(tmp_path, GOOD))
    name = write(tmp_path, GOOD.replace('"8:64:log"', '"16"'))
    assert find_architecture(name).space["hidden_size"] == Fixed(16)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("class MyNet", "class Other", "no such class in .*got 'MyNet', expected one of .*Other"),
        ("MyNet(torch.nn.Module)", "MyNet", "MyNet in .* is no network.*torch.nn.Module"),
        ("def forward(", "def forward(:", "syntax error in .*mynet.py, line 20"),
        ("import torch", "import torchh", "mynet.py cannot be run, got ModuleNotFoundError"),
        ("    space =", "    spaces =", "has no space, got None, expected a class attribute"),
        ('"8:64:log"', '"64:8:log"', "MyNet.space.hidden_size: Int: low must be below high"),
        ('"8:64:log"', "[8, True]", "MyNet.space.hidden_size: Choice: .* are mixed, got 8,true"),
        ('"8:64:log"', "{8: 1}", "MyNet.space.hidden_size: dimension: not a value, got {8: 1}"),
        ('"1e-3:1e-1"', "[True, False]", "MyNet.space.lr: dimension: numbers are needed here"),
        ('{"hidden_size"', '{3: 1, "hidden_size"', "MyNet.space: got the name 3, expected text"),
        ('"dropout"', '"drop"', "MyNet.space: unknown hyperparameter, got drop, expected"),
        ("kernel_size: int = 5", "kernel_size: int", "hyperparameter is missing.*'kernel_size'"),
        ("[:, 0]", "", r"wrong output, got \(2, 1, 4000\), expected \(2, 4000\)"),
        ("(x_BCL)[:, 0]", "(x_BCL)[0].tolist()", "gives the wrong output, got list"),
        ("Conv1d(4,", "Conv1d(3,", r"fails on a batch of shape \(2, 4, 4000\).*RuntimeError"),
    ],
)
def test_unusable_file_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    """Each fault of the file is refused in one line that names it."""
    assert old in GOOD
    with pytest.raises(ValueError, match=message) as caught:
        find_architecture(write(tmp_path, GOOD.replace(old, new)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.py:MyNet", "no such file, got 'missing.py', expected a Python file"),
        ("mynet.py", "no class named, got 'mynet.py', expected file.py:ClassName"),
        ("mynet.py:", "no class named"),
        (":MyNet", "no class named"),
    ],
)
def test_unusable_name_is_refused(name: str, message: str) -> None:
    """A name without file or class, or of no file, is refused."""
    with pytest.raises(ValueError, match=message):
        find_architecture(name)


ENDING = """
import os
import torch

WHERE, WHAT = {where!r}, {what!r}

def act(where):
    if where == WHERE:
        exec(WHAT)

act("file")

class MyNet(torch.nn.Module):
    space = {{"width": 8}}
    def __init__(self, width):
        super().__init__()
        act("init")

    def forward(self, x_BCL):
        act("forward")
        return x_BCL[:, 0]
"""


@pytest.mark.parametrize("where", ["file", "init", "forward"])
@pytest.mark.parametrize(
    ("what", "ending"),
    [
        ("os._exit(0)", "exit code 0"),
        ("os.kill(os.getpid(), 9)", "SIGKILL, perhaps for lack of memory"),
        ("os.abort()", "SIGABRT"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_network_that_ends_its_process_is_told(
    tmp_path: Path, where: str, what: str, ending: str
) -> None:
    """It does so in another process, so that this one can say it."""
    name = write(tmp_path, ENDING.format(where=where, what=what))
    with pytest.raises(ValueError, match=rf"ends the process.*got {ending}"):
        find_architecture(name)
