"""Seeds made from words, so that adding one person or file changes nobody else's pictures."""

from __future__ import annotations

import hashlib


def seed_of(*parts: object) -> int:
    """A seed below 2^48 that depends on these words only."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:6])
