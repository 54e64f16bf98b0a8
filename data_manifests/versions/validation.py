"""Validation of a table against the schema, before it is written."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import ManifestError
from data_manifests.schema import COLUMNS
from data_manifests.versions.content_hash import id_keys

_FILE_NAME = (r"^\.|[/\\\x00-\x1f]", "must be usable in a file name: no /, \\ or control character, and no . in front")
_FORBIDDEN = {  # column → pattern that must not match, and the rule
    "sample_id": _FILE_NAME,
    "source_id": _FILE_NAME,
    "sha256": (r"[^0-9a-f]", "must be hex digits"),
    "path": (r"^/|^[A-Za-z]:|\\|\x00|(^|/)\.\.(/|$)", "must be relative, with / between folders and no .."),
}


def validate(table: pa.Table) -> None:
    """Check the columns that a table has against the schema.

    Raises ManifestError with the first bad rows and their values.
    """
    for column in COLUMNS:
        if column.name not in table.column_names:
            continue
        values = table.column(column.name)
        if column.required and values.null_count:
            _refuse(column.name, values, pc.is_null(values), "must not be empty")
        if values.null_count == len(values):
            continue
        if column.allowed:
            bad = pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, pa.array(column.allowed))))
            _refuse(column.name, values, bad, f"must be one of {{{', '.join(column.allowed)}}}")
        if column.low is not None:
            _refuse(column.name, values, pc.less(values, column.low), f"must be at least {column.low}")
        if column.high is not None:
            _refuse(column.name, values, pc.greater(values, column.high), f"must be at most {column.high}")
        if pa.types.is_floating(column.type):
            _refuse(column.name, values, pc.is_nan(values), "must be a number")
    if "sample_id" in table.column_names:
        _refuse_duplicates(table.column("sample_id"))
    for name, (pattern, rule) in _FORBIDDEN.items():
        if name in table.column_names:
            values = table.column(name)
            if pattern == _FILE_NAME[0] and id_keys(values) is not None:
                continue  # 16 hex digits, which is faster to find out
            _refuse(name, values, pc.match_substring_regex(values, pattern), rule)


def _refuse(name: str, values: pa.ChunkedArray, bad: pa.ChunkedArray, rule: str) -> None:
    if not pc.any(bad, min_count=0).as_py():
        return
    rows = pc.indices_nonzero(pc.fill_null(bad, False))
    shown = ", ".join(f"row {row} {values[row].as_py()!r}" for row in rows[:3].to_pylist())
    raise ManifestError(f"column {name!r} {rule}: {shown} ({len(rows)} of {len(values)} rows).")


def _refuse_duplicates(ids: pa.ChunkedArray) -> None:
    keys = id_keys(ids)
    if keys is None:
        repeated = pc.count_distinct(ids).as_py() < len(ids)
    else:
        keys.sort()  # comparing sorted neighbours is several times faster than hashing texts
        repeated = bool((keys[1:] == keys[:-1]).any())
    if not repeated:
        return
    counts = ids.value_counts()
    repeated_ids = counts.filter(pc.greater(pc.struct_field(counts, "counts"), 1))
    first = repeated_ids[0].as_py()
    rows = pc.indices_nonzero(pc.equal(ids, first["values"])).to_pylist()[:3]
    raise ManifestError(
        f"column 'sample_id' must be unique: {first['values']!r} is in rows {', '.join(map(str, rows))} "
        f"({len(repeated_ids)} repeated ids)."
    )
