"""Results kept across runs: key → result, in one SQLite file.

The key is a hash of everything that a result depends on, so an entry never becomes invalid. One file with transactions
survives a kill at any moment; a file per result would cost 20,000 inodes a stage.
"""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_manifests.errors import StageError
from data_manifests.files import open_database, parse_json

_REMEDY = "Delete cache/results.sqlite in the workspace, and what it kept is computed again."
_LOOKUP = 500  # keys in one SELECT; SQLite's oldest limit on parameters is 999


class ResultCache:
    """A dictionary on disk that several processes may read and write at once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, keys: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each known key with its result, read lazily."""
        for start in range(0, len(keys), _LOOKUP):
            part = keys[start : start + _LOOKUP]
            marks = ",".join("?" * len(part))
            rows = self._connection.execute(f"SELECT key, result FROM results WHERE key IN ({marks})", part)
            for key, result in rows.fetchall():
                yield key, parse_json(result, f"result {key}", _REMEDY, error=StageError, kind=dict)

    def put(self, key: str, result: Mapping[str, Any]) -> None:
        """Store a result; it is on disk when this returns."""
        with self._connection:
            self._connection.execute("INSERT OR REPLACE INTO results VALUES (?, ?)", (key, json.dumps(result)))


@contextmanager
def open_results(path: Path) -> Iterator[ResultCache]:
    """Open the cache file, or create it. Raises StageError if it is damaged."""
    remedy = f"Delete it, and what it kept is computed again: rm {shlex.quote(str(path))}"
    with open_database(path, remedy, timeout=60) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # readers and a writer do not block each other
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, result TEXT) WITHOUT ROWID")
        yield ResultCache(connection)
