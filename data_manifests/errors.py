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

from collections.abc import Iterable


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
