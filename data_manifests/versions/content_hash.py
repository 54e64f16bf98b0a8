"""Content hashes of a file, a row and a table."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.schema import BY_NAME

_ROWS_AT_ONCE = 1 << 17  # part of the hash's definition: null maps are packed per block
_LETTERS = "abcdefabcdabcdef"  # of the values 0 to 15; letters stay
_HEX_VALUE = np.full(256, 255, np.uint8)
_HEX_VALUE[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_NO_DIGITS = np.empty(0, np.uint8)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sample_id(path: str, sha256: str, parent_id: str = "", *, is_former: bool = False) -> str:
    """Return the id of a row, 16 hex digits. It includes parent and path, so equal files at two paths are two rows.

    The first one is a letter, because spreadsheets turn ids such as 65673715226311e8 into numbers. `is_former` gives
    the id of earlier releases, for a manifest that has such ids (`has_former_ids`): a photo keeps its id in it.
    """
    digits = hashlib.sha256(f"{parent_id}\0{path}\0{sha256}".encode()).hexdigest()[:16]
    return digits if is_former else _LETTERS[int(digits[0], 16)] + digits[1:]


def has_former_ids(ids: pa.ChunkedArray) -> bool:
    """Return whether any id begins with a digit, as most of earlier releases do."""
    return bool(pc.any(pc.match_substring_regex(ids, "^[0-9]"), min_count=0).as_py())


def id_keys(ids: pa.ChunkedArray) -> np.ndarray | None:
    """Return ids of 16 lower-case hex digits as numbers (N,) uint64, which sort like the texts and far faster.

    Returns None if any id has another form; then the texts themselves must be sorted.
    """
    if ids.null_count or not pc.all(pc.equal(pc.binary_length(ids), 16), min_count=0).as_py():
        return None
    digits = np.concatenate([_HEX_VALUE[np.frombuffer(part, np.uint8)] for part in _text_bytes(ids)] or [_NO_DIGITS])
    if digits.size and digits.max() > 15:
        return None
    return (digits[::2] << 4 | digits[1::2]).view(">u8").astype(np.uint64)


def table_sha256(table: pa.Table) -> str:
    """Return a hash of a table's rows, independent of their order and chunking: 64 hex digits.

    Rows are sorted by `sample_id`, columns by name. Each column is hashed separately (so that two cores share the
    work) over its name, its type, its null map, and its values with nulls replaced by 0 or "": Arrow does not define
    the bytes below a null. Columns that are derived, or later than 0.1.0 and empty, are left out (`schema.Column`).
    """
    ids = table.column("sample_id")
    keys = id_keys(ids)
    order = pc.sort_indices(ids) if keys is None else pa.array(np.argsort(keys, kind="stable"))
    names = sorted(name for name in table.column_names if _is_hashed(name, table.column(name)))
    with ThreadPoolExecutor(max_workers=2) as pool:
        columns = list(pool.map(lambda name: _column_sha256(name, table.column(name), order), names))
    return hashlib.sha256(str(table.num_rows).encode() + b"".join(columns)).hexdigest()


def _is_hashed(name: str, column: pa.ChunkedArray) -> bool:
    if name not in BY_NAME:
        return True
    is_empty = column.null_count == len(column)
    return not (BY_NAME[name].is_derived or (BY_NAME[name].is_later and is_empty))


def _column_sha256(name: str, column: pa.ChunkedArray, order: pa.Array) -> bytes:
    digest = hashlib.sha256(f"{name}\0{_type_name(column.type)}\0".encode())
    if column.null_count < len(column):
        values = column.combine_chunks()
        block = _equal_lengths(values)
        for start in range(0, len(order), _ROWS_AT_ONCE):  # a copy of all landmarks at once would be half a gigabyte
            rows = order[start : start + _ROWS_AT_ONCE]
            _update(digest, values.take(rows)) if block is None else _update_block(digest, block, rows.to_numpy())
    return digest.digest()


def _type_name(type_: pa.DataType) -> str:
    """Return a type's name without the field name that Arrow or Parquet gives to a list's values."""
    if pa.types.is_fixed_size_list(type_):
        return f"{_type_name(type_.value_type)}[{type_.list_size}]"
    if pa.types.is_list(type_):
        return f"{_type_name(type_.value_type)}[]"
    return str(type_)


def _equal_lengths(values: pa.Array) -> np.ndarray | None:
    """Return texts of one common length, such as ids and hashes, as bytes (N, length); None for any other array."""
    if not pa.types.is_string(values.type) or values.null_count:
        return None
    lengths = pc.min_max(pc.binary_length(values)).as_py()
    if lengths["min"] != lengths["max"] or not lengths["min"]:
        return None
    return np.frombuffer(_text_bytes(values)[0], np.uint8).reshape(len(values), lengths["min"])


def _update_block(digest: hashlib._Hash, block: np.ndarray, rows: np.ndarray) -> None:
    """Hash texts of equal length as `_update` does; gathering rows of bytes is three times faster than texts."""
    digest.update(np.packbits(np.ones(len(rows), bool)).data)
    digest.update(np.full(len(rows), block.shape[1], np.int32).data)
    digest.update(np.take(block, rows, axis=0).data)


def _update(digest: hashlib._Hash, values: pa.Array) -> None:
    valid = values.is_valid()
    digest.update(np.packbits(valid.to_numpy(zero_copy_only=False)).data)
    if pa.types.is_fixed_size_list(values.type):
        _update(digest, values.drop_null().flatten())
    elif pa.types.is_list(values.type):
        digest.update(pc.fill_null(pc.list_value_length(values), 0).to_numpy().data)
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
    """Return the bytes of a text array, limited to its slice."""
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    parts = []
    for chunk in chunks:
        if len(chunk) == 0:
            continue
        _, offsets, data = chunk.buffers()
        ends = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        parts.append(memoryview(data or b"")[ends[0] : ends[-1]])
    return parts
