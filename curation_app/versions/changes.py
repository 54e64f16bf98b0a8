"""What changed between two versions: `python -m curation_app.versions.changes A B` prints it as JSON.

A command of its own, because two versions of a million rows take more memory than the desk's server should keep.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pyarrow as pa

from data_manifests.command_line import open_store
from data_manifests.errors import ToolkitError
from data_manifests.inspect import FIELDS, Diff, diff
from data_manifests.versions import Store

MOST = 600  # rows of one kind that are kept to be looked at; the numbers are of all
_MOST_TRANSITIONS = 12
_READ = ("sample_id", "source_id", "root", "profile_id", "shot", "path", *FIELDS)
_SHOWN = ("sample_id", "root", "path", "sha256", "person_id", "shot")


def changes(store: Store, a: str, b: str) -> dict[str, Any]:
    """`rows` of both versions, and `changes` by field, `added` and `removed` among them.

    Each has `count`, `transitions` (old, new, rows; the most frequent first) and `rows`: the first `MOST`, with what
    shows their picture, `old` and `new`, and `before`, the row as the older version has it.
    """
    found = diff(store.read(a, _READ).table, store.read(b, _READ).table)
    by_kind = {name: _changed(found, name) for name in FIELDS if len(found.changed[name][0])}
    for name, table, rows in (("added", found.b, found.added), ("removed", found.a, found.removed)):
        if len(rows):
            by_kind[name] = {"count": len(rows), "transitions": [], "rows": _pictures(table, rows)}
    return {"rows": [found.a.num_rows, found.b.num_rows], "changes": by_kind}


def _changed(found: Diff, name: str) -> dict[str, Any]:
    in_a, in_b = found.changed[name]
    pairs = pa.table({"old": found.a[name].take(in_a), "new": found.b[name].take(in_b)})
    transitions = []
    if name != "sha256":
        counts = pairs.group_by(["old", "new"]).aggregate([([], "count_all")])
        counts = counts.sort_by([("count_all", "descending"), ("old", "ascending"), ("new", "ascending")])
        told = counts.slice(0, _MOST_TRANSITIONS).to_pylist()
        transitions = [[_word(row["old"]), _word(row["new"]), row["count_all"]] for row in told]
    rows = _pictures(found.b, in_b)
    for row, was, pair in zip(rows, _pictures(found.a, in_a), pairs.slice(0, MOST).to_pylist(), strict=True):
        row |= {"old": _word(pair["old"]), "new": _word(pair["new"]), "before": was}
    return {"count": len(in_a), "transitions": transitions, "rows": rows}


def _pictures(table: pa.Table, rows: np.ndarray) -> list[dict[str, Any]]:
    return table.select(list(_SHOWN)).take(pa.array(rows[:MOST])).to_pylist()


def _word(value: object) -> str:
    return "empty" if value is None else str(value)


if __name__ == "__main__":
    try:
        print(json.dumps(changes(open_store(), sys.argv[1], sys.argv[2])))
    except ToolkitError as error:
        sys.exit(f"error: {error}")
