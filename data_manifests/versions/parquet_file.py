"""One version as a Parquet file: reading, and writing in one step."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data_manifests.errors import ManifestError
from data_manifests.files import open_parquet
from data_manifests.schema import BY_NAME, EXTRA_PREFIX, cast_column, null_column
from data_manifests.versions.metadata import Manifest, Version, from_metadata, to_metadata
from data_manifests.versions.validation import validate

# Nearly all values of these columns are distinct, so a dictionary page would be built and then discarded.
# Storing the lengths separately from the characters compresses best.
_UNIQUE_TEXTS = ("sample_id", "source_id", "parent_id", "path", "sha256", "recipe")
_UNIQUE_NUMBERS = ("landmarks_xy", "points_xy", "box_xyxy")
_REMEDY = "Restore the file from a backup, or name another version, such as NAME@1; facecurate log lists them."
_ROW_GROUP_ROWS = 1 << 17  # small enough that several cores share a read


def read_version(path: Path) -> Version:
    """Return the version that a file holds, without its rows. Raises ManifestError if it is not a manifest."""
    with open_parquet(path, _REMEDY) as file:
        return from_metadata(file.schema_arrow.metadata or {}, path)


def read_manifest(path: Path, columns: Sequence[str] | None = None) -> Manifest:
    """Read a version with its rows; with `columns`, only those, in that order. What is read is validated.

    Columns without values are not stored; they are added as nulls. Raises ManifestError for a file that is not a
    manifest or not valid, for columns that only a newer release knows, and for a column that it does not have.
    """
    with open_parquet(path, _REMEDY) as file:
        version = from_metadata(file.schema_arrow.metadata or {}, path)
        stored = file.schema_arrow.names
        _check_names(path, stored)
        table = file.read(None if columns is None else [name for name in columns if name in stored])
        table.validate(full=True)
        rows = file.metadata.num_rows
    extras = [name for name in stored if name not in BY_NAME]
    wanted = [*BY_NAME, *extras] if columns is None else list(columns)
    if missing := [name for name in wanted if name not in stored and name not in BY_NAME]:
        raise ManifestError(f"{version.ref} has no column {missing[0]!r}. Its own columns: {{{', '.join(extras)}}}.")
    try:
        read = pa.table({name: _column(table, name, rows) for name in wanted})
        validate(read)
    except ManifestError as error:
        raise ManifestError(f"{path} is not valid: {error} {_REMEDY}") from None
    return Manifest(read, version)


def _column(table: pa.Table, name: str, rows: int) -> pa.ChunkedArray:
    if name not in BY_NAME:
        return table.column(name)
    return (
        cast_column(name, table.column(name)) if name in table.column_names else null_column(rows, BY_NAME[name].type)
    )


def _check_names(path: Path, stored: Sequence[str]) -> None:
    """Raise ManifestError for columns that this release does not know, or that repeat."""
    unknown = [name for name in stored if name not in BY_NAME and not name.startswith(EXTRA_PREFIX)]
    if unknown:
        raise ManifestError(
            f"{path} has the column {unknown[0]!r}, which this release does not know; a newer one may have written it. "
            "Update the toolkit, or name an earlier version."
        )
    if len(set(stored)) < len(stored):
        raise ManifestError(f"{path} is not valid: column names must be unique. {_REMEDY}")


def write_manifest(path: Path, table: pa.Table, version: Version) -> None:
    """Write a conformed table and its version as a read-only file, which appears complete or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    table = table.replace_schema_metadata(to_metadata(version))
    empty = [name for name in table.column_names if name in BY_NAME and table[name].null_count == table.num_rows]
    table = table.drop_columns(empty)
    dictionary = [name for name in table.column_names if name not in _UNIQUE_TEXTS + _UNIQUE_NUMBERS]
    try:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=1,
            use_dictionary=dictionary,
            column_encoding={name: "DELTA_LENGTH_BYTE_ARRAY" for name in _UNIQUE_TEXTS if name in table.column_names},
            row_group_size=_ROW_GROUP_ROWS,
        )
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o444)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
