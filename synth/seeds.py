"""Seeds derived from names, so that adding a person or file leaves the images of all others unchanged."""

from __future__ import annotations

import hashlib


def derive_seed(*parts: object) -> int:
    """Return a seed below 2^48 that depends on the text of these parts only."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:6])
