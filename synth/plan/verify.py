"""Verification of the synthetic rows of a version: splits, labels, coverage, identity, and the images themselves."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import StageError
from data_manifests.schema import USABLE
from data_manifests.splits import check_no_leak
from data_manifests.taxonomy import MASKS, N_AGE_CLASSES, SHOTS
from data_manifests.versions import Manifest, Store
from pipeline.faces import SAME_PERSON_DISTANCE
from pipeline.photos import encode, load_rgb
from pipeline.progress import show_progress
from pipeline.stage import StepFunction
from pipeline.step import Record
from pipeline.threads import one_thread
from synth.ages import load_kept_prototypes
from synth.masks import check_coverage, load_kept_template
from synth.plan.render_step import MOVED, PLANNED, TEMPLATE, VERSION, make_render, templates_folder
from synth.recipe import read_recipe

_PLACEMENTS_OF_MASK = {"worn": ("worn",), "none": ("",)}  # `incorrect` is any other placement


@dataclass(frozen=True)
class Problem:
    """A problem of one row, or of several rows if `sample_id` is None."""

    sample_id: str | None
    text: str

    def line(self) -> str:
        """Return one line for a terminal."""
        return f"{self.sample_id}: {self.text}" if self.sample_id else self.text


@dataclass(frozen=True)
class ClassCount:
    """Usable train rows of an age class and mask: `real`, `synthetic`, and of the synthetic those of `moved` age.

    `age_class` is None for rows of unknown age.
    """

    age_class: int | None
    mask: str
    real: int
    synthetic: int
    moved: int


@dataclass(frozen=True)
class Verification:
    """Result of a verification: the number of synthetic rows checked, their problems, and counts.

    `incomplete_profiles` lists the missing shots of profiles that lack an image: a mask could not be put on, or
    somebody excluded it.
    """

    rows: int
    regenerated: int
    findings: list[Problem]
    class_counts: list[ClassCount]
    age_class_names: tuple[str, ...]
    profiles: int
    incomplete_profiles: dict[str, list[str]]
    unusable: dict[str, int]  # synthetic rows that failed or are excluded, by status and reason

    @property
    def problems(self) -> list[str]:
        """One line per problem."""
        return [problem.line() for problem in self.findings]

    @property
    def counts(self) -> list[str]:
        """Lines for a terminal: rows per class and mask, then the number of incomplete profiles."""
        parts: dict[int | None, list[str]] = {}
        for one in self.class_counts:
            moved = f" ({one.moved} of moved age)" if one.moved else ""
            parts.setdefault(one.age_class, []).append(f"{one.mask} {one.real} + {one.synthetic}{moved}")
        lines = []
        for age_class, counts in parts.items():
            age = ", age unknown" if age_class is None else f", age {self.age_class_names[age_class]}"
            lines.append(f"train{age}, real + synthetic: {', '.join(counts)}")
        if self.incomplete_profiles:
            first, shots = next(iter(self.incomplete_profiles.items()))
            lines.append(
                f"{len(self.incomplete_profiles)} of {self.profiles} synthetic profiles are incomplete, "
                f"first {first}, which lacks {', '.join(shots)}"
            )
        for reason, count in self.unusable.items():
            lines.append(f"{count} synthetic rows {reason}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return {
            "rows": self.rows,
            "regenerated": self.regenerated,
            "problems": [{"sample_id": one.sample_id, "problem": one.text} for one in self.findings],
            "counts": [
                asdict(one) | {"age": None if one.age_class is None else self.age_class_names[one.age_class]}
                for one in self.class_counts
            ],
            "profiles": self.profiles,
            "incomplete_profiles": self.incomplete_profiles,
            "unusable": self.unusable,
        }


def verify(store: Store, manifest: Manifest, *, regenerate: bool = False) -> Verification:
    """Check every usable synthetic row. With `regenerate`, render it again from its parameters and compare the bytes.

    Raises ManifestError if a synthetic row is outside its person's split.
    """
    check_no_leak(manifest.table)
    usable = pc.is_in(manifest.table.column("status"), value_set=pa.array(USABLE))
    rows = manifest.table.filter(pc.and_(manifest.table.column("is_synthetic"), usable)).to_pylist()
    findings = [Problem(row["sample_id"], text) for row in rows for text in _contradictions(row)]
    findings += [Problem(None, text) for text in (*_lost_prototypes(store, rows), *_lost_templates(store, rows))]
    if regenerate:
        render = make_render(store.workspace)
        parents = {row["parent_id"] for row in rows}
        photos = {row["sample_id"]: row for row in manifest.table.to_pylist() if row["sample_id"] in parents}
        for row in show_progress(rows, "regenerate", len(rows)):
            with one_thread():  # as when the picture was made
                findings += [Problem(row["sample_id"], text) for text in _differences(store, row, photos, render)]
    shots = _shots_per_profile(rows)
    incomplete = {
        profile: sorted(set(SHOTS) - made) for profile, made in sorted(shots.items()) if len(made) < len(SHOTS)
    }
    return Verification(
        rows=len(rows),
        regenerated=len(rows) if regenerate else 0,
        findings=findings,
        class_counts=_class_counts(manifest),
        age_class_names=tuple(manifest.cuts.names),
        profiles=len(shots),
        incomplete_profiles=incomplete,
        unusable=_unusable(manifest.table),
    )


def _unusable(table: pa.Table) -> dict[str, int]:
    """Count synthetic rows that are not used by status and reason, the most frequent first, without the numbers."""
    unused = pc.and_(table["is_synthetic"], pc.invert(pc.is_in(table["status"], pa.array(USABLE))))
    rows = table.select(["status", "reason"]).filter(unused).to_pylist()
    reasons = Counter(re.sub(r"\d[\d.]*", "…", f"{row['status']}: {row['reason'] or 'no reason'}") for row in rows)
    return dict(reasons.most_common(8))


def _class_counts(manifest: Manifest) -> list[ClassCount]:
    """Count usable train rows of known mask per age class, and those of unknown age."""
    table = manifest.table
    usable = pc.and_kleene(pc.equal(table["split"], "train"), pc.is_in(table["status"], pa.array(USABLE)))
    rows = table.select(["sample_id", "age_class", "mask", "is_synthetic", "recipe"]).filter(usable).to_pylist()
    found: Counter[tuple[int | None, str, str]] = Counter()
    for row in rows:
        if row["mask"] is not None:
            kind = "real" if not row["is_synthetic"] else "moved" if "age" in read_recipe(row) else "own"
            found[row["age_class"], row["mask"], kind] += 1
    counts = []
    of_age = {age_class for age_class, _, _ in found}
    shown = range(N_AGE_CLASSES) if of_age - {None} else ()
    for age_class in (*shown, *(of_age & {None})):
        for mask in MASKS:
            real, own, moved = (found[age_class, mask, kind] for kind in ("real", "own", "moved"))
            counts.append(ClassCount(age_class, mask, real, own + moved, moved))
    return counts


def _shots_per_profile(rows: list[Record]) -> dict[str, set[str]]:
    """Return the shots made of each whole profile; an image made by itself belongs to none."""
    shots: dict[str, set[str]] = {}
    for row in rows:
        if row["shot"] is None:
            continue
        shots.setdefault(row["profile_id"], set()).add(row["shot"])
    return shots


def _lost_prototypes(store: Store, rows: list[Record]) -> Iterator[str]:
    """Yield the prototypes named by rows that are missing or changed in the workspace."""
    parameters = (read_recipe(row) for row in rows)
    named = Counter(sha256 for one in parameters if (sha256 := one.get("age", {}).get("prototypes")))
    for sha256, count in sorted(named.items()):
        try:
            load_kept_prototypes(store.workspace, sha256)
        except StageError as error:
            yield f"{count} images of moved age cannot be made again: {error}"


def _lost_templates(store: Store, rows: list[Record]) -> Iterator[str]:
    """Yield the user's templates named by rows that are missing or changed in the workspace."""
    named = Counter(sha256 for row in rows if (sha256 := read_recipe(row).get("mask", {}).get(TEMPLATE)))
    for sha256, count in sorted(named.items()):
        try:
            load_kept_template(templates_folder(store.workspace), sha256)
        except StageError as error:
            yield f"{count} images of your own template cannot be made again: {error}"


def _contradictions(row: Record) -> Iterator[str]:
    """Yield contradictions between a row's label and its measured coverage."""
    parameters = read_recipe(row)
    placement = parameters["wear"]
    allowed = _PLACEMENTS_OF_MASK.get(row["mask"], (placement,))
    if placement not in allowed or (row["mask"] == "incorrect" and placement in ("worn", "")):
        yield f"labelled {row['mask']!r}, rendered as {placement!r}"
    if "age" in parameters:
        yield from _age_problems(parameters)
    if placement:
        try:
            check_coverage(
                placement, {f"{part}_score": row[f"{part}_covered_score"] for part in ("nose", "mouth", "chin")}
            )
        except StageError as error:
            yield str(error)


def _age_problems(parameters: dict[str, Any]) -> Iterator[str]:
    """Repeat the identity check from the values of the row."""
    distance = parameters["age"]["distance"]
    if not distance < SAME_PERSON_DISTANCE:
        yield f"no longer the same person: distance {distance:.2f}, it must be under {SAME_PERSON_DISTANCE}"
    if parameters["to_age"] is None or not parameters["mover"]:
        yield "its age was moved, but its parameters lack the target age or the age mover"


def _differences(store: Store, row: Record, photos: dict[str, Record], render: StepFunction) -> Iterator[str]:
    """Yield the difference between the image made again and the file on disk."""
    parameters: dict[str, Any] = read_recipe(row)
    if parameters["version"] != VERSION:
        yield f"made by version {parameters['version']} of synth, this is {VERSION}: it cannot be made again here"
        return
    photo = photos.get(row["parent_id"])
    if photo is None:
        yield f"its photo {row['parent_id']} is not in this version"
        return
    picture = load_rgb(store.photo(photo["root"], photo["path"]), photo["sha256"])
    planned = {key: parameters[key] for key in PLANNED} | {key: parameters.get(key) for key in MOVED}
    planned[TEMPLATE] = parameters.get("mask", {}).get(TEMPLATE)
    try:
        again = render(photo | planned, picture).picture
    except StageError as error:
        yield f"cannot be rendered again: {error}"
        return
    assert again is not None
    if hashlib.sha256(encode(again, PurePosixPath(row["path"]).suffix)).hexdigest() != row["sha256"]:
        yield "rendered again, its bytes differ"
