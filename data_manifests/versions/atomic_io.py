"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old one or the whole new one, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not mkstemp: its files are for their owner only, and a team shares a workspace.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def is_inside(real_root: str, file: Path) -> bool:
    """Whether a file lies below a folder (given as its real path) once all links are followed."""
    real = os.path.realpath(file)
    return real == real_root or real.startswith(real_root.rstrip(os.sep) + os.sep)
