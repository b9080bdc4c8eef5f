"""What `sweep.toml` adds to the options of `sweep run`. Loads nothing heavy."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from sweep.cli.job_options import JobOptions
from sweep.errors import ConfigError
from sweep.plan.request import NOT_IN_FILES, Request, merge_requests, read_number, read_request

NUMBERS = {"timeout": "timeout_s", "trial_timeout": "trial_timeout_s"}
WHOLE_NUMBERS = {"trials": "trials", "workers": "workers", "priority": "priority"}
TRUST_KEY = "trust_code"
FILE_KEYS = ", ".join(
    [field.name for field in fields(Request) if field.name not in NOT_IN_FILES]
    + [*WHOLE_NUMBERS, *NUMBERS, "sweep", TRUST_KEY, "[space]"]
)
DEFAULT_CONFIG = Path("sweep.toml")


def lay_over_file(
    request: Request, options: JobOptions, config: Path | None
) -> tuple[Request, JobOptions, bool]:
    """Take from a TOML file what the command line does not say.

    Args:
        request: What the command line says of the sweep.
        options: What it says of the job.
        config: The file, or None for a `sweep.toml` that need not be there.

    Returns:
        What both say, and whether the file trusts all code.

    Raises:
        ConfigError: when the file is missing, is no TOML, or says what cannot be.
    """
    if config is None and not DEFAULT_CONFIG.is_file():
        return request, options, False
    path = config or DEFAULT_CONFIG
    asked, others = read_request(path)
    trusts = others.pop(TRUST_KEY, False)
    if not isinstance(trusts, bool):
        raise ConfigError(f"{path}: {TRUST_KEY}: got {trusts!r}, expected true or false; mend it")
    known = {
        field: _take(path, others, key, kind)
        for kind, keys in ((int, WHOLE_NUMBERS), (str, {"sweep": "sweep"}))
        for key, field in keys.items()
    } | {
        field: read_number(path, key, others.pop(key))
        for key, field in NUMBERS.items()
        if key in others
    }
    if others:
        raise ConfigError(
            f"{path}: unknown key, got {', '.join(others)}, expected one of {FILE_KEYS}; check the "
            "spelling"
        )
    given = {key: value for key, value in known.items() if getattr(options, key) is None}
    return merge_requests(request, asked), replace(options, **given), trusts


def _take(path: Path, content: dict[str, Any], key: str, kind: Any) -> Any:
    """Take a key out of a file's content; None where it is not there."""
    value = content.pop(key, None)
    if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
        raise ConfigError(f"{path}: {key}: got {value!r}, expected another kind; mend it")
    return value
