"""Opening of SQLite files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_manifests.errors import StageError, ToolkitError
from data_manifests.files.regular_file import in_one_line, with_remedy


@contextmanager
def open_database(
    path: Path, remedy: str, *, error: type[ToolkitError] = StageError, **options: Any
) -> Iterator[sqlite3.Connection]:
    """Open a SQLite file for the body of a `with` statement, or create it; `options` are those of `sqlite3.connect`.

    Raises `error` with the file and `remedy` if it is damaged, no database, or one of another program. A full disk and
    denied access stay sqlite3.OperationalError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, **options)
    try:
        yield connection
    except sqlite3.OperationalError as cause:
        if (cause.sqlite_errorcode & 0xFF) != sqlite3.SQLITE_ERROR:  # such as: no such column
            raise
        raise error(with_remedy(f"{path} is not the expected database: {in_one_line(cause)}.", remedy)) from None
    except sqlite3.DatabaseError as cause:
        raise error(with_remedy(f"{path} is damaged: {in_one_line(cause)}.", remedy)) from None
    finally:
        connection.close()
