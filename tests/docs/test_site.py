"""The site of the documents: built once, without a network, with all that the program has."""

from __future__ import annotations

import inspect
import re
import shutil
import warnings
from html import unescape
from pathlib import Path

import pytest
from sphinx.cmd.build import main as build

import sweep
from examples import ROOT
from sweep.cli import build_command
from sweep.errors import SweepError
from sweep.settings.settings_file import KINDS
from sweep.storage.errors import StorageError

OPTIONS = ("--quiet", "--fail-on-warning", "--keep-going")  # as in the Makefile


def make(source: Path, target: Path) -> int:
    """Build a site in this process, which has loaded the program already."""
    with warnings.catch_warnings(action="ignore"):  # of Sphinx about itself
        return build([*OPTIONS, "-d", str(target / "doctrees"), str(source), str(target)])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    assert make(ROOT / "docs", folder) == 0
    return folder


def read(site: Path, page: str) -> str:
    """Read a page of the site."""
    return (site / f"{page}.html").read_text(encoding="utf-8")


def test_every_command_and_option_is_described(site: Path) -> None:
    """With an entry of its own, and words."""
    page = unescape(read(site, "commands"))
    waiting = [("sweep", build_command())]
    for name, command in waiting:
        within = getattr(command, "commands", {})
        waiting += [(f"{name} {word}", one) for word, one in within.items()]
        if within:
            continue
        assert f"<h2>{name}<a" in page
        assert command.help
        for one in command.params:
            if getattr(one, "hidden", False):
                continue
            assert one.help, f"{name}: {one.name}"
            if one.opts[0].startswith("-"):
                entry = f"{name.replace(' ', '-')}-{one.opts[0].lstrip('-')}"
                assert f'id="cmdoption-{entry}"' in page
            else:
                assert one.help.partition("`")[0] in page


def test_every_key_is_described(site: Path) -> None:
    """Of `sweep.toml`: whatever the program reads there."""
    page = re.sub("</?(code|span).*?>", "", read(site, "configuration"))
    described = set(re.findall(r"<dt>(\S+)</dt>\s*<dd><p>\w", page))
    assert described == {
        *KINDS,
        "[space]",
        "[sites.NAME]",
    }


def test_every_variable_is_described(site: Path) -> None:
    """Whatever the program reads of its environment that is its own."""
    page = read(site, "configuration")
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "sweep").rglob("*.py"))
    named = {name for text in sources for name in re.findall(r'"(SWEEP_[A-Z_]+)"', text)}
    assert len(named) >= 7
    assert [name for name in sorted(named) if name not in page] == []


def test_every_public_function_is_described(site: Path) -> None:
    """Of `import sweep`, methods too: a docstring, and an entry that is made from it."""
    page = read(site, "python")
    lost = []
    for name in sweep.__all__:
        one = getattr(sweep, name)
        methods = vars(one) if inspect.isclass(one) else {}
        public = [word for word in methods if not word.startswith("_")]
        for entry in (name, *(f"{name}.{word}" for word in public)):
            found = inspect.getattr_static(one, entry.partition(".")[2]) if "." in entry else one
            if not inspect.getdoc(found) or f'id="sweep.{entry}"' not in page:
                lost.append(entry)
    assert lost == []


def test_faults_are_described(site: Path) -> None:
    """Each class that a person may catch."""
    page = read(site, "errors")
    for one in (*SweepError.__subclasses__(), *StorageError.__subclasses__()):
        assert f'id="{one.__module__}.{one.__name__}"' in page


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """No font, script, style or picture of another place: it is read without a network."""
    for page in (*site.rglob("*.html"), *site.rglob("*.css")):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"<(?:script|img|link|iframe)[^>]*https?://[^>]*>", text) == []
        assert re.findall(r"(?:url\(|@import) *[\"']?(?:https?:)?//", text) == []


def test_link_that_leads_nowhere_fails_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the line of the page that has it."""
    for name in ("conf.py", "from_code.py", "site.css"):
        shutil.copy(ROOT / "docs" / name, tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path.parent)
    (tmp_path / "index.md").write_text("# Here\n\nSee [there](there.md).\n", encoding="utf-8")
    assert make(tmp_path, tmp_path / "site") == 1
    assert "'there.md'" in capsys.readouterr().err
