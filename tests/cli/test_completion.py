"""What the shell offers at Tab: names that are there, also those of a file; never a fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweep.cli import make_program
from sweep.models import ARCHITECTURES
from sweep.storage.engine import create_engine, parse_url
from sweep.storage.migrations import create_tables
from sweep.storage.sweeps import create_sweep

TOML = """site = "lab"
[sites.lab]
storage = "sqlite:///kept.db"
[sites.laptop]
storage = "sqlite:///sweep.db"
"""


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], list[str]]:
    """Press Tab at the end of a line, beside a database of two sweeps that a site names."""
    (tmp_path / "sweep.toml").write_text(TOML)
    engine = create_engine(parse_url(f"sqlite:///{tmp_path}/kept.db"))
    create_tables(engine)
    for name in ("cnn", "rcnn-wide"):
        create_sweep(engine, name, {}, {}, 1)
    engine.dispose()
    monkeypatch.chdir(tmp_path)

    def press(line: str) -> list[str]:
        asked = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        settings = asked | {"_SWEEP_COMPLETE": "complete_bash"}
        answer = CliRunner().invoke(make_program(), [], prog_name="sweep", env=settings)
        assert answer.stderr == ""
        return answer.stdout.split()

    return press


def test_names_are_offered(offer: Callable[[str], list[str]]) -> None:
    """Of sweeps, sites, architectures, objectives, trackers; of sweeps by the site in force."""
    sweeps = ["cnn", "rcnn-wide"]
    for line in ("best --sweep", "change", "report --sweep"):
        assert offer(f"sweep {line} ") == sweeps, line
    assert offer("sweep compare cnn r") == ["rcnn-wide"]
    assert offer("sweep best --site laptop --sweep ") == []
    assert offer("sweep run --site la") == ["lab", "laptop"]
    assert offer("sweep models --model ") == list(ARCHITECTURES)
    assert offer("sweep run --objective eff") == ["efficiency", "efficiency_at_fp"]
    assert offer("sweep run --track w") == offer("sweep export-to w") == ["wandb"]


def test_file_that_cannot_be_read_offers_nothing(
    offer: Callable[[str], list[str]], tmp_path: Path
) -> None:
    """And disturbs nobody who types."""
    (tmp_path / "sweep.toml").write_text("storage = ")
    assert offer("sweep best --site ") == offer("sweep best --sweep ") == []
