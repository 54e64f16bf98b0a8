"""Atomic file writes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from data_manifests.photo_files import short_name


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file in one step: a reader sees the old bytes or all of the new ones, also after a power failure.

    Creates missing folders. Raises OSError, and then leaves the old file unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp would restrict the file to its owner, but several users share a workspace.
    temporary = path.with_name(f".{short_name(path.name)}.{os.getpid()}-{threading.get_ident()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
