"""The exceptions that the toolkit raises for errors a user can correct.

    ToolkitError
    ├── ManifestError     a table, a version or a reference is not valid
    ├── CorrectionError   a correction CSV cannot be read or applied
    ├── BackendError      a detector, remover or model cannot be loaded (unknown name, missing weights)
    ├── StageError        a stage cannot run, or all of its records failed
    │   └── PhotoError    a photo cannot be read: the reason of its row
    └── ConfigError       a setting has an unknown name or a value that is not allowed

A message is one line with what was given, what is allowed, and what to do next. Commands print it and exit with 2.
Any other exception is a defect of the toolkit and keeps its traceback.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_ACCESS_DENIED = {errno.EACCES, errno.EPERM}
_SQLITE_DISK = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}


class ToolkitError(Exception):
    """Base class of all errors that a user can correct."""


class ManifestError(ToolkitError):
    """A table, a version or a reference is not valid."""


class CorrectionError(ToolkitError):
    """A correction CSV cannot be read or applied."""


class BackendError(ToolkitError):
    """A detector, remover or model cannot be loaded."""


class StageError(ToolkitError):
    """A stage cannot run on this manifest, or all of its records failed."""


class PhotoError(StageError):
    """A photo cannot be read. `kind` is missing, outside, changed, unreadable or broken."""

    def __init__(self, reason: str, kind: str) -> None:
        super().__init__(reason, kind)
        self.kind = kind

    def __str__(self) -> str:
        return str(self.args[0])


class ConfigError(ToolkitError):
    """A setting has an unknown name or a value that is not allowed."""


def must_be_one_of(name: str, allowed: Iterable[object], got: object) -> str:
    """Return the message for a value outside a closed set."""
    return f"{name} must be one of {{{', '.join(map(str, allowed))}}}. Got {got!r} instead."


def is_disk_full(error: Exception) -> bool:
    """Return whether no further write can succeed: the disk is full, over its quota, or read-only."""
    return isinstance(error, OSError) and error.errno in _DISK_FULL


def disk_error_message(error: Exception, workspace: object) -> str | None:
    """Return a one-line message for a full disk or denied access, or None for any other error.

    `workspace` is named if the error names no file.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the lower byte is the primary result code
    if isinstance(error, sqlite3.Error) and code in _SQLITE_DISK:
        place, cause = workspace, str(error)
    elif isinstance(error, OSError) and error.errno in _DISK_FULL | _ACCESS_DENIED:
        place, cause = error.filename or workspace, os.strerror(error.errno).lower()
    else:
        return None
    return f"{place}: {cause}. Free space or change the permissions there, or set WORKSPACE to another folder."
