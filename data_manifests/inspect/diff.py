"""Differences between two tables: rows, labels, bytes, splits, status. Columnar: a million rows take seconds.

A row of `b` is matched with a row of `a` by the first of these keys that finds one:

    sample_id                      the same file
    source_id, profile_id, shot    another image made from the same photo for the same shot: a crop and its photo
    root, path                     the same path with other bytes: a photo was replaced and ingested again

The last two match only if they identify exactly one row on either side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

LABEL_FIELDS = ("mask", "gender", "age", "age_class")
FIELDS = (*LABEL_FIELDS, "person_id", "split", "fold", "status", "sha256")
DIFF_COLUMNS = ("sample_id", "source_id", "root", "profile_id", "shot", "path", *FIELDS)
"""The columns that a table needs for `diff` and `diff_as_json`; the others need not be read."""

_FALLBACK_KEYS = (("source_id", "profile_id", "shot"), ("root", "path"))
_ROW_COLUMNS = ("sample_id", "root", "path", "sha256", "person_id", "shot")
_MAX_TRANSITIONS = {"text": 6, "json": 12}


@dataclass(frozen=True)
class Diff:
    """The difference of two tables as row numbers. `changed[field]` is (rows of a, rows of b) of equal length."""

    a: pa.Table
    b: pa.Table
    added: np.ndarray  # (n,) rows of b with no match
    removed: np.ndarray  # (n,) rows of a with no match
    changed: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Return whether anything differs."""
        return bool(len(self.added) or len(self.removed) or any(len(rows) for rows, _ in self.changed.values()))

    def changes(self, name: str, most: int | None = None) -> pa.Table:
        """Return one row per change of a field, at most `most`: sample_id, person_id and path (in b), old, new."""
        in_a, in_b = (rows[:most] for rows in self.changed[name])
        rows = self.b.select(["sample_id", "person_id", "path"]).take(in_b)
        rows = rows.append_column("old", self.a.column(name).take(in_a))
        return rows.append_column("new", self.b.column(name).take(in_b))

    def lines(self, examples: int = 3) -> list[str]:
        """Return the summary as text lines."""
        moved = f"{len(self.added):,} added, {len(self.removed):,} removed"
        shown = [f"{'rows':10} {self.a.num_rows:,} → {self.b.num_rows:,}: {moved}"]
        for name in FIELDS:
            count = len(self.changed[name][0])
            if not count:
                continue
            if name == "sha256":
                shown.append(f"{'bytes':10} {count:,} changed")
                continue
            shown.append(f"{name:10} {count:,} changed: {self._transition_text(name)}")
            if name in LABEL_FIELDS:
                shown += self._examples(name, examples)
        return [*(shown if self else ["no row, label, split or image differs"]), *self.column_lines()]

    def column_lines(self) -> list[str]:
        """Return lines for columns with values in one table only, such as audit scores; values are not compared."""
        a, b = _filled_columns(self.a), _filled_columns(self.b)
        only = {"added": [name for name in b if name not in a], "removed": [name for name in a if name not in b]}
        return [f"{'columns':10} {change}: {', '.join(names)}" for change, names in only.items() if names]

    def transitions(self, name: str, most: int) -> tuple[list[tuple[Any, Any, int]], int]:
        """Return the most frequent (old, new, rows) of a field, and the number of further ones."""
        in_a, in_b = self.changed[name]
        pairs = pa.table({"old": self.a.column(name).take(in_a), "new": self.b.column(name).take(in_b)})
        counts = pairs.group_by(["old", "new"]).aggregate([([], "count_all")])
        counts = counts.sort_by([("count_all", "descending"), ("old", "ascending"), ("new", "ascending")])
        frequent = counts.slice(0, most).to_pylist()
        return [(row["old"], row["new"], row["count_all"]) for row in frequent], max(0, counts.num_rows - most)

    def _transition_text(self, name: str) -> str:
        frequent, more = self.transitions(name, _MAX_TRANSITIONS["text"])
        text = ", ".join(f"{_text(old)} → {_text(new)} ({rows:,})" for old, new, rows in frequent)
        return text + (f", {more} more" if more else "")

    def _examples(self, name: str, most: int) -> list[str]:
        total = len(self.changed[name][0])
        rows = self.changes(name, most).to_pylist()
        lines = [f"           {row['path']}: {_text(row['old'])} → {_text(row['new'])}" for row in rows]
        return lines + ([f"           … and {total - most:,} more"] if total > most else [])


def _filled_columns(table: pa.Table) -> list[str]:
    return [name for name in table.column_names if table.column(name).null_count < table.num_rows]


def diff(a: pa.Table, b: pa.Table) -> Diff:
    """Compare two tables. Only the columns of DIFF_COLUMNS are needed and compared."""
    match = _match(a, b)  # row of a for each row of b, -1 where there is none
    in_b = np.flatnonzero(match >= 0)
    in_a = match[in_b]
    missing = np.ones(a.num_rows, bool)
    missing[in_a] = False
    changed = {}
    for name in FIELDS:
        differs = _differs(_take(a.column(name), in_a), _take(b.column(name), in_b))
        changed[name] = in_a[differs], in_b[differs]
    return Diff(a, b, np.flatnonzero(match < 0), np.flatnonzero(missing), changed)


def diff_as_json(found: Diff, limit: int) -> dict[str, Any]:
    """Return the numbers of rows and the changes by field as plain values, for `diff --json`.

    `rows` is [rows of a, rows of b]. `changes[field]` has `count`, `transitions` ([old, new, rows], the most frequent
    first) and `rows`: at most `limit` of them, each with the columns that identify its image, `old`, `new`, and
    `before`, the same columns in a. Rows in b or in a only are the fields `added` and `removed`.
    """
    changes = {name: _change_as_json(found, name, limit) for name in FIELDS if len(found.changed[name][0])}
    for name, table, rows in (("added", found.b, found.added), ("removed", found.a, found.removed)):
        if len(rows):
            changes[name] = {"count": len(rows), "transitions": [], "rows": _rows(table, rows, limit)}
    return {"rows": [found.a.num_rows, found.b.num_rows], "changes": changes}


def _change_as_json(found: Diff, name: str, limit: int) -> dict[str, Any]:
    in_a, in_b = (rows[:limit] for rows in found.changed[name])
    # Every pair of hashes is different, so their transitions carry no information.
    frequent = found.transitions(name, _MAX_TRANSITIONS["json"])[0] if name != "sha256" else []
    old, new = found.a[name].take(in_a).to_pylist(), found.b[name].take(in_b).to_pylist()
    rows = _rows(found.b, in_b, limit)
    for row, before, was, is_now in zip(rows, _rows(found.a, in_a, limit), old, new, strict=True):
        row |= {"old": _text(was), "new": _text(is_now), "before": before}
    transitions = [[_text(was), _text(is_now), count] for was, is_now, count in frequent]
    return {"count": len(found.changed[name][0]), "transitions": transitions, "rows": rows}


def _rows(table: pa.Table, rows: np.ndarray, limit: int) -> list[dict[str, Any]]:
    return table.select(list(_ROW_COLUMNS)).take(pa.array(rows[:limit])).to_pylist()


def _match(a: pa.Table, b: pa.Table) -> np.ndarray:
    match = _index_in(b.column("sample_id"), a.column("sample_id"))
    for names in _FALLBACK_KEYS:
        left_b = np.flatnonzero(match < 0)
        free = np.ones(a.num_rows, bool)
        free[match[match >= 0]] = False
        left_a = np.flatnonzero(free)
        if not (len(left_a) and len(left_b)):
            break
        key_a, key_b = _key(a, names, left_a), _key(b, names, left_b)
        found = _index_in(key_b, key_a)
        hits = np.flatnonzero(found >= 0)
        hits = hits[(_uses(found[hits]) == 1) & (_uses(_index_in(key_a, key_a))[found[hits]] == 1)]
        match[left_b[hits]] = left_a[found[hits]]
    return match


def _index_in(values: pa.ChunkedArray, among: pa.ChunkedArray) -> np.ndarray:
    """Return the position of each value in `among`, (N,) int64, -1 where absent."""
    return pc.fill_null(pc.index_in(values, among), -1).to_numpy().astype(np.int64)


def _key(table: pa.Table, names: Sequence[str], rows: np.ndarray) -> pa.ChunkedArray:
    columns = [_take(table.column(name), rows) for name in names]
    return pc.binary_join_element_wise(*columns, "\0", null_handling="replace", null_replacement="")


def _uses(positions: np.ndarray) -> np.ndarray:
    """Return for each position the number of its occurrences in the array, (N,) int64."""
    return np.bincount(positions)[positions] if len(positions) else positions


def _take(values: pa.ChunkedArray, rows: np.ndarray) -> pa.ChunkedArray:
    whole = len(rows) == len(values) and bool((rows == np.arange(len(rows))).all())
    return values if whole else values.take(rows)


def _differs(old: pa.ChunkedArray, new: pa.ChunkedArray) -> np.ndarray:
    """Return where two columns differ, (N,) bool; null equals null."""
    unequal = pc.fill_null(pc.not_equal(old, new), False)
    one_null = pc.xor(pc.is_null(old), pc.is_null(new))
    return pc.or_(unequal, one_null).to_numpy()


def _text(value: object) -> str:
    return "empty" if value is None else str(value)
