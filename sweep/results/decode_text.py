"""Settings of the peak finder as `--decode` takes them."""

from __future__ import annotations

import math
from dataclasses import replace

from sweep.errors import ConfigError
from sweep.metrics.decode import REFERENCE, Decode

REFERENCE_WORD = "reference"


def parse_decode(text: str, base: Decode = REFERENCE) -> Decode:
    """Read settings as `--decode` takes them: `reference`, or `threshold=0.02,width=4`.

    Args:
        base: What holds for a setting that is not named.

    Raises:
        ConfigError: when a name or a value is none.
    """
    if text.strip() == REFERENCE_WORD:
        return REFERENCE
    found = base
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        try:
            if name == "width":
                found = replace(found, min_width=int(value))
            elif name == "threshold":
                found = replace(found, threshold=float(value))
            elif name == "integral":
                found = replace(found, integral=float(value))
            else:
                raise ValueError
        except ValueError as exc:
            raise ConfigError(
                f"decode: not understood, got {part.strip()!r}, expected {REFERENCE_WORD}, or some "
                "of threshold=0.02,integral=0.3,width=3; change --decode"
            ) from exc
    check_decode(found)
    return found


def check_decode(decode: Decode) -> None:
    """Refuse settings by which no peak finder can work.

    Raises:
        ConfigError: when a value is out of its range.
    """
    is_usable = (
        0 < decode.threshold < math.inf and 0 <= decode.integral < math.inf
    ) and decode.min_width >= 1
    if not is_usable:
        raise ConfigError(
            f"decode: out of range, got {decode}, expected a threshold above 0, an integral of at "
            "least 0 and a width of at least 1; change --decode"
        )
