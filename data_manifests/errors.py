"""Every error that the toolkit raises on purpose.

    ToolkitError
    ├── ManifestError     a table, a version or a reference is not what it should be
    ├── CorrectionError   a correction CSV cannot be read or applied
    ├── BackendError      a detector, remover or model cannot be loaded (unknown name, weights missing)
    ├── StageError        a stage cannot run, or all of its records failed
    └── ConfigError       a setting has an unknown name or a value that is not allowed

A message is one line: the value, what is allowed, and what to run next. Commands print it and exit with 2;
a traceback always means a defect of ours.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_REFUSED = {errno.EACCES, errno.EPERM}
_SQLITE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}


class ToolkitError(Exception):
    """Base of all errors that a user can cause and mend."""


class ManifestError(ToolkitError):
    """A table, a version or a reference is not what it should be."""


class CorrectionError(ToolkitError):
    """A correction CSV cannot be read or applied."""


class BackendError(ToolkitError):
    """A detector, remover or model cannot be loaded."""


class StageError(ToolkitError):
    """A stage cannot run on this manifest, or all of its records failed."""


class ConfigError(ToolkitError):
    """A setting has an unknown name or a value that is not allowed."""


def must_be_one_of(what: str, allowed: Iterable[object], got: object) -> str:
    """The one wording for a value outside a closed list."""
    return f"{what} must be one of {{{', '.join(map(str, allowed))}}}. Got {got!r} instead."


def disk_is_full(error: Exception) -> bool:
    """Whether nothing more can be written at all: full, over the quota, or read-only."""
    return isinstance(error, OSError) and error.errno in _FULL


def disk_trouble(error: Exception, workspace: object) -> str | None:
    """One line about a disk that is full or refuses us, which a user can mend; None for any other error."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the higher bits say more than is needed
    if isinstance(error, sqlite3.Error) and code in _SQLITE:
        place, why = workspace, str(error)
    elif isinstance(error, OSError) and error.errno in _FULL | _REFUSED:
        place, why = error.filename or workspace, os.strerror(error.errno).lower()
    else:
        return None
    return f"{place}: {why}. Make room or set the rights there, or set WORKSPACE to another folder."
