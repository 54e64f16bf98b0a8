"""Where a row came from: its steps through the versions, back to the ingested photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq

from data_manifests.errors import ManifestError
from data_manifests.schema import BY_NAME
from data_manifests.versions import Store, Version

_TOLD = ("mask", "gender", "age", "split", "fold", "status", "reason")


@dataclass(frozen=True)
class LineageStep:
    """The row as one version holds it. `changes` is field → (before, after) against the next step, its origin."""

    version: Version
    row: Mapping[str, Any]
    is_new_picture: bool  # made in this version; else its row was taken over from the parent
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


def lineage(store: Store, ref: str, sample_id: str) -> list[LineageStep]:
    """The steps of a row, newest first; the last one is the photo's ingest.

    A picture that was made from one which no version keeps is followed by its photo. Raises ManifestError when the row
    is not in the version, or when a version on the way is gone.
    """
    row = _find(store, ref, sample_id)
    if row is None:
        raise ManifestError(f"sample {sample_id!r} is not in {ref}; ids stand in its column sample_id.")
    steps: list[LineageStep] = []
    seen = {(ref, sample_id)}
    while True:
        origin = _origin(store, ref, row)
        before = origin[1] if origin else row
        changes = {name: (before[name], row[name]) for name in _TOLD if before[name] != row[name]}
        is_new = not origin or before["sample_id"] != row["sample_id"]
        steps.append(LineageStep(store.version(ref), row, is_new, changes))
        if not origin:
            return steps
        if (origin[0], origin[1]["sample_id"]) in seen:
            raise ManifestError(f"sample {row['sample_id']!r} descends from itself: its parent_id is wrong.")
        ref, row = origin
        seen.add((ref, row["sample_id"]))


def _origin(store: Store, ref: str, row: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The version and row that a row came from; None for a photo where it was ingested."""
    parents = _parents(store, ref)
    for parent in parents:
        if found := _find(store, parent, row["sample_id"]):
            return parent, found
    if row["parent_id"] is None:
        return None
    for sample_id in (row["parent_id"], row["source_id"]):
        for candidate in (*parents, ref, *_ancestors(store, ref)):
            if found := _find(store, candidate, sample_id):
                return candidate, found
    raise ManifestError(f"neither parent nor photo of sample {row['sample_id']!r} is in {ref} or a version before it.")


def _ancestors(store: Store, ref: str) -> list[str]:
    """All versions that a version goes back to, nearest first."""
    found: list[str] = []
    level = [ref]
    while level:
        level = [parent for child in level for parent in _parents(store, child) if parent not in found]
        found += level
    return list(dict.fromkeys(found))


def _parents(store: Store, ref: str) -> list[str]:
    parents = []
    for parent in store.version(ref).parents:
        name, _, content = parent.partition("#")
        if not store.version(name).content_hash.startswith(content):
            raise ManifestError(f"{name} is not the one that {ref} was made from: its content should be {content}….")
        parents.append(name)
    return parents


def _find(store: Store, ref: str, sample_id: str) -> dict[str, Any] | None:
    rows = pq.read_table(store.resolve(ref), filters=[("sample_id", "=", sample_id)]).to_pylist()
    # A column without any value is not stored.
    return dict.fromkeys(BY_NAME) | rows[0] if rows else None


def lineage_lines(steps: list[LineageStep]) -> list[str]:
    """The steps as text, newest first."""
    lines = []
    for step in steps:
        what = "picture made" if step.is_new_picture else "row kept"
        what = "photo" if step.row["parent_id"] is None and step is steps[-1] else what
        file = f"{step.row['root']}/{step.row['path']}"
        lines.append(f"{step.version.ref}  {step.version.operation}: {what}, {file} ({step.row['sample_id']})")
        lines += [f"    {name}: {_shown(old)} → {_shown(new)}" for name, (old, new) in step.changes.items()]
    return lines


def _shown(value: object) -> str:
    return "empty" if value is None else str(value)
