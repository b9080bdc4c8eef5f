"""`sweep report`: one HTML page that tells of sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.completion import offer_sweeps
from sweep.cli.options import (
    DEFAULT_ARTIFACTS,
    DEFAULT_STORAGE,
    Artifacts,
    Storage,
    TrustCode,
    check_stored,
    open_database,
)


def report(
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep",
            help="Tell of this one; again for more.  [all]",
            autocompletion=offer_sweeps,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    storage: Storage = DEFAULT_STORAGE,
    artifacts: Artifacts = Path(DEFAULT_ARTIFACTS),
    _trust_code: TrustCode = False,
) -> None:
    """Write one HTML page of data, architectures, tuning and sample size; it needs no network."""
    check_stored(storage, *(sweep or []))
    engine = open_database(storage)
    engine.dispose()  # a copy of this process shall not share its connections

    def write() -> None:
        from sweep.cli.output import print_note  # late: the page loads torch
        from sweep.cli.progress import show_progress
        from sweep.report.contents import choose_sweeps, write_report
        from sweep.report.page import MAX_BYTES

        chosen = choose_sweeps(engine, sweep or [])
        with show_progress("report") as progress:
            written = write_report(engine, chosen, artifacts, out, progress)
        size_mb = written.num_bytes / 1e6
        print_note(f"{out}: {', '.join(written.sweeps)}; {size_mb:.1f} MB, opens in any browser")
        if written.num_bytes > MAX_BYTES:
            cure = "; `--sweep NAME` makes a smaller one" if len(written.sweeps) > 1 else ""
            print_note(f"{out}: larger than {MAX_BYTES / 1e6:g} MB, slow to open and to send{cure}")

    from sweep.cli.apart import run_apart

    run_apart(write)
