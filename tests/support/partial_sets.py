"""Small drawn sets in which labels of some tasks are unknown, as a manifest and as a folder of photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts
from data_manifests.versions.content_hash import sample_id
from data_manifests.versions.metadata import Version
from data_manifests.versions.store import Store
from pipeline.photos.images import save_rgb
from tests.support.manifest_tables import manifest
from tests.support.train_drawn import AGES, SIDE, draw_person

PARTIAL = ("mask", "gender", "age", "mask+gender", "none", "mixed")
"""The tasks that have labels. In `mixed` a row lacks mask, gender, age, all three or nothing, in turn."""

_LACKING: tuple[tuple[str, ...], ...] = (("mask",), ("gender",), ("age",), ("mask", "gender", "age"), ())
_AGE_FOLDERS = ("<30", "30-59", ">=60")


def partial_labels(labelled: str, count: int = 36) -> list[dict[str, Any]]:
    """Return mask, gender and age of `count` photos, None where unknown; 36 photos hold each combination twice."""
    rows = []
    for i in range(count):
        full = {"mask": MASKS[i % 3], "gender": GENDERS[i // 3 % 2], "age": AGES[i // 6 % 3]}
        lacking = _LACKING[i % len(_LACKING)] if labelled == "mixed" else set(full) - set(labelled.split("+"))
        rows.append({name: None if name in lacking else value for name, value in full.items()})
    return rows


def partial_table(labelled: str, count: int = 36, **values: Any) -> pa.Table:
    """Return a manifest table without image files, each photo its own person. `values` override those of all rows."""
    return manifest([_row(i, labels, f"{i:03d}.png", f"{i:064x}") | values for i, labels in _numbered(labelled, count)])


def write_partial(store: Store, labelled: str, count: int = 36, name: str = "partial", split: bool = True) -> Version:
    """Write a version with drawn photos in the workspace. With `split` every fourth photo is in val, the rest in train.

    The pictures show all three labels, known or not: colour is the gender, stripes are the age, a box is the mask.
    """
    rows = []
    for i, labels in _numbered(labelled, count):
        saved = save_rgb(_draw(i), store.workspace, f"images/{name}/{i:03d}.png")
        row = _row(i, labels, saved.path, saved.sha256) | {"root": "workspace"}
        rows.append(row | ({"split": "val" if i % 4 == 3 else "train"} if split else {}))
    return store.write(name, manifest(rows), "ingest", parameters={"layout": "folder"}, cuts=AgeCuts())


def draw_partial_folder(folder: Path, labelled: str, count: int = 36) -> Path:
    """Draw the photos into folders named after their known labels, or `photos`; return `folder`."""
    for i, labels in _numbered(labelled, count):
        age = None if labels["age"] is None else _AGE_FOLDERS[AGES.index(labels["age"])]
        known = [word for word in (labels["mask"], labels["gender"], age) if word]
        save_rgb(_draw(i), folder, f"{' '.join(known) or 'photos'}/{i:03d}.png")
    return folder


def _numbered(labelled: str, count: int) -> list[tuple[int, dict[str, Any]]]:
    return list(enumerate(partial_labels(labelled, count)))


def _draw(i: int) -> np.ndarray:
    mask, gender, age = MASKS[i % 3], i // 3 % 2, i // 6 % 3
    return draw_person(gender, age, mask, np.random.default_rng(i))


def _row(i: int, labels: dict[str, Any], path: str, sha256: str) -> dict[str, Any]:
    name = sample_id(path, sha256)
    return {
        "sample_id": name, "source_id": name, "root": "photos", "path": path, "sha256": sha256, "width_px": SIDE,
        "height_px": SIDE, "person_id": f"{i:03d}", "profile_id": f"{i:03d}", "label_source": "ingest",
        "status": "ok", "is_synthetic": False, **labels,
    }  # fmt: skip
