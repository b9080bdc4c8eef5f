"""A network's files: what belongs to them, what they mean, and that they run apart from others."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest
import torch

from sweep.models import find_architecture
from sweep.models.isolation import Isolation
from sweep.models.source import Source, list_changes, list_file_uses, read_source
from sweep.models.space import Float

NETWORK = """import torch
from my_blocks import SCALE
import parts.layers
from parts import norm
from .near import SHIFT


class MyNet(torch.nn.Module):
    space = {"width": "1:4"}

    def __init__(self, width):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(SCALE))
        self.constant = parts.layers.CONSTANT

    def forward(self, x_BCL):
        from late import identity

        return identity(x_BCL[:, 0] * self.scale + SHIFT)
"""
FILES = {
    "net.py": NETWORK,
    "my_blocks.py": "SCALE = 0.5\n",
    "near.py": "SHIFT = 0.0\n",
    "late.py": "from my_blocks import SCALE\nimport net\n\ndef identity(y_BL):\n    return y_BL\n",
    "parts/__init__.py": "",
    "parts/layers.py": "from .deep.table import CONSTANT\nfrom . import norm\n",
    "parts/norm.py": "import parts.layers\n",
    "parts/deep/table.py": "CONSTANT = 3\n",
}


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Write files into a folder, and others that no network imports; gives the first."""
    for name, content in {**files, "unused.py": "syntax error", "torch/notes.txt": ""}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / next(iter(files))


def make(main: str, **others: str) -> Source:
    """Make a source of texts: the main file, and modules by their names."""
    files = {"net.py": main, **{f"{name}.py": text for name, text in others.items()}}
    return Source("net.py", {name: text.encode() for name, text in files.items()})


def run(source: Source) -> object:
    """Run a source and give its `VALUE`."""
    return Isolation(source, Path("/nowhere")).run().VALUE


def test_source_is_the_file_and_what_it_imports_of_its_folder(tmp_path: Path) -> None:
    """In turn, by full and by relative names, packages with and without `__init__`, in circles."""
    source = read_source(write(tmp_path, dict(FILES)))
    assert {path: content.decode() for path, content in source.files.items()} == FILES
    assert source.main == "net.py"


def test_source_runs_where_its_files_are_gone(tmp_path: Path) -> None:
    """What was read runs, whatever the disk has by then; nothing of it takes a common name."""
    path = write(tmp_path, dict(FILES))
    source = read_source(path)
    for name in FILES:
        (tmp_path / name).write_text("raise SystemExit('changed')")
    architecture = find_architecture(f"{path}:MyNet", source)
    network = architecture.build({"width": 1})
    assert network(torch.ones(1, 4, 4000)).unique().tolist() == [0.5]
    assert not {"my_blocks", "parts", "near", "late", "net"} & set(sys.modules)


def test_networks_with_modules_of_one_name_do_not_meet() -> None:
    """Two sweeps' `blocks`, a network's own `models`, and one called as a module of Python."""
    for value in (1, 2):
        source = make("import blocks\nVALUE = blocks.VALUE", blocks=f"VALUE = {value}")
        assert run(source) == value
    assert run(make("import models\nVALUE = models.VALUE", models="VALUE = 3")) == 3
    assert run(make("import queue\nVALUE = queue.VALUE", queue="VALUE = 4")) == 4
    assert run(make("from sweep.models.space import Float as VALUE")) is Float
    assert run(make("from models.space import Float as VALUE")) is Float  # as it was called before
    assert run(make("import models.space\nVALUE = models.space.Float")) is Float


def test_source_that_fails_leaves_nothing_behind() -> None:
    """Neither modules nor a finder, which each later import would ask."""
    before = list(sys.meta_path), set(sys.modules)
    with pytest.raises(KeyError):
        run(make("import blocks", blocks="raise KeyError('no')"))
    assert (list(sys.meta_path), set(sys.modules)) == before


def test_encodings_are_those_of_python(tmp_path: Path) -> None:
    """Latin-1 by its declaration, a byte-order mark, and Windows' line ends."""
    path = write(
        tmp_path,
        {
            "net.py": b"import mark, lines\nVALUE = mark.A + lines.B\n",
            "mark.py": b"\xef\xbb\xbfA = '\xc3\xa9'\n",
            "lines.py": b"# -*- coding: latin-1 -*-\r\nB = '\xe9'\r\n",
        },
    )
    assert run(read_source(path)) == "éé"


def test_text_of_a_network_can_be_had() -> None:
    """By `inspect`, which TorchScript and tracebacks use, from what ran."""
    module = Isolation(make("def f():\n    return 1\n"), Path("/nowhere")).run()
    assert inspect.getsource(module.f) == "def f():\n    return 1\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 0.5", "# the scale\nSCALE   =  (0.5)"),
        ("from blocks", '"""A note."""\nfrom blocks'),
        ("    return 0", '    """Nothing."""\n    return 0'),
    ],
)
def test_comments_layout_and_docstrings_mean_nothing(old: str, new: str) -> None:
    """Also of a module beside the file, and under another name of the file."""
    main = "from blocks import SCALE\nVALUE = 1\ndef f():\n    return 0\n"
    blocks = "SCALE = 0.5\n"
    found = make(main.replace(old, new), blocks=blocks.replace(old, new))
    assert list_changes(make(main, blocks=blocks), found) == []
    files = {"other.py" if path == "net.py" else path: c for path, c in found.files.items()}
    assert list_changes(make(main, blocks=blocks), Source("other.py", files)) == []


def test_change_of_what_a_file_does_is_told_by_its_name() -> None:
    """Of a value, of a module that came or went, and of a docstring that is read."""
    main = "from blocks import SCALE\n"
    stored = make(main, blocks="SCALE = 0.5")
    assert list_changes(stored, make(main, blocks="SCALE = 0.6")) == ["blocks.py"]
    assert list_changes(stored, make(main + "X = None", blocks="SCALE = 0.5")) == ["net.py"]
    assert list_changes(stored, make(main)) == ["blocks.py"]
    reader = "'''one'''\nVALUE = float(__doc__)"
    assert list_changes(make(reader), make(reader.replace("one", "two"))) == ["net.py"]


def test_seal_differs_with_any_byte() -> None:
    """What is trusted is one content, comments and names of files and all."""
    sources = [
        make("A = 1", blocks="B = 1"),
        make("A = 1 ", blocks="B = 1"),
        make("A = 1", blocks="B = 1 "),
        make("A = 1", other="B = 1"),
        make("A = 1"),
    ]
    assert len({source.seal for source in sources}) == len(sources)


@pytest.mark.parametrize("path", ["/etc/x.py", "../x.py", "a/../x.py", "a//x.py", "x.so", "a\0.py"])
def test_path_that_leads_elsewhere_is_refused(path: str) -> None:
    """Files may come from a database: an export would write them."""
    with pytest.raises(ValueError, match="not a file of a network"):
        Source("net.py", {"net.py": b"", path: b""})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"net.py": "from ..common import x"}, r"net.py, line 1: it imports from outside of its"),
        ({"net.py": "import old", "old.py": "print 1"}, r"syntax error in .*old.py, line 1"),
        ({"net.py": b"X = 1\0"}, "syntax error in"),
        ({"net.py": b"X = '\xff'"}, "syntax error in"),
        ({"net.py": "(" * 9000}, "syntax error in"),
        ({"net.py": "import big", "big.py": "#" * 5_000_000}, r"big.py .*too long"),
        ({"net.txt": "X = 1"}, r"not a Python file, got .*net.txt"),
    ],
)
def test_source_that_cannot_be_kept_is_refused(
    tmp_path: Path, files: dict[str, str | bytes], message: str
) -> None:
    """In one line, before any of it runs."""
    with pytest.raises(ValueError, match=message) as caught:
        read_source(write(tmp_path, files))
    assert "\n" not in str(caught.value)


def test_files_that_a_network_reads_itself_are_told(tmp_path: Path) -> None:
    """They cannot be kept with it, because nobody knows which they are."""
    text = "from pathlib import Path\nTABLE = Path(__file__).with_name('table.txt')\n"
    assert list_file_uses(read_source(write(tmp_path, {"net.py": text}))) == ["net.py, line 2"]
