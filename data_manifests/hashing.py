"""Names made of content: of a file, of a row, of a table."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sample_id(path: str, sha256: str, parent_id: str = "") -> str:
    """Name of a row, 16 hex digits. Parent and path are part of it, so equal files in two places stay two rows."""
    return hashlib.sha256(f"{parent_id}\0{path}\0{sha256}".encode()).hexdigest()[:16]


def table_sha256(table: pa.Table) -> str:
    """Hash of a table's rows, whatever their order and chunking: 64 hex digits.

    Rows are put in order of `sample_id`, columns in order of name. A column enters with its name, its type, where it is
    null, and its values with nulls blanked (what lies under a null is not defined).
    """
    order = pc.sort_indices(table.column("sample_id"))
    digest = hashlib.sha256(str(table.num_rows).encode())
    for name in sorted(table.column_names):
        column = table.column(name)
        if column.null_count == table.num_rows:
            digest.update(f"\0{name}\0{column.type}\0null".encode())
            continue
        digest.update(f"\0{name}\0{column.type}\0".encode())
        _update(digest, pc.take(column.combine_chunks(), order))
    return digest.hexdigest()


def _update(digest: hashlib._Hash, values: pa.Array) -> None:
    valid = values.is_valid()
    digest.update(np.packbits(valid.to_numpy(zero_copy_only=False)).data)
    if pa.types.is_fixed_size_list(values.type):
        _update(digest, values.drop_null().flatten())
    elif pa.types.is_string(values.type):
        filled = pc.fill_null(values, "")
        digest.update(pc.binary_length(filled).to_numpy().data)
        for buffer in _text_bytes(filled):
            digest.update(buffer)
    else:
        blank = pc.fill_null(values, pa.scalar(False if pa.types.is_boolean(values.type) else 0).cast(values.type))
        digest.update(np.ascontiguousarray(blank.to_numpy(zero_copy_only=False)).data)


def _text_bytes(values: pa.Array | pa.ChunkedArray) -> list[memoryview]:
    """The characters of a text array, without what lies before and after its slice."""
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    parts = []
    for chunk in chunks:
        if len(chunk) == 0:
            continue
        _, offsets, data = chunk.buffers()
        ends = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        parts.append(memoryview(data or b"")[ends[0] : ends[-1]])
    return parts
