"""Functions shared by the command lines of all packages: workspace, `key=value` settings, one-line errors."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from data_manifests.errors import ConfigError, ToolkitError, disk_error_message
from data_manifests.files import in_one_line
from data_manifests.versions import Store, Version


def open_store() -> Store:
    """Return the store in `$WORKSPACE`, or in `workspace/` below the current folder."""
    return Store(Path(os.environ.get("WORKSPACE", "workspace")))


def parse_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return ("a.b=1", "c=x") as {"a.b": "1", "c": "x"}. Raises ConfigError for an item without `=`."""
    for pair in pairs:
        if "=" not in pair:
            raise ConfigError(f"a setting must have the form key=value, such as seed=3. Got {pair!r} instead.")
    return dict(pair.split("=", 1) for pair in pairs)


def ledger_line(version: Version) -> str:
    """Return `faces@3: 700 rows (ok 690, fallback 8, failed 2, excluded 0)`, the last line of a command."""
    counts = ", ".join(
        f"{status} {version.ledger.get(status, 0)}" for status in ("ok", "fallback", "failed", "excluded")
    )
    return f"{version.ref}: {version.rows} rows ({counts})"


def echo_next(command: str) -> None:
    """Print the last line of a command: `next: ` and the command that a user most likely wants now, filled in.

    Not called with `--json`, whose output is the JSON object alone.
    """
    click.echo(f"next: {command}")


def echo_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line of stdout, for programs that read the result of a command."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf8")
    except UnicodeEncodeError:
        text = json.dumps(value, allow_nan=False)
    click.echo(text)


def run(group: click.Group) -> None:
    """Run a package's command line. Print a ToolkitError and any OSError as one line and exit with 2.

    A character that the terminal cannot show is printed as `?`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        group()
    except ToolkitError as error:
        _stop(str(error))
    except (OSError, sqlite3.Error) as error:
        message = disk_error_message(error, open_store().workspace)
        if message is None and not isinstance(error, OSError):
            raise
        _stop(message or _os_error_message(error))


def _os_error_message(error: Exception) -> str:
    file = getattr(error, "filename", None)
    return f"{f'{file}: ' if file is not None else ''}{in_one_line(error)}. Check that path, and run the command again."


def _stop(message: str) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(2)
