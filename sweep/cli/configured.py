"""How every command takes what is not typed from `sweep.toml`, by one lookup."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import typer
from typer.core import TyperCommand

from sweep.cli.options import Config, Site
from sweep.errors import ConfigError
from sweep.settings.settings import Settings, find_settings
from sweep.settings.settings_file import KEPT, PLACES, SPACE

TAKES_ALL = "run"
"""The command that takes every key; the others take places alone, those that they have."""
WHILE_TRAINING = ("launcher", "timeout", "audit", "track")
"""Keys that say nothing where `--detach` has nothing trained."""
SAID = "sweep.said"
"""Where the context of a command has what files alone say, nobody typing it, of what is KEPT."""


class Program(typer.Typer):
    """Commands, each of which takes `--config` and `--site` where it takes a place."""

    def command(  # type: ignore[override]  # the rest of Typer's own is not used
        self, name: str | None = None, **settings: Any
    ) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Register a command."""

        def register(command: Callable[..., None]) -> Callable[..., None]:
            names = inspect.signature(command).parameters
            if PLACES.isdisjoint(names) or "config" in names:
                return super(Program, self).command(name, **settings)(command)
            super(Program, self).command(name, cls=Configured, **settings)(_extend(command))
            return command

        return register


class Configured(TyperCommand):
    """A command whose defaults are what the files say."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the files that hold for this call, then the arguments."""
        typed, _rest, _order = self.make_parser(ctx).parse_args(args=list(args))
        if not typed.get("help") and typed.get("parent") is None:  # who starts it says everything
            try:
                settings = find_settings(typed.get("config"), typed.get("site"))
                args = self._lay_under(ctx, settings, typed, args)
            except ConfigError:
                if not ctx.resilient_parsing:  # a shell that completes is told of nothing
                    raise
        return super().parse_args(ctx, args)

    def _lay_under(
        self, ctx: Any, settings: Settings, typed: dict[str, Any], args: list[str]
    ) -> list[str]:
        """Make settings the defaults of options; what they say of the space comes first."""
        from sweep.cli.output import print_note

        for note in settings.notes:
            print_note(note)
        takes_all = self.name == TAKES_ALL
        keys = {
            max(option.opts, key=len).removeprefix("--").replace("-", "_"): option.name
            for option in self.params
        }
        unheard = WHILE_TRAINING if typed.get(keys.get("detach", "")) else ()
        ctx.default_map = {
            keys[key]: setting.value
            for key, setting in settings.values.items()
            if key in keys and key not in unheard and (takes_all or key in PLACES)
        }
        if not takes_all:
            return args
        for key, setting in settings.withheld.items():
            if typed.get(keys[key]) is None:
                raise ConfigError(
                    f"{setting.sayer}: {key}: would have code run, got {setting.value!r} in a "
                    f"file above this folder, expected it typed; type --{key.replace('_', '-')}, "
                    "or name the file with --config"
                )
        space = {key: one for key, one in settings.values.items() if key.startswith(f"{SPACE}.")}
        texts = (*(typed.get("dimensions") or ()), *(typed.get("fixed") or ()))
        named = {f"{SPACE}.{text.partition('=')[0].strip()}" for text in texts}
        ctx.meta[SAID] = {
            key: one
            for key, one in settings.values.items()
            if (key in space and key not in named) or (key in KEPT and typed.get(keys[key]) is None)
        }
        words = [f"--set={key.removeprefix(f'{SPACE}.')}={one.value}" for key, one in space.items()]
        return [*words, *args]


def _extend(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take both options, of which it sees nothing."""
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=hints[parameter.name], kind=parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(command).parameters.values()
    ]
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in (("config", Config), ("site", Site))
    ]

    def call(config: str | None, site: str | None, **given: Any) -> None:  # noqa: ARG001
        command(**given)

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    call.__annotations__ = {one.name: one.annotation for one in (*own, *more)}
    call.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]
    return call
