"""Seeds: one number for each thing that is drawn, all from the sweep's own."""

from __future__ import annotations

import hashlib


def derive_seed(base: int, *parts: str | int) -> int:
    """Derive a seed that differs for each trial and purpose and is the same on every machine.

    Returns:
        A number from 0 to 2**32 - 1.
    """
    text = "/".join(str(part) for part in (base, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
