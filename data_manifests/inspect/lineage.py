"""The lineage of a row: its steps through the versions, back to the ingested photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from data_manifests.errors import ManifestError
from data_manifests.files import read_parquet
from data_manifests.schema import BY_NAME
from data_manifests.versions import Store, Version

_COMPARED = ("mask", "gender", "age", "split", "fold", "status", "reason")


@dataclass(frozen=True)
class LineageStep:
    """A row in one version. `changes` has the (before, after) of each field that differs from the next, older step."""

    version: Version
    row: Mapping[str, Any]
    is_new_image: bool  # made in this version; otherwise the row was copied from the parent version
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


def lineage(store: Store, ref: str, sample_id: str) -> list[LineageStep]:
    """Return the steps of a row, newest first; the last one is the ingest of its photo.

    An image whose parent is in no version is followed directly by its photo. Raises ManifestError if the row is not in
    the version, or if a version of its history no longer exists.
    """
    row = _find(store, ref, sample_id)
    if row is None:
        raise ManifestError(f"sample {sample_id!r} is not in {ref}. List ids: facecurate show {ref} --status ok")
    steps: list[LineageStep] = []
    seen = {(ref, sample_id)}
    while True:
        origin = _origin(store, ref, row)
        before = origin[1] if origin else row
        changes = {name: (before[name], row[name]) for name in _COMPARED if before[name] != row[name]}
        is_new = not origin or before["sample_id"] != row["sample_id"]
        steps.append(LineageStep(store.version(ref), row, is_new, changes))
        if not origin:
            return steps
        if (origin[0], origin[1]["sample_id"]) in seen:
            raise ManifestError(f"sample {row['sample_id']!r} descends from itself: its parent_id is wrong.")
        ref, row = origin
        seen.add((ref, row["sample_id"]))


def _origin(store: Store, ref: str, row: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return the version and row from which a row was made; None for a photo in the version of its ingest."""
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
    """Return all versions from which a version descends, nearest first."""
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
            raise ManifestError(f"{name} is not the parent of {ref}: its content hash must begin with {content}.")
        parents.append(name)
    return parents


def _find(store: Store, ref: str, sample_id: str) -> dict[str, Any] | None:
    rows = read_parquet(store.resolve(ref), filters=[("sample_id", "=", sample_id)]).to_pylist()
    # A column without any value is not stored.
    return dict.fromkeys(BY_NAME) | rows[0] if rows else None


def lineage_lines(steps: list[LineageStep]) -> list[str]:
    """Return the steps as text lines, newest first."""
    lines = []
    for step in steps:
        origin = "image made" if step.is_new_image else "row kept"
        origin = "photo" if step.row["parent_id"] is None and step is steps[-1] else origin
        file = f"{step.row['root']}/{step.row['path']}"
        lines.append(f"{step.version.ref}  {step.version.operation}: {origin}, {file} ({step.row['sample_id']})")
        lines += [f"    {name}: {_text(old)} → {_text(new)}" for name, (old, new) in step.changes.items()]
    return lines


def _text(value: object) -> str:
    return "empty" if value is None else str(value)
