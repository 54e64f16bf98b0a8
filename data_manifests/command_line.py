"""What the command lines of all packages share: the workspace, `key=value` settings, errors in one line."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from data_manifests.errors import ConfigError, ToolkitError, disk_trouble
from data_manifests.versions import Store, Version


def open_store() -> Store:
    """The store in `$WORKSPACE`, or in `workspace/` below the current folder."""
    return Store(Path(os.environ.get("WORKSPACE", "workspace")))


def parse_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """("a.b=1", "c=x") → {"a.b": "1", "c": "x"}. Raises ConfigError for a word without `=`."""
    for pair in pairs:
        if "=" not in pair:
            raise ConfigError(f"a setting is written key=value, such as seed=3. Got {pair!r} instead.")
    return dict(pair.split("=", 1) for pair in pairs)


def ledger_line(version: Version) -> str:
    """`faces@3: 700 rows (ok 690, fallback 8, failed 2, excluded 0)`, the last line of a command."""
    counts = ", ".join(
        f"{status} {version.ledger.get(status, 0)}" for status in ("ok", "fallback", "failed", "excluded")
    )
    return f"{version.ref}: {version.rows} rows ({counts})"


def echo_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line of stdout, for programs that read the result of a command."""
    click.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def run(group: click.Group) -> None:
    """Run a package's command line. A ToolkitError, or a disk that is full or refuses us, is one line and exit 2."""
    try:
        group()
    except ToolkitError as error:
        _stop(str(error))
    except (OSError, sqlite3.Error) as error:
        trouble = disk_trouble(error, open_store().workspace)
        if trouble is None:
            raise
        _stop(trouble)


def _stop(message: str) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(2)
