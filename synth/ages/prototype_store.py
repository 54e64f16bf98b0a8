"""Age prototypes of a manifest, kept in the workspace under the hash of their content.

workspace/ages/<sha256>.npz     prototypes; mask parameters refer to them by this hash
workspace/ages/<key>.sha256     hash of the prototypes learned from the faces of `key`, so that they are learned once
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.errors import StageError
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions import Store, write_atomic
from pipeline.photos import is_hash, load_rgb
from pipeline.progress import announce, show_progress
from pipeline.threads import one_thread
from synth.ages.learn import MIN_PEOPLE, Picture, learn_prototypes
from synth.ages.move import VERSION
from synth.ages.prototypes import Prototypes, load_prototypes

_COLUMNS = ["person_id", "sample_id", "root", "path", "sha256", "landmarks_xy", "gender", "age", "age_class"]


def ensure_prototypes(table: pa.Table, store: Store, cuts: AgeCuts, min_people: int = MIN_PEOPLE) -> str:
    """Learn the prototypes of a manifest's train people unless they are kept already; return the sha256 of the file.

    The age bands are the manifest's age classes. Raises StageError if a class has too few people with an unmasked
    photo.
    """
    faces = unmasked_faces(table)
    parts = [VERSION, cuts.middle, cuts.old, min_people, *(faces.select(_COLUMNS[4:]).to_pylist())]
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]
    folder = store.workspace / "ages"
    found = folder / f"{key}.sha256"
    if found.is_file() and (folder / f"{found.read_text().strip()}.npz").is_file():
        return found.read_text().strip()
    announce(f"ages: average faces are learned from {faces.num_rows} people, in three passes")
    with one_thread():
        prototypes = learn_prototypes(_FacePhotos(faces, store, cuts), cuts.starts, min_people=min_people)
    data = prototypes.to_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    write_atomic(folder / f"{sha256}.npz", data)
    write_atomic(found, f"{sha256}\n".encode())
    return sha256


def load_kept_prototypes(workspace: Path, sha256: str) -> Prototypes:
    """Read kept prototypes by their hash. Raises StageError if they are not in the workspace."""
    if not is_hash(sha256):
        raise StageError(f"age prototypes must be named by a SHA-256. Got {sha256[:80]!r} instead. Learn them again.")
    return load_prototypes(workspace / "ages" / f"{sha256}.npz", sha256)


def unmasked_faces(table: pa.Table, *, needs_years: bool = False) -> pa.Table:
    """Return one real, unmasked face with landmarks per train person and age class, in order of person.

    An age may be known only as a class, unless `needs_years`. Raises StageError if there is none.
    """
    real = pc.and_(pc.invert(table["is_synthetic"]), pc.equal(table["status"], "ok"))
    bare = pc.and_kleene(pc.equal(table["mask"], "none"), pc.equal(table["split"], "train"))
    labelled = pc.and_(pc.is_valid(table["gender"]), pc.is_valid(table["age" if needs_years else "age_class"]))
    wanted = pc.and_kleene(pc.and_(real, labelled), pc.and_kleene(bare, pc.is_valid(table["landmarks_xy"])))
    rows = table.select(_COLUMNS).filter(wanted).sort_by([("person_id", "ascending"), ("sample_id", "ascending")])
    first: dict[tuple[str, int], int] = {}
    people = zip(rows["person_id"].to_pylist(), rows["age_class"].to_pylist(), strict=True)
    for place, person in enumerate(people):
        first.setdefault(person, place)
    if not first:
        raise StageError(f"no face to learn ages from: {_why_none(table)}.")
    return rows.take(list(first.values()))


def _why_none(table: pa.Table) -> str:
    """Return how many rows meet each condition of `unmasked_faces`, one condition more each time."""
    photos = table.filter(pc.invert(table["is_synthetic"]))
    is_found = pc.and_(pc.is_valid(photos["landmarks_xy"]), pc.equal(photos["status"], "ok"))
    met = np.ones(photos.num_rows, bool)
    parts = [f"{photos.num_rows} photos"]
    for name, condition in (
        ("in train", pc.equal(photos["split"], "train")),
        ("known to show no mask", pc.equal(photos["mask"], "none")),
        ("with gender and age", pc.and_(pc.is_valid(photos["gender"]), pc.is_valid(photos["age_class"]))),
        ("with landmarks of a face found for certain", is_found),
    ):
        met &= pc.fill_null(condition, False).to_numpy()
        parts.append(f"{met.sum()} {name}")
    return ", of those ".join(parts)


class _FacePhotos:
    """The faces as images, read when they are iterated."""

    def __init__(self, faces: pa.Table, store: Store, cuts: AgeCuts) -> None:
        self.faces, self.store, self.cuts = faces, store, cuts

    def __iter__(self) -> Iterator[Picture]:
        for row in show_progress(self.faces.to_pylist(), "ages", self.faces.num_rows, "people"):
            image = load_rgb(self.store.photo(row["root"], row["path"]), row["sha256"])
            landmarks = np.asarray(row["landmarks_xy"], np.float32).reshape(68, 2)
            # An age known only as a class: any age of the class is in the same band.
            age = self.cuts.bounds(row["age_class"])[0] if row["age"] is None else row["age"]
            yield image, landmarks, row["gender"], age
