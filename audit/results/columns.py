"""Scores and issues as columns of the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from audit.checks import AuditData, check_columns, find_check
from data_manifests.schema import column_type, conform

ISSUE_COLUMNS = ("audit_reason", "issue_types", "issue_probabilities", "issue_reasons")


def add_columns(table: pa.Table, data: AuditData, queue: pd.DataFrame, ranked: pd.DataFrame) -> pa.Table:
    """Return the table with the columns of the audit in place of older ones.

    Rows whose picture was not described have only `audit_rank`.
    """
    values = {**check_columns(data), **issue_columns(data.rows["sample_id"], queue)}
    for name, column in values.items():
        table = _set(table, name, _at_rows(name, table.num_rows, data.features.rows, column))
    rank_of = dict(zip(ranked["person_id"], ranked["rank"], strict=True))
    rank = [rank_of.get(person) for person in table.column("person_id").to_pylist()]
    return conform(_set(table, "audit_rank", pa.array(rank, pa.int32())))


def issue_columns(sample_ids: pd.Series, queue: pd.DataFrame) -> dict[str, list[Any]]:
    """Return ISSUE_COLUMNS for photos (P,), None without an issue; the likeliest issue of a photo comes first."""
    of_sample: dict[str, list[tuple[str, float, str]]] = {}
    for issue in queue.sort_values("probability", ascending=False, kind="stable").to_dict("records"):
        label = find_check(issue["kind"]).label
        entry = issue["kind"], issue["probability"], f"{label} · {issue['reason']}"
        for sample in issue["sample_ids"].split():
            of_sample.setdefault(sample, []).append(entry)
    found: dict[str, list[Any]] = {name: [] for name in ISSUE_COLUMNS}
    for sample in sample_ids:
        entries = of_sample.get(sample)
        types, probabilities, reasons = (list(part) for part in zip(*entries, strict=True)) if entries else (None,) * 3
        found["audit_reason"].append(_as_text(entries) if entries else None)
        found["issue_types"].append(types)
        found["issue_probabilities"].append(probabilities)
        found["issue_reasons"].append(reasons)
    return found


def _as_text(entries: Sequence[tuple[str, float, str]]) -> str:
    return "; ".join(f"{reason} ({probability:.2f})" for _, probability, reason in entries)


def _at_rows(name: str, n_rows: int, rows: np.ndarray, values: Any) -> pa.Array:
    """Return a column (n_rows,) with values (P,) at rows (P,); NaN becomes null."""
    column: list[Any] = [None] * n_rows
    for row, value in zip(rows.tolist(), values.tolist() if isinstance(values, np.ndarray) else values, strict=True):
        column[row] = None if value is None or value != value else value
    return pa.array(column, column_type(name))


def _set(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)
