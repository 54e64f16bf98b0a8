"""What changed from one table to another: rows, labels, bytes, splits, status. Columnar: a million rows take seconds.

A row of `b` is matched with a row of `a` by the first of these that finds one:

    sample_id                      the same file
    source_id, profile_id, shot    another picture made from the same photo for the same place: a crop and its photo
    root, path                     the same place with other bytes, where a photo was replaced and ingested again

The last two count only where they name one row on either side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

LABEL_FIELDS = ("mask", "gender", "age", "age_class")
FIELDS = (*LABEL_FIELDS, "person_id", "split", "fold", "status", "sha256")
_FALLBACK_KEYS = (("source_id", "profile_id", "shot"), ("root", "path"))


@dataclass(frozen=True)
class Diff:
    """Row numbers into two tables. `changed[field]` is (rows of a, rows of b), equally long, where it differs."""

    a: pa.Table
    b: pa.Table
    added: np.ndarray  # (n,) rows of b with no match
    removed: np.ndarray  # (n,) rows of a with no match
    changed: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(len(self.added) or len(self.removed) or any(len(rows) for rows, _ in self.changed.values()))

    def changes(self, name: str, most: int | None = None) -> pa.Table:
        """One row per change of a field, at most `most`: sample_id, person_id and path (as in b), old, new."""
        in_a, in_b = (rows[:most] for rows in self.changed[name])
        about = self.b.select(["sample_id", "person_id", "path"]).take(in_b)
        about = about.append_column("old", self.a.column(name).take(in_a))
        return about.append_column("new", self.b.column(name).take(in_b))

    def lines(self, examples: int = 3) -> list[str]:
        """The summary as text."""
        moved = f"{len(self.added):,} added, {len(self.removed):,} removed"
        shown = [f"{'rows':10} {self.a.num_rows:,} → {self.b.num_rows:,}: {moved}"]
        for name in FIELDS:
            count = len(self.changed[name][0])
            if not count:
                continue
            if name == "sha256":
                shown.append(f"{'bytes':10} {count:,} changed")
                continue
            shown.append(f"{name:10} {count:,} changed: {self._transitions(name)}")
            if name in LABEL_FIELDS:
                shown += self._examples(name, examples)
        return [*(shown if self else ["no row, label, split or picture differs"]), *self.column_lines()]

    def column_lines(self) -> list[str]:
        """Columns in which only one of the two has values, such as an audit's scores; the values are not compared."""
        a, b = _with_values(self.a), _with_values(self.b)
        only = {"added": [name for name in b if name not in a], "removed": [name for name in a if name not in b]}
        return [f"{'columns':10} {what}: {', '.join(names)}" for what, names in only.items() if names]

    def _transitions(self, name: str, most: int = 6) -> str:
        """The most frequent old → new with their counts."""
        in_a, in_b = self.changed[name]
        pairs = pa.table({"old": self.a.column(name).take(in_a), "new": self.b.column(name).take(in_b)})
        counts = pairs.group_by(["old", "new"]).aggregate([([], "count_all")])
        counts = counts.sort_by([("count_all", "descending"), ("old", "ascending"), ("new", "ascending")])
        rows = counts.slice(0, most).to_pylist()
        text = ", ".join(f"{_shown(row['old'])} → {_shown(row['new'])} ({row['count_all']:,})" for row in rows)
        return text + (f", {counts.num_rows - most} more" if counts.num_rows > most else "")

    def _examples(self, name: str, most: int) -> list[str]:
        total = len(self.changed[name][0])
        rows = self.changes(name, most).to_pylist()
        lines = [f"           {row['path']}: {_shown(row['old'])} → {_shown(row['new'])}" for row in rows]
        return lines + ([f"           … and {total - most:,} more"] if total > most else [])


def _with_values(table: pa.Table) -> list[str]:
    return [name for name in table.column_names if table.column(name).null_count < table.num_rows]


def diff(a: pa.Table, b: pa.Table) -> Diff:
    """Compare two conformed tables; only the columns of FIELDS, the ids and the paths are looked at."""
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
    """Position of each value among the others, (N,) int64, -1 where absent."""
    return pc.fill_null(pc.index_in(values, among), -1).to_numpy().astype(np.int64)


def _key(table: pa.Table, names: Sequence[str], rows: np.ndarray) -> pa.ChunkedArray:
    columns = [_take(table.column(name), rows) for name in names]
    return pc.binary_join_element_wise(*columns, "\0", null_handling="replace", null_replacement="")


def _uses(positions: np.ndarray) -> np.ndarray:
    """How often the position at each place stands in the array, (N,) int64."""
    return np.bincount(positions)[positions] if len(positions) else positions


def _take(values: pa.ChunkedArray, rows: np.ndarray) -> pa.ChunkedArray:
    whole = len(rows) == len(values) and bool((rows == np.arange(len(rows))).all())
    return values if whole else values.take(rows)


def _differs(old: pa.ChunkedArray, new: pa.ChunkedArray) -> np.ndarray:
    """Where two columns differ, (N,) bool; null equals null."""
    unequal = pc.fill_null(pc.not_equal(old, new), False)
    one_null = pc.xor(pc.is_null(old), pc.is_null(new))
    return pc.or_(unequal, one_null).to_numpy()


def _shown(value: object) -> str:
    return "empty" if value is None else str(value)
