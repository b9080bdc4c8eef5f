"""The command line: arguments to one call. The only place that prints or exits.

Nothing heavy is imported before a command needs it, so that `sweep --help` answers at once.
"""

from __future__ import annotations

import sys

import typer

from sweep.cli.best import best, evaluate, score
from sweep.cli.compare import compare
from sweep.cli.curve import curve
from sweep.cli.dashboard import dashboard
from sweep.cli.data import data_app
from sweep.cli.output import print_error
from sweep.cli.report import report
from sweep.cli.run import run, worker
from sweep.cli.status import list_sweeps, models, resume, status, stop
from sweep.cli.storage import storage_app
from sweep.errors import SweepError

app = typer.Typer(
    name="sweep",
    help="Hyperparameter sweeps for networks that find proton-proton collision points.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(run)
app.command()(status)
app.command("list")(list_sweeps)
app.command()(stop)
app.command()(resume)
app.command()(best)
app.command()(evaluate)
app.command()(score)
app.command()(curve)
app.command()(compare)
app.command()(report)
app.command()(models)
app.command()(dashboard)
app.add_typer(data_app, name="data")
app.add_typer(storage_app, name="storage")
app.command()(worker)


def main() -> None:
    """Run the command line: a known fault is one line and exit code 1, an unknown one a traceback.

    Ctrl-C outside of a sweep's training ends with exit code 130.
    """
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as exc:
        if not is_known(exc):
            raise
        print_error(str(exc))
        sys.exit(1)


def is_known(exc: Exception) -> bool:
    """Say whether a fault is one that a person can put right."""
    from storage.errors import StorageError

    return isinstance(exc, (SweepError, StorageError))
