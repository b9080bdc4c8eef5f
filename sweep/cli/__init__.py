"""The command line: arguments to one call. The only place that prints or exits.

Nothing heavy is imported before a command needs it, so that `sweep --help` answers at once.
"""

from __future__ import annotations

import copy
import functools
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.models import CommandInfo

from sweep.cli.add import add
from sweep.cli.best import best, evaluate, score
from sweep.cli.change import change
from sweep.cli.compare import compare
from sweep.cli.config import config
from sweep.cli.configured import Program
from sweep.cli.confirm import confirm
from sweep.cli.curve import curve
from sweep.cli.dashboard import dashboard
from sweep.cli.data import data_app
from sweep.cli.export_to import export_to
from sweep.cli.faults import conclude
from sweep.cli.models import models
from sweep.cli.output import check_texts, prepare_streams
from sweep.cli.predict import predict
from sweep.cli.report import report
from sweep.cli.run import run, worker
from sweep.cli.status import list_sweeps, resume, status, stop
from sweep.cli.storage import storage_app
from sweep.cli.trials import epochs, trials
from sweep.errors import ConfigError


class Commands(TyperGroup):
    """The commands; what is said of a wrong argument may repeat it, but no password in it."""

    def invoke(self, ctx: Any) -> Any:
        """Call a command."""
        try:
            return super().invoke(ctx)
        except Exception as exc:
            if hasattr(exc, "message") and hasattr(exc, "ctx"):  # the parser's, of wrong usage
                from sweep.storage.passwords import hide_passwords

                exc.message = hide_passwords(str(exc.message))
            raise


def print_version(is_asked: bool) -> None:
    """Print the version and leave, where that is asked."""
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"sweep {version('pv-sweep')}")
        raise typer.Exit


app = Program(
    name="sweep",
    cls=Commands,
    help="Hyperparameter sweeps for networks that find proton-proton collision points.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def describe_program(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=print_version, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Hyperparameter sweeps for networks that find proton-proton collision points."""


app.command()(run)
app.command()(status)
app.command("list")(list_sweeps)
app.command()(stop)
app.command()(resume)
app.command()(add)
# What it does not know it refuses itself: with the reason where `sweep run` knows it.
_OTHERS = {"ignore_unknown_options": True, "allow_extra_args": True}
app.command(context_settings=_OTHERS)(change)
app.command()(best)
app.command()(trials)
app.command()(epochs)
app.command()(evaluate)
app.command()(predict)
app.command()(score)
app.command()(curve)
app.command()(confirm)
app.command()(compare)
app.command()(report)
app.command()(export_to)
app.command()(models)
app.command()(dashboard)
app.command()(config)
app.add_typer(data_app, name="data")
app.add_typer(storage_app, name="storage")
app.command()(worker)


def main() -> None:
    """Run the command line: a known fault is one line and exit code 1, an unknown one a traceback.

    Ctrl-C outside of a sweep's training ends with exit code 130.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # idle threads, which no fork would have
    # Otherwise the parser has the data of all that is installed read for plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    prepare_streams()
    sys.exit(conclude(_call))


def _call() -> None:
    check_texts(sys.argv[1:], os.environ, find_folder())
    build_command(sys.argv[1] if len(sys.argv) > 1 else "")()


@functools.cache
def build_command(word: str = "") -> Any:
    """Build the parser, which takes longer than most refusals: of the command that is named alone,
    or of all where none has that name.
    """
    named = [one for one in app.registered_commands if get_name(one) == word]
    if not named:
        return typer.main.get_command(app)
    part = copy.copy(app)
    part.registered_commands, part.registered_groups = named, []
    return typer.main.get_command(part)


def get_name(command: CommandInfo) -> str:
    """Give what a person types for a command."""
    return command.name or str(getattr(command.callback, "__name__", ""))


def find_folder() -> str:
    """Find the folder that the command runs in.

    Raises:
        ConfigError: when it was removed meanwhile.
    """
    try:
        return os.getcwd()
    except FileNotFoundError as exc:
        raise ConfigError(
            "folder: it is gone, got one that was removed, expected one that is there; "
            "`cd` to another"
        ) from exc
