"""The pictures of a plain folder, prepared as those that a run was trained on. This module imports no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_manifests.errors import PhotoError, StageError
from data_manifests.versions import WORKSPACE_ROOT, Store
from pipeline.backends import RECORDED_STEPS, load_recorded_steps
from pipeline.photos import PhotoFile, list_pictures, photo_sha256
from pipeline.runs import Run, section
from pipeline.stage import IDENTITY, run_records
from pipeline.step import Result

_GEOMETRY = {"box_xyxy": 4, "points_xy": 10, "landmarks_xy": 136}
CHANGE_PICTURES = ("crop", "background")
_FIND_FACES = ("detect", "landmarks")
NO_FACE = "no face found"
STAGE = "predict"
Steps = dict[str, Mapping[str, Any]]  # name → recorded parameters


@dataclass(frozen=True)
class FolderPhotos:
    """The pictures of a folder: `table` has a row for each that can be predicted, with the columns of IDENTITY.

    `sample_id` is the path in the folder, `landmarks_xy` is null where no step placed any. `names` lists all pictures,
    `reasons` those that cannot be predicted, `remarks` what was uncertain about others, `left_out` entries that are no
    picture.
    """

    folder: Path
    names: list[str]
    table: pa.Table
    reasons: dict[str, str]
    remarks: dict[str, str]
    left_out: dict[str, str] = field(default_factory=dict)


def recorded_steps(run: Run) -> Steps:
    """Return the steps that made the pictures that a run was trained on, oldest first; empty for photos as ingested."""
    steps: Steps = {}
    for entry in reversed(run.about().get("history", [])):
        for name, parameters in entry["parameters"].items():
            if name in RECORDED_STEPS and isinstance(parameters, dict):
                steps[name] = parameters
    return steps


def steps_for(run: Run, as_is: bool = False) -> Steps:
    """Return the steps that a photo needs before the run can predict it.

    With `as_is`, pictures are not changed. A run on an embedding needs landmarks in any case.
    """
    steps = recorded_steps(run)
    if as_is:
        steps = {name: value for name, value in steps.items() if name not in CHANGE_PICTURES}
    if section(run.settings(), "model").get("embedding"):
        return {name: steps.get(name, {}) for name in (*_FIND_FACES, *steps)}
    return steps if set(steps) & set(CHANGE_PICTURES) else {}


def changes_pictures(steps: Steps) -> list[str]:
    """Return the steps that make another picture of a photo."""
    return [name for name in CHANGE_PICTURES if name in steps]


def prepare_folder(store: Store, run: Run, folder: Path, as_is: bool = False) -> FolderPhotos:
    """Find the pictures below a folder and prepare them as those that the run was trained on.

    Raises StageError when there is no picture, or none that can be predicted.
    """
    listed, steps = list_pictures(folder), steps_for(run, as_is)
    names = listed.pictures
    hashes, reasons = _hashes(folder, names)
    table = _as_table(folder, hashes, store)
    remarks: dict[str, str] = {}
    if steps and table.num_rows:
        results, _ = run_records(STAGE, load_recorded_steps(steps), table, store)
        needs_landmarks = bool(section(run.settings(), "model").get("embedding"))
        table = _with_results(table, results, reasons, remarks, needs_landmarks)
    if not table.num_rows:
        first = next(iter(reasons.values()))
        raise StageError(f"none of the {len(names)} pictures in {folder} can be predicted, the first: {first}")
    return FolderPhotos(folder, names, table, reasons, remarks, listed.left_out)


def _hashes(folder: Path, names: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the sha256 of each file, and the reason of each that cannot be read."""
    hashes, reasons = {}, {}
    for name in names:
        try:
            hashes[name] = photo_sha256(PhotoFile(folder, name))
        except PhotoError as error:
            reasons[name] = str(error)
    return hashes, reasons


def _as_table(folder: Path, hashes: Mapping[str, str], store: Store) -> pa.Table:
    """Return a row per file, with the columns that steps need; the folder becomes a root of the store."""
    folder = folder.resolve()
    root = f"folder-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    store.set_root(root, folder)
    names = list(hashes)
    values: dict[str, Any] = {
        "sample_id": names, "root": [root] * len(names), "path": names, "sha256": list(hashes.values()),
    }  # fmt: skip
    values |= {name: pa.nulls(len(names), pa.string()) for name in IDENTITY if name not in values}
    values |= {name: pa.nulls(len(names), pa.list_(pa.float32(), size)) for name, size in _GEOMETRY.items()}
    return pa.table(values | {"faces": pa.nulls(len(names), pa.int32())})


def _with_results(
    table: pa.Table,
    results: list[Result],
    reasons: dict[str, str],
    remarks: dict[str, str],
    needs_landmarks: bool,
) -> pa.Table:
    """Return the rows of prepared pictures; add the reasons of the others, and the remarks of uncertain ones."""
    rows = []
    for row, result in zip(table.to_pylist(), results, strict=True):
        name, columns = row["sample_id"], result["columns"]
        reason = result["reason"].removeprefix(f"{STAGE}: ")
        if result["status"] == "failed":
            reasons[name] = reason
            continue
        if needs_landmarks and columns.get("landmarks_xy") is None:
            reasons[name] = NO_FACE
            continue
        if result["status"] == "fallback":
            remarks[name] = reason
        row |= {column: columns.get(column) for column in _GEOMETRY}
        if result["picture"]:
            row |= {"root": WORKSPACE_ROOT, "path": result["picture"]["path"], "sha256": result["picture"]["sha256"]}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=table.schema)
