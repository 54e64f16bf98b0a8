"""Does a version hold what its synthetic rows claim? Splits, coverage, labels and, on request, the very pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from data_manifests.balance import check_no_leak
from data_manifests.errors import StageError
from data_manifests.schema import USABLE
from data_manifests.store import Store
from data_manifests.version import Manifest
from pipeline.images import encode, load_rgb
from pipeline.step import Record
from synth.masks.wear import gate
from synth.render import PLANNED, VERSION, make_render

_WEAR_OF_MASK = {"worn": ("worn",), "none": ("",)}  # `incorrect` is any other wear


@dataclass(frozen=True)
class Verified:
    """How many synthetic rows were looked at and what is wrong, one line each."""

    rows: int
    regenerated: int
    problems: list[str]


def verify(store: Store, manifest: Manifest, *, regenerate: bool = False) -> Verified:
    """Check every usable synthetic row. With `regenerate`, render it again from its recipe and compare the bytes.

    Raises ManifestError at once if a synthetic row stands outside its person's split.
    """
    check_no_leak(manifest.table)
    usable = pc.is_in(manifest.table.column("status"), value_set=pa.array(USABLE))
    rows = manifest.table.filter(pc.and_(manifest.table.column("is_synthetic"), usable)).to_pylist()
    problems = [f"{row['sample_id']}: {problem}" for row in rows for problem in _contradictions(row)]
    if not regenerate:
        return Verified(len(rows), 0, problems)
    parents = {row["parent_id"] for row in rows}
    photos = {row["sample_id"]: row for row in manifest.table.to_pylist() if row["sample_id"] in parents}
    for row in tqdm(rows, desc="regenerate", unit="img"):
        problems += [f"{row['sample_id']}: {problem}" for problem in _differences(store, row, photos)]
    return Verified(len(rows), len(rows), problems)


def _contradictions(row: Record) -> Iterator[str]:
    """Where a row's label and its measured coverage do not belong together."""
    recipe = json.loads(row["recipe"])
    wear = recipe["wear"]
    if wear not in _WEAR_OF_MASK.get(row["mask"], (wear,)) or (row["mask"] == "incorrect" and wear in ("worn", "")):
        yield f"labelled {row['mask']!r}, rendered as {wear!r}"
    if wear:
        try:
            gate(wear, {f"{part}_score": row[f"{part}_covered_score"] for part in ("nose", "mouth", "chin")})
        except StageError as error:
            yield str(error)


def _differences(store: Store, row: Record, photos: dict[str, Record]) -> Iterator[str]:
    """Where the picture made again differs from the one on disk."""
    recipe: dict[str, Any] = json.loads(row["recipe"])
    if recipe["version"] != VERSION:
        yield f"made by version {recipe['version']} of the synthesiser, this is {VERSION}: it cannot be made again here"
        return
    photo = photos.get(row["parent_id"])
    if photo is None:
        yield f"its photo {row['parent_id']} is not in this version"
        return
    picture = load_rgb(store.file_of(photo["root"], photo["path"]), photo["sha256"])
    again = make_render()(photo | {key: recipe[key] for key in PLANNED}, picture).picture
    assert again is not None
    if hashlib.sha256(encode(again, PurePosixPath(row["path"]).suffix)).hexdigest() != row["sha256"]:
        yield "rendered again, its bytes differ"
