"""Manifest tables for tests, without image files: photos, crops of them and synthetic profiles."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from data_manifests.schema import conform
from data_manifests.taxonomy import SHOT_MASK, AgeCuts, age_class_of, class_id_of
from data_manifests.versions.content_hash import sample_id


def photo(person: str, shot: str = "normal", **values: Any) -> dict[str, Any]:
    """Return the row of a photo; `values` override the defaults."""
    path = f"images/{person}/{shot}.jpg"
    sha256 = hashlib.sha256(path.encode()).hexdigest()
    name = sample_id(path, "")
    row = {
        "sample_id": name, "source_id": name, "root": "faces", "path": path, "sha256": sha256,
        "width_px": 384, "height_px": 512, "person_id": person, "profile_id": person, "shot": shot,
        "mask": SHOT_MASK[shot], "gender": "male", "age": 25, "label_source": "ingest", "status": "ok",
        "is_synthetic": False,
    }  # fmt: skip
    return row | values


def crop(parent: dict[str, Any], **values: Any) -> dict[str, Any]:
    """Return the row of a crop made from a photo or a synthetic image."""
    path = f"crop/{parent['path']}"
    name = sample_id(path, "", parent["sample_id"])
    return parent | {"sample_id": name, "parent_id": parent["sample_id"], "root": "workspace", "path": path} | values


def synthetic(parent: dict[str, Any], number: int = 1, shot: str = "mask1", **values: Any) -> dict[str, Any]:
    """Return the row of a shot of a synthetic profile rendered on a photo."""
    profile = f"{parent['person_id']}/s{number}"
    made = {"profile_id": profile, "shot": shot, "mask": SHOT_MASK[shot], "is_synthetic": True}
    return crop(parent, path=f"synth/{profile}/{shot}.png", sample_id=sample_id(profile, shot)) | made | values


def manifest(rows: Sequence[dict[str, Any]], cuts: AgeCuts | None = None) -> pa.Table:
    """Return rows as a conformed table with age class and class id."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = conform(pa.table({name: [row.get(name) for row in rows] for name in names}))
    age_class = age_class_of(table["age"], cuts or AgeCuts())
    class_id = class_id_of(table["mask"], table["gender"], age_class)
    for name, column in (("age_class", age_class), ("class_id", class_id)):
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def column(table: pa.Table, name: str) -> dict[str, Any]:
    """Return the values of a column by sample_id."""
    return dict(zip(table["sample_id"].to_pylist(), table[name].to_pylist(), strict=True))
