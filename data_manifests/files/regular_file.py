"""Reading of a whole regular file: no folder, no pipe, no device, and not more bytes than its format needs."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from data_manifests.errors import ManifestError, ToolkitError

MAX_BYTES = 1 << 30
_MOST_TEXT = 300  # characters of a cause in a message


def read_regular_file(
    path: Path, remedy: str = "", *, error: type[ToolkitError] = ManifestError, max_bytes: int = MAX_BYTES
) -> bytes:
    """Return the bytes of a file.

    Raises `error` for a file that does not exist or cannot be read, a folder, a pipe, a device, and more than
    `max_bytes`; `remedy` ends the message.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # opening a pipe would wait for a writer
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_size <= max_bytes:
                return file.read(max_bytes)
    except FileNotFoundError:
        raise error(with_remedy(f"{str(path)!r} does not exist.", remedy)) from None
    except IsADirectoryError:
        raise error(with_remedy(f"{str(path)!r} is a folder; give a file.", remedy)) from None
    except (OSError, ValueError) as cause:  # ValueError: a name with a null byte
        raise error(with_remedy(f"{str(path)!r} cannot be read: {in_one_line(cause)}.", remedy)) from None
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
        raise error(with_remedy(f"{str(path)!r} is {kind}; give a file.", remedy))
    size, limit = status.st_size / 2**20, max_bytes / 2**20
    raise error(with_remedy(f"{str(path)!r} has {size:.0f} MiB, over the limit of {limit:.0f} MiB.", remedy))


def with_remedy(text: str, remedy: str) -> str:
    """Return a message, followed by what to do if there is anything."""
    return f"{text} {remedy}" if remedy else text


def in_one_line(cause: Exception) -> str:
    """Return the message of an exception, or its type, in one line of limited length without a full stop."""
    text = (cause.strerror if isinstance(cause, OSError) else None) or str(cause) or type(cause).__name__
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"
