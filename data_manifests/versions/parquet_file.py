"""One version as a Parquet file: reading, and writing in one step."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data_manifests.errors import ManifestError
from data_manifests.schema import BY_NAME, null_column
from data_manifests.versions.metadata import Manifest, Version, from_metadata, to_metadata

# Nearly all values of these columns are distinct, so a dictionary page would be built and then discarded.
# Storing the lengths separately from the characters compresses best.
_UNIQUE_TEXTS = ("sample_id", "source_id", "parent_id", "path", "sha256", "recipe")
_UNIQUE_NUMBERS = ("landmarks_xy", "points_xy", "box_xyxy")
_ROW_GROUP_ROWS = 1 << 17  # small enough that several cores share a read


def read_version(path: Path) -> Version:
    """Return the version that a file holds, without its rows. Raises ManifestError if it is not a manifest."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(path, error) from None
    return from_metadata(metadata, path)


def read_manifest(path: Path, columns: Sequence[str] | None = None) -> Manifest:
    """Read a version with its rows; with `columns`, only those, in that order.

    Columns without values are not stored; they are added as nulls. Raises ManifestError for a file that is not a
    manifest, and for a column that it does not have.
    """
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            version = from_metadata(file.schema_arrow.metadata or {}, path)
            stored = file.schema_arrow.names
            table = file.read(None if columns is None else [name for name in columns if name in stored])
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(path, error) from None
    extras = [name for name in stored if name not in BY_NAME]
    arrays = {}
    for name in [*BY_NAME, *extras] if columns is None else columns:
        if name in stored:
            arrays[name] = table.column(name)
        elif name in BY_NAME:
            arrays[name] = null_column(file.metadata.num_rows, BY_NAME[name].type)
        else:
            raise ManifestError(f"{version.ref} has no column {name!r}. Its own columns: {{{', '.join(extras)}}}.")
    return Manifest(pa.table(arrays), version)


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


def _unreadable(path: Path, error: Exception) -> ManifestError:
    return ManifestError(f"manifest file {path} cannot be read: {' '.join(str(error).split())}")
