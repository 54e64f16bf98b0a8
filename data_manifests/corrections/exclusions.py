"""Rows that a correction excluded: who excluded them, and the status from before.

The column `excluded_by` holds the annotator. Versions written by 0.1 have the name in `reason` alone, as
`apply: excluded by NAME`. The functions of this module read both, and no other place does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

COLUMNS = ("status", "reason", "excluded_by")
_NOTE = "apply: excluded by "
_LEGACY_NOTE = re.compile(rf"(?:^|; ){_NOTE}(?P<name>[^;()]*[^;() ])")  # a name holds none of ;()


def excluded_by(table: pa.Table) -> pa.ChunkedArray:
    """Return the annotator whose correction excluded each row (N,) of a table with `COLUMNS`; null for other rows."""
    excluded = pc.equal(table["status"], "excluded")
    names = pc.if_else(excluded, table["excluded_by"], pa.scalar(None, pa.string()))
    missing = pc.and_(excluded, pc.is_null(names))
    if not pc.any(missing, min_count=0).as_py():
        return names
    reasons = pc.if_else(missing, table["reason"], pa.scalar(None, pa.string()))
    return pc.coalesce(names, pc.struct_field(pc.extract_regex(reasons, _LEGACY_NOTE.pattern), "name"))


def is_excluded_by_correction(row: Mapping[str, Any]) -> bool:
    """Return whether a correction excluded a row, given as a dictionary with `COLUMNS`, and not a stage."""
    if row["status"] != "excluded":
        return False
    return bool(row["excluded_by"] or _LEGACY_NOTE.search(row["reason"] or ""))


def exclude(part: pa.Table, excluded: Sequence[bool], annotators: Sequence[str]) -> dict[str, pa.Array]:
    """Return the new values (K,) of `COLUMNS` for rows that corrections exclude, or include again where not `excluded`.

    The reason keeps the status from before, so that including a row again loses nothing.
    """
    rows = zip(excluded, annotators, part["status"].to_pylist(), part["reason"].to_pylist(), strict=True)
    made = [_excluded(name, status, reason) if out else _included(reason) for out, name, status, reason in rows]
    columns = zip(*made, strict=True)
    return {name: pa.array(values, pa.string()) for name, values in zip(COLUMNS, columns, strict=True)}


def _excluded(annotator: str, status: str, reason: str | None) -> tuple[str, str, str]:
    before = "" if status == "ok" else f" (was {status})"
    return "excluded", "; ".join([*_notes(reason), f"{_NOTE}{annotator}{before}"]), annotator


def _included(reason: str | None) -> tuple[str, str | None, None]:
    notes = _notes(reason)
    ours = [note for note in notes if note.startswith(_NOTE)]
    status = ours[0].rpartition(" (was ")[2].rstrip(")") if ours and ours[0].endswith(")") else "ok"
    return status, "; ".join(note for note in notes if note not in ours) or None, None


def _notes(reason: str | None) -> list[str]:
    return reason.split("; ") if reason else []
