"""The notebook that a physicist begins with, run from top to bottom; examples where it ended."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import forks
import sweep
import sweep.api.running
import sweep.results.export
from examples import PAGES, list_blocks, list_examples
from sweep.errors import ConfigError, SweepError
from sweep.launch.fork_server import ForkedProcess
from sweep.machine.process import COMMAND

NOTEBOOK = Path(__file__).parents[2] / "docs" / "start.ipynb"


class Kernel:
    """Stands for a notebook's: keeps what a cell shows, as `display` of IPython would."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def display(self, content: str, *, display_id: bool) -> Any:
        """Show something, and give what it is changed by."""
        self.shown.append(content)
        return SimpleNamespace(update=self.shown.append)


@dataclass(frozen=True)
class Notebook:
    """A notebook that has run: its folder, the names that it left, and what its cells showed."""

    folder: Path
    names: dict[str, Any]
    shown: list[str]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory, events_file: Path) -> Iterator[Notebook]:
    """The notebook, run from top to bottom in a folder with files of events, as IPython would.

    Its sweep trains half of its epochs, the fewest after which a network finds something.
    """
    folder = tmp_path_factory.mktemp("notebook")
    for number in range(1, 5):
        (folder / f"Set_{number}.npz").symlink_to(events_file)
    kernel, names = Kernel(), {}
    pages = SimpleNamespace(display=kernel.display, HTML=str)
    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=kernel), display=pages)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "IPython", shell)
        patch.setitem(sys.modules, "IPython.display", pages)
        patch.chdir(folder)
        patch.setattr(sweep.api.running, "begin_process", fork_process)
        patch.setattr(sweep.results.export, "run_afresh", forks.run_afresh)
        for cell in list_cells():
            exec(compile(cell, NOTEBOOK.name, "exec"), names)
    names["database"].close()
    names["running"].database.close()
    yield Notebook(folder, names, kernel.shown)
    os.remove(names["running"].log)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def fork_process(words: Sequence[str], environment: Mapping[str, str], log: int) -> ForkedProcess:
    """Fork the process of a sweep, whose trials have no pictures."""
    settings = {**environment, forks.WITHOUT_PICTURES: "1"}
    with open(os.devnull, "r+b") as nothing:
        streams = [nothing.fileno(), nothing.fileno(), log]
        own = words[len(COMMAND) :]
        return forks.start(own, streams, Path.cwd(), settings, is_session=True)


def list_cells() -> list[str]:
    """List the notebook's cells of code, with fewer epochs."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert sum("epochs=6" in cell for cell in code) == 1
    return [cell.replace("epochs=6", "epochs=3") for cell in code]


def test_notebook_runs_from_top_to_bottom(notebook: Notebook) -> None:
    """Each cell runs, the sweep is shown while it trains, and vertices come of its best network."""
    assert len(notebook.names["trials"]) == 2
    assert len(notebook.names["vertices"]) == 10
    assert "2 of 2 trials" in notebook.shown[-1]
    assert any("<th>trial</th>" in shown for shown in notebook.shown)


CHEAP = ("data describe", "status", "list", "best", "trials", "epochs", "config")
"""Commands of examples that are run where the notebook ended."""
DEAR = {"--watch", "--export", "--plot", "NAME"}


def list_cheap() -> list[tuple[str, ...]]:
    """List the examples that take no time and leave nothing to choose."""
    found = [
        example.words
        for example in list_examples()
        if " ".join(example.words).startswith(CHEAP)
        and DEAR.isdisjoint(example.words)
        and (example.is_whole or len(example.words) == 1)
        and not example.is_told
    ]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("words", list_cheap(), ids=" ".join)
def test_examples_of_commands_run(
    words: tuple[str, ...], notebook: Notebook, tmp_path: Path, call: Callable[..., Any]
) -> None:
    """Those of the documents that take no time, where the notebook has ended."""
    for path in notebook.folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    answer = call(*words)
    assert answer.code == 0, answer.err
    assert answer.out


PYTHON = [block for page in PAGES for block in list_blocks(page, "python")]
EXAMPLES = [block for block in PYTHON if re.search(r"^import sweep\b", block, re.MULTILINE)]


@pytest.mark.parametrize("block", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_in_python_run(
    block: str, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the documents, but for the search that one of them starts."""
    monkeypatch.chdir(notebook.folder)
    tree = ast.parse(block)
    tree.body = [line for line in tree.body if "sweep.start" not in ast.unparse(line)]
    names: dict[str, Any] = {}
    exec(compile(tree, "example", "exec"), names)
    assert "trials" in names or len(names["vertices"]) == 10


def test_example_of_a_network_begins_at_nothing() -> None:
    """It can be built at both ends of its space, and what it says at first is no peak."""
    (block,) = list_blocks(NOTEBOOK.with_name("own-network.md"), "python")
    names: dict[str, Any] = {}
    exec(block, names)
    for hidden_size, skip in ((8, False), (32, True)):
        heights_BL = names["MyNet"](hidden_size, skip)(torch.zeros(2, 4, 4000))
        assert heights_BL.shape == (2, 4000)
        assert heights_BL.max() < 1e-5


def test_examples_of_faults_are_told_so(folder: Path, call: Callable[..., Any]) -> None:
    """The page on faults shows a line that is printed."""
    (block,) = [text for text in list_blocks(NOTEBOOK.with_name("errors.md"), "") if "$ " in text]
    command, told = block.splitlines()
    answer = call(*shlex.split(command.removeprefix("$ sweep ")))
    assert (answer.code, answer.err) == (1, f"{told}\n")


@pytest.mark.parametrize(
    ("options", "fault", "said"),
    [({"trials": -1}, SweepError, "trials: got -1"), ({"trails": 5}, ConfigError, "--trails")],
)
def test_what_the_command_refuses_is_raised(
    folder: Path, options: dict[str, Any], fault: type[SweepError], said: str
) -> None:
    """With the line that a person would read."""
    running = sweep.start("cnn", storage="sqlite:///none.db", **options)
    with pytest.raises(fault, match=said):
        running.wait()
    assert not running.is_running
    os.remove(running.log)
