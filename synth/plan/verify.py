"""Does a version hold what its synthetic rows claim? Splits, labels, coverage, identity, and the pictures."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from data_manifests.errors import StageError
from data_manifests.schema import USABLE
from data_manifests.splits import check_no_leak
from data_manifests.taxonomy import MASKS, SHOTS
from data_manifests.versions import Manifest, Store
from pipeline.faces import SAME_PERSON_DISTANCE
from pipeline.photos import encode, load_rgb
from pipeline.stage import StepFunction
from pipeline.step import Record
from synth.ages import kept_prototypes
from synth.masks import gate, kept_template
from synth.plan.render import MOVED, PLANNED, TEMPLATE, VERSION, make_render, templates_folder

_WEAR_OF_MASK = {"worn": ("worn",), "none": ("",)}  # `incorrect` is any other wear


@dataclass(frozen=True)
class Verified:
    """How many synthetic rows were looked at and what is wrong, one line each.

    `counts` tells, for people, how many rows there are per class and mask and how many profiles lack a picture.
    """

    rows: int
    regenerated: int
    problems: list[str]
    counts: list[str]


def verify(store: Store, manifest: Manifest, *, regenerate: bool = False) -> Verified:
    """Check every usable synthetic row. With `regenerate`, render it again from its recipe and compare the bytes.

    Raises ManifestError at once if a synthetic row stands outside its person's split.
    """
    check_no_leak(manifest.table)
    usable = pc.is_in(manifest.table.column("status"), value_set=pa.array(USABLE))
    rows = manifest.table.filter(pc.and_(manifest.table.column("is_synthetic"), usable)).to_pylist()
    problems = [f"{row['sample_id']}: {problem}" for row in rows for problem in _contradictions(row)]
    problems += [*_lost_prototypes(store, rows), *_lost_templates(store, rows)]
    counts = [*_counts(manifest), *_torn_profiles(rows)]
    if not regenerate:
        return Verified(len(rows), 0, problems, counts)
    render = make_render(store.workspace)
    parents = {row["parent_id"] for row in rows}
    photos = {row["sample_id"]: row for row in manifest.table.to_pylist() if row["sample_id"] in parents}
    for row in tqdm(rows, desc="regenerate", unit="img"):
        problems += [f"{row['sample_id']}: {problem}" for problem in _differences(store, row, photos, render)]
    return Verified(len(rows), len(rows), problems, counts)


def _counts(manifest: Manifest) -> Iterator[str]:
    """Usable rows of train per age class and mask: how many are real, how many synthetic, how many of those moved."""
    table = manifest.table
    usable = pc.and_kleene(pc.equal(table["split"], "train"), pc.is_in(table["status"], pa.array(USABLE)))
    rows = table.select(["age_class", "mask", "is_synthetic", "recipe"]).filter(usable).to_pylist()
    found: Counter[tuple[int, str, str]] = Counter()
    for row in rows:
        if row["age_class"] is not None and row["mask"] is not None:
            kind = "real" if not row["is_synthetic"] else "moved" if "age" in json.loads(row["recipe"]) else "synthetic"
            found[row["age_class"], row["mask"], kind] += 1
    for age_class, name in enumerate(manifest.cuts.names):
        parts = []
        for mask in MASKS:
            real, own, moved = (found[age_class, mask, kind] for kind in ("real", "synthetic", "moved"))
            parts.append(f"{mask} {real} + {own + moved}" + (f" ({moved} of moved age)" if moved else ""))
        yield f"train, age {name}, real + synthetic: {', '.join(parts)}"


def _torn_profiles(rows: list[Record]) -> Iterator[str]:
    """Profiles of which not every shot was made."""
    shots: dict[str, set[str]] = {}
    for row in rows:
        shots.setdefault(row["profile_id"], set()).add(row["shot"])
    torn = sorted(profile for profile, made in shots.items() if len(made) < len(SHOTS))
    if torn:
        lacks = ", ".join(sorted(set(SHOTS) - shots[torn[0]]))
        yield f"{len(torn)} of {len(shots)} synthetic profiles are not whole, first {torn[0]}, which lacks {lacks}"


def _lost_prototypes(store: Store, rows: list[Record]) -> Iterator[str]:
    """Prototypes that recipes name and the workspace does not hold as they were."""
    recipes = (json.loads(row["recipe"]) for row in rows)
    named = Counter(sha256 for recipe in recipes if (sha256 := recipe.get("age", {}).get("prototypes")))
    for sha256, count in sorted(named.items()):
        try:
            kept_prototypes(store.workspace, sha256)
        except StageError as error:
            yield f"{count} pictures of moved age cannot be made again: {error}"


def _lost_templates(store: Store, rows: list[Record]) -> Iterator[str]:
    """Masks of the user's own that recipes name and the workspace does not hold as they were."""
    named = Counter(sha256 for row in rows if (sha256 := json.loads(row["recipe"]).get("mask", {}).get(TEMPLATE)))
    for sha256, count in sorted(named.items()):
        try:
            kept_template(templates_folder(store.workspace), sha256)
        except StageError as error:
            yield f"{count} pictures of a mask of your own cannot be made again: {error}"


def _contradictions(row: Record) -> Iterator[str]:
    """Where a row's label and its measured coverage do not belong together."""
    recipe = json.loads(row["recipe"])
    wear = recipe["wear"]
    if wear not in _WEAR_OF_MASK.get(row["mask"], (wear,)) or (row["mask"] == "incorrect" and wear in ("worn", "")):
        yield f"labelled {row['mask']!r}, rendered as {wear!r}"
    if "age" in recipe:
        yield from _wrong_ages(row, recipe)
    if wear:
        try:
            gate(wear, {f"{part}_score": row[f"{part}_covered_score"] for part in ("nose", "mouth", "chin")})
        except StageError as error:
            yield str(error)


def _wrong_ages(row: Record, recipe: dict[str, Any]) -> Iterator[str]:
    """The identity gate again, from what the row says."""
    distance = recipe["age"]["distance"]
    if not distance < SAME_PERSON_DISTANCE:
        yield f"no longer the same person: distance {distance:.2f}, it must be under {SAME_PERSON_DISTANCE}"
    if recipe["to_age"] is None or not recipe["mover"]:
        yield "its age was moved, but the recipe does not say to which age or how"


def _differences(store: Store, row: Record, photos: dict[str, Record], render: StepFunction) -> Iterator[str]:
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
    wanted = {key: recipe[key] for key in PLANNED} | {key: recipe.get(key) for key in MOVED}
    wanted[TEMPLATE] = recipe.get("mask", {}).get(TEMPLATE)
    try:
        again = render(photo | wanted, picture).picture
    except StageError as error:
        yield f"cannot be rendered again: {error}"
        return
    assert again is not None
    if hashlib.sha256(encode(again, PurePosixPath(row["path"]).suffix)).hexdigest() != row["sha256"]:
        yield "rendered again, its bytes differ"
