"""Two versions compared: how many rows changed in what, and the first of them with their pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import streamlit as st

from data_manifests.diff import FIELDS, Diff, diff
from data_manifests.store import Store
from data_manifests.version import Version

MOST = 600  # rows of one kind that are kept to be looked at; the numbers are of all
_READ = ("sample_id", "source_id", "root", "profile_id", "shot", "path", *FIELDS)
_SHOWN = ("sample_id", "root", "path", "sha256", "person_id", "shot")


@dataclass(frozen=True)
class Change:
    """One kind of change: `count` rows, the most frequent old → new, and the first rows with `old` and `new`."""

    count: int
    transitions: list[tuple[str, str, int]]
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Compared:
    """`changes` by field; rows that came and went under `added` and `removed`."""

    rows: tuple[int, int]
    changes: Mapping[str, Change]


def compare(store: Store, a: Version, b: Version) -> Compared:
    """What changed from `a` to `b`; remembered for the next time, without the tables."""
    return _compare(str(store.workspace), (a.ref, a.content_hash), (b.ref, b.content_hash))


@st.cache_resource(max_entries=8, show_spinner="Comparing …")
def _compare(workspace: str, a: tuple[str, str], b: tuple[str, str]) -> Compared:
    store = Store(Path(workspace))
    found = diff(store.read(a[0], _READ).table, store.read(b[0], _READ).table)
    changes = {name: _changed(found, name) for name in FIELDS if len(found.changed[name][0])}
    for name, table, rows in (("added", found.b, found.added), ("removed", found.a, found.removed)):
        if len(rows):
            changes[name] = Change(len(rows), [], _pictures(table, rows))
    return Compared((found.a.num_rows, found.b.num_rows), changes)


def _changed(found: Diff, name: str) -> Change:
    in_a, in_b = found.changed[name]
    pairs = pa.table({"old": found.a[name].take(in_a), "new": found.b[name].take(in_b)})
    transitions: list[tuple[str, str, int]] = []
    if name != "sha256":
        counts = pairs.group_by(["old", "new"]).aggregate([([], "count_all")])
        counts = counts.sort_by([("count_all", "descending"), ("old", "ascending"), ("new", "ascending")])
        told = counts.slice(0, 12).to_pylist()
        transitions = [(_word(row["old"]), _word(row["new"]), row["count_all"]) for row in told]
    rows = _pictures(found.b, in_b)
    before = _pictures(found.a, in_a)
    for row, was, pair in zip(rows, before, pairs.slice(0, MOST).to_pylist(), strict=True):
        row |= {"old": _word(pair["old"]), "new": _word(pair["new"]), "before": was}
    return Change(len(in_a), transitions, rows)


def _pictures(table: pa.Table, rows: np.ndarray) -> list[dict[str, Any]]:
    return table.select(list(_SHOWN)).take(pa.array(rows[:MOST])).to_pylist()


def _word(value: object) -> str:
    return "empty" if value is None else str(value)


def filtered(change: Change, old: str, new: str) -> list[dict[str, Any]]:
    """The rows that are kept of one transition."""
    return [row for row in change.rows if (row["old"], row["new"]) == (old, new)]
