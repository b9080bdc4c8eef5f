"""The network of a sweep: one of this project's architectures, or a person's own.

A person's own is known by what its files do, wherever they lie. They are read and compared before
any of them runs, and those that a sweep keeps run only where they are trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sweep.config import SweepConfig, find_file, get_label
from sweep.errors import ConfigError, ConflictError, ModelError
from sweep.files.trust import VARIABLE, is_trusted, vouch
from sweep.models import ARCHITECTURES, Architecture, find_architecture
from sweep.models.source import Source, list_changes, list_file_uses, read_source

ALL = "all"
"""What `--model` takes for all architectures of this project."""


@dataclass(frozen=True)
class Network:
    """An architecture, with the files it was loaded from.

    Attributes:
        source: The files; None for the architectures of this project.
        fault: Why it could not be noted for later commands that a person trusts them, or None.
    """

    architecture: Architecture
    source: Source | None
    fault: str | None = None

    @property
    def digest(self) -> str:
        """Hash of the files; empty for the architectures of this project."""
        return self.source.digest if self.source else ""

    @property
    def files(self) -> Mapping[str, bytes]:
        """The files; none for the architectures of this project."""
        return self.source.files if self.source else {}

    def list_cautions(self) -> list[str]:
        """List what a person should know of their own network's files, one line each."""
        cautions = []
        if self.fault:
            cautions.append(
                f"model: that you trust these files cannot be remembered ({self.fault}); other "
                "commands will ask for --trust-code"
            )
        uses = list_file_uses(self.source) if self.source else []
        if uses:
            cautions.append(
                f"model: {uses[0]}: it asks for its place (__file__); what it may read there is "
                "not kept with the sweep, and neither other machines nor exports have it"
            )
        return cautions


def is_own(model: str) -> bool:
    """Say whether a model is a person's own, as `FILE.py:CLASS`."""
    return ":" in model


def list_models(model: str) -> tuple[str, ...]:
    """List the architectures that a text names: one, several with commas between, or `all`.

    Raises:
        ConfigError: when one is named twice.
    """
    if model == ALL:
        return tuple(ARCHITECTURES)
    if get_label(model).isidentifier() and find_file(model).is_file():  # a path may have commas
        return (model,)
    models = tuple(part.strip() for part in model.split(","))
    if len(set(map(get_label, models))) < len(models):
        raise ConfigError(
            f"model: named twice, got {model}, expected each architecture once; rename one"
        )
    return models


def require_model(model: str | None) -> str:
    """Refuse that no model is named where nothing else names one.

    Raises:
        ConfigError: when it is None.
    """
    if model is None:
        raise ConfigError("model: not given, got nothing, expected a name; add --model cnn")
    return model


def resolve_model(model: str) -> str:
    """Give an architecture's name, or a person's own network by a path that holds anywhere."""
    return f"{find_file(model).resolve()}:{get_label(model)}" if is_own(model) else model


def refuse_several(model: str | None, what: str) -> None:
    """Refuse several architectures where one is trained.

    Raises:
        ConfigError: when a text names more than one.
    """
    if model is not None and len(list_models(model)) > 1:
        raise ConfigError(f"model: {what} has one, got {model}, expected one name; choose one")


def check_name(model: str) -> None:
    """Refuse a name that no architecture has, and a file that is not there; loads neither.

    Raises:
        ModelError: when there is none.
    """
    if is_own(model):
        file = find_file(model)
        if not file.is_file():
            raise ModelError(f"model: no such file, got '{file}', expected a Python file")
    elif model not in ARCHITECTURES:
        load_model(model)  # says so


def check_names(text: str) -> None:
    """Refuse a text that names an architecture or a file which is not there, as `check_name`.

    Raises:
        ConfigError, ModelError: when there is none, or one is named twice.
    """
    for model in list_models(text):
        check_name(model)


def read_own(model: str) -> Source:
    """Read the files of a person's own network, named as `FILE.py:CLASS`.

    Raises:
        ModelError: when they cannot be read.
    """
    try:
        return read_source(find_file(model))
    except ValueError as exc:
        raise ModelError(str(exc)) from exc


def load_model(model: str, source: Source | None = None) -> Network:
    """Load an architecture; a person's own, which they named, by running its file.

    Args:
        model: Its name.
        source: The files, where they were read already.

    Raises:
        ModelError: when there is none of that name or its file cannot be used.
    """
    if source is None and is_own(model):
        source = read_own(model)
    try:
        return Network(find_architecture(model, source), source)
    except ValueError as exc:
        raise ModelError(str(exc)) from exc


def open_given(model: str, source: Source | None = None) -> Network:
    """Load an architecture that the person at the keyboard named, who thereby trusts its files.

    Raises:
        ModelError: when there is none of that name or its file cannot be used.
    """
    network = load_model(model, source)
    return replace(network, fault=vouch(network.source.seal)) if network.source else network


def open_kept(
    config: SweepConfig, files: Mapping[str, bytes], *, by_worker: bool = False
) -> Network:
    """Load the network of a stored sweep; a person's own only where it is trusted.

    Args:
        files: That the sweep keeps of it. One that an older version made keeps none: then the file
            has to be where it was.
        by_worker: Whether nobody typed a command for this very sweep.

    Raises:
        ConflictError: when the files are not those that the config speaks of.
        ModelError: when they are not trusted, or cannot be used.
    """
    if not is_own(config.model):
        return load_model(config.model)
    source = _read_kept(config, files)
    if source.digest != config.model_digest:
        raise ConflictError(
            f"model: {config.model} is another program than the sweep began with, got hash "
            f"{source.digest}, expected {config.model_digest}; bring the file back, or start a new "
            "sweep"
        )
    if not is_trusted(source.seal, by_worker=by_worker):
        raise ModelError(
            f"model: {source.main} is code that comes with the sweep, got no word that it may run "
            f"here, expected --trust-code (or {VARIABLE}=1); say so where you trust all who can "
            "write to this database"
        )
    return load_model(config.model, source)


def open_all_kept(
    config: SweepConfig, files: Mapping[str, bytes], *, by_worker: bool = False
) -> dict[str, Network]:
    """Load all networks of a stored sweep, by their labels; arguments and faults as `open_kept`."""
    return {view.label: open_kept(view, files, by_worker=by_worker) for view in config.narrow_all()}


def _read_kept(config: SweepConfig, files: Mapping[str, bytes]) -> Source:
    if not files:
        return read_own(config.model)
    own = {name: files[name] for name in config.files if name in files} if config.files else files
    try:
        return Source(find_file(config.model).name, own)
    except ValueError as exc:
        raise ModelError(str(exc)) from exc


@dataclass(frozen=True)
class Chosen:
    """A network that a sweep is to train.

    Attributes:
        model: Its name.
        stored: The config of the sweep that goes on, with its model where it lies now, or None.
    """

    model: str
    network: Network
    stored: SweepConfig | None

    @property
    def label(self) -> str:
        """Name of the architecture, without its file."""
        return get_label(self.model)


def choose_network(
    asked: str | None, stored: SweepConfig | None, files: Mapping[str, bytes]
) -> Chosen:
    """Load the network that was asked for, or that of the sweep that goes on.

    Args:
        asked: As a person typed it, or None.
        stored: The config of the sweep that goes on, or None.
        files: That it keeps of its network.

    Raises:
        ConfigError: when nothing was asked for a new sweep.
        ConflictError: when the files that were asked for do something else than those of the sweep.
        ModelError: when the network cannot be used, or is not trusted.
    """
    model = resolve_model(asked) if asked else require_model(stored.model if stored else None)
    if stored is None or not _has_name_of(model, stored.model):
        return Chosen(model, open_given(model), stored)
    if asked is None or (model == stored.model and files and not find_file(model).is_file()):
        return Chosen(stored.model, open_kept(stored, files), stored)
    source = read_own(model)
    changes = _list_changes(stored, files, source)
    if changes:
        raise ConflictError(
            f"sweep: it is another one already, got {', '.join(changes)} that does something else "
            f"than what the sweep keeps (model_digest: stored {stored.model_digest}, asked "
            f"{source.digest}), expected no difference; bring the network back as it was, or give "
            "the new sweep a name with --sweep"
        )
    moved = stored.model_copy(update={"model": model, "model_digest": source.digest})
    return Chosen(model, open_given(model, source), moved)


def is_same_network(model: str, stored: SweepConfig, files: Mapping[str, bytes]) -> bool:
    """Say whether a model that a person named is that of a stored sweep.

    Raises:
        ModelError: when its file cannot be read.
    """
    model = resolve_model(model)
    if not _has_name_of(model, stored.model):
        return model == stored.model
    return not _list_changes(stored, files, read_own(model))


def _has_name_of(model: str, stored: str) -> bool:
    """Say whether both are a person's own, with a class of the same name."""
    both = is_own(model) and is_own(stored)
    return both and get_label(model) == get_label(stored)


def _list_changes(stored: SweepConfig, files: Mapping[str, bytes], source: Source) -> list[str]:
    """List the files that do something else than what the sweep keeps."""
    if not files:
        return [] if source.digest == stored.model_digest else [source.main]
    return list_changes(_read_kept(stored, files), source)
