"""Texts that become file names: hashes, ids and relative paths, checked before anything is written."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from data_manifests.errors import PhotoError

_HASH = re.compile(r"[0-9a-f]{64}")
_SHORT = 50  # characters, at most 200 bytes of the 255 that a file system allows


def is_hash(text: object) -> bool:
    """Return whether a text is a SHA-256 in 64 hex digits, which is safe as a file name."""
    return isinstance(text, str) and _HASH.fullmatch(text) is not None


def file_key(sha256: str | None, sample_id: str) -> str:
    """Return 64 hex digits that name the file kept for a row: its hash, else the hash of its id.

    A manifest may come from anybody, and an id such as `../../x` must not choose where a file is written.
    """
    if sha256 is not None and is_hash(sha256):
        return sha256
    return hashlib.sha256(f"{sha256 or ''}\0{sample_id}".encode("utf8", "surrogateescape")).hexdigest()


def check_relative(root: Path, path: str) -> Path:
    """Return `root/path`. Raises PhotoError for a path that leads out: absolute, with `..` or with a NUL byte."""
    parts = path.replace("\\", "/").split("/")
    if not path or "\0" in path or ".." in parts or not parts[0] or re.match("[A-Za-z]:", path):
        raise PhotoError(f"{path!r} must be a relative path without '..' to be written below {root}.", "outside")
    return root / path


def short_name(name: str) -> str:
    """Return the beginning of a file name, short enough to add a suffix for a temporary file."""
    return name[:_SHORT]
