"""The command line: arguments to one call. The only place that prints or exits.

Nothing heavy is imported before a command needs it, so that `sweep --help` answers at once.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sweep.cli.configured import Program
from sweep.cli.faults import conclude
from sweep.cli.output import check_texts, prepare_streams
from sweep.errors import ConfigError
from sweep.machine.garbage import begin_loading

COMMANDS = {
    "run": "run:run",
    "status": "status:status",
    "list": "status:list_sweeps",
    "stop": "status:stop",
    "resume": "status:resume",
    "add": "add:add",
    "change": "change:change",
    "best": "best:best",
    "trials": "trials:trials",
    "epochs": "trials:epochs",
    "evaluate": "best:evaluate",
    "predict": "predict:predict",
    "score": "best:score",
    "curve": "curve:curve",
    "confirm": "confirm:confirm",
    "compare": "compare:compare",
    "report": "report:report",
    "export-to": "export_to:export_to",
    "models": "models:models",
    "dashboard": "dashboard:dashboard",
    "config": "config:config",
    "data": "data:data_app",
    "storage": "storage:storage_app",
    "worker": "run:worker",
}
"""What a person types, and the module of this package and its function that does it."""
TAKES_ANY = ("change",)
"""Commands that refuse themselves what they do not know: with the reason where `run` knows it."""


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


def describe_program(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=print_version, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Hyperparameter sweeps for networks that find proton-proton collision points."""


@functools.cache
def make_program(word: str = "") -> Program:
    """Put the command of a name together, or all of them where none has it.

    What a command needs is loaded with it, which takes longer than most refusals.
    """
    program = Program(
        name="sweep",
        cls=Commands,
        help="Hyperparameter sweeps for networks that find proton-proton collision points.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    program.callback()(describe_program)
    for name in [word] if word in COMMANDS else COMMANDS:
        module, _, what = COMMANDS[name].partition(":")
        found = getattr(importlib.import_module(f"sweep.cli.{module}"), what)
        if isinstance(found, typer.Typer):
            program.add_typer(found, name=name)
            continue
        any_ = {"ignore_unknown_options": True, "allow_extra_args": True}
        program.command(name, context_settings=any_ if name in TAKES_ANY else None)(found)
    return program


def main() -> None:
    """Run the command line: a known fault is one line and exit code 1, an unknown one a traceback.

    Ctrl-C outside of a sweep's training ends with exit code 130.
    """
    begin_loading()
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
    """Build the parser of what `make_program` gives."""
    return typer.main.get_command(make_program(word))


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
