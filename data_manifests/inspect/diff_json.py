"""A comparison of two versions as plain JSON values, for programs that read `diff --json`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from data_manifests.inspect.diff import FIELDS, Diff

DIFF_COLUMNS = ("sample_id", "source_id", "root", "profile_id", "shot", "path", *FIELDS)
"""The columns that a table needs for `diff` and `diff_as_json`; the others need not be read."""

_MAX_TRANSITIONS = 12
_ROW_COLUMNS = ("sample_id", "root", "path", "sha256", "person_id", "shot")


def diff_as_json(found: Diff, limit: int) -> dict[str, Any]:
    """Return the number of rows of both tables and the changes by field.

    `rows` is [rows of a, rows of b]. `changes[field]` has `count`, `transitions` (old, new, rows; the most frequent
    first) and `rows`: at most `limit` of them, each with the columns that identify its picture, `old`, `new`, and
    `before`, the same columns in a. Rows only in b or only in a are the fields `added` and `removed`.
    """
    changes = {name: _changed(found, name, limit) for name in FIELDS if len(found.changed[name][0])}
    for name, table, rows in (("added", found.b, found.added), ("removed", found.a, found.removed)):
        if len(rows):
            changes[name] = {"count": len(rows), "transitions": [], "rows": _rows(table, rows, limit)}
    return {"rows": [found.a.num_rows, found.b.num_rows], "changes": changes}


def _changed(found: Diff, name: str, limit: int) -> dict[str, Any]:
    in_a, in_b = found.changed[name]
    pairs = pa.table({"old": found.a[name].take(in_a), "new": found.b[name].take(in_b)})
    transitions = []
    if name != "sha256":  # every pair of hashes is different
        counts = pairs.group_by(["old", "new"]).aggregate([([], "count_all")])
        counts = counts.sort_by([("count_all", "descending"), ("old", "ascending"), ("new", "ascending")])
        frequent = counts.slice(0, _MAX_TRANSITIONS).to_pylist()
        transitions = [[_text(row["old"]), _text(row["new"]), row["count_all"]] for row in frequent]
    rows = _rows(found.b, in_b, limit)
    for row, before, pair in zip(rows, _rows(found.a, in_a, limit), pairs.slice(0, limit).to_pylist(), strict=True):
        row |= {"old": _text(pair["old"]), "new": _text(pair["new"]), "before": before}
    return {"count": len(in_a), "transitions": transitions, "rows": rows}


def _rows(table: pa.Table, rows: np.ndarray, limit: int) -> list[dict[str, Any]]:
    return table.select(list(_ROW_COLUMNS)).take(pa.array(rows[:limit])).to_pylist()


def _text(value: object) -> str:
    return "empty" if value is None else str(value)
