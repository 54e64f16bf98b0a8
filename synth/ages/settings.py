"""Settings of age moves, and the prototypes of a manifest, kept in the workspace under the hash of their content.

workspace/ages/<sha256>.npz     prototypes; a recipe names them by this hash
workspace/ages/<key>.sha256     what the faces of `key` gave, so that they are not learned twice
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, field_validator

from data_manifests.errors import ConfigError, StageError
from data_manifests.taxonomy import N_AGE_CLASSES, AgeCuts
from data_manifests.versions import Store, write_atomic
from pipeline.photos import load_rgb
from pipeline.settings import Settings
from synth.ages.learn import MIN_PEOPLE, Picture, learn_prototypes
from synth.ages.move import MAX_STRENGTH, VERSION
from synth.ages.prototypes import Prototypes, load_prototypes

_COLUMNS = ["person_id", "sample_id", "root", "path", "sha256", "landmarks_xy", "gender", "age", "age_class"]


class AgeSettings(Settings):
    """Which age classes may be made from which others, by what, and how far.

    `moves` are pairs (source, target) of age classes 0 to 2. A network of the user's own needs `network_path`; it sees
    `network_size_px` square crops in [low, high] and ages in units of `age_unit_years`.
    """

    method: Literal["none", "prototypes", "torchscript", "onnx"] = "none"
    moves: tuple[tuple[int, int], ...] = ((1, 2),)
    share: float = Field(default=0.5, ge=0, le=1)  # of a class's synthetic profiles; the rest are people of that class
    strength: float = Field(default=1.2, gt=0, le=MAX_STRENGTH)
    min_people: int = Field(default=MIN_PEOPLE, ge=2)
    network_path: str = ""
    network_size_px: int = Field(default=256, ge=16)
    low: float = -1.0
    high: float = 1.0
    age_unit_years: float = Field(default=100.0, gt=0)

    @field_validator("moves")
    @classmethod
    def _classes(cls, value: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        for source, target in value:
            if source == target or not {source, target} <= set(range(N_AGE_CLASSES)):
                raise ConfigError(
                    f"synth.ages.moves must be pairs of different age classes 0 to {N_AGE_CLASSES - 1}. "
                    f"Got {[source, target]} instead."
                )
        return value


def draw_age(ages_of_class: NDArray[np.integer], age_class: int, cuts: AgeCuts, rng: np.random.Generator) -> int:
    """The label of a moved picture, years: the age of a random real person of the target class.

    So moved people are as old as the class is, not spread evenly up to 116. Without real ages: within ten years of the
    class's first age that is an adult's.
    """
    low, high = cuts.bounds(age_class)
    known = ages_of_class[(ages_of_class >= low) & (ages_of_class <= high)]
    if len(known):
        return int(rng.choice(known))
    first = max(low, min(18, high))
    return int(rng.integers(first, min(first + 9, high) + 1))


def prototypes_of(table: pa.Table, store: Store, cuts: AgeCuts, min_people: int = MIN_PEOPLE) -> str:
    """Learn the prototypes of a manifest's train people, or find them learned; gives the sha256 of their file.

    The bands are the manifest's age classes. Raises StageError if a class has too few people with an unmasked photo.
    """
    faces = bare_faces(table)
    parts = [VERSION, cuts.middle, cuts.old, min_people, *(faces.select(_COLUMNS[4:]).to_pylist())]
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]
    folder = store.workspace / "ages"
    found = folder / f"{key}.sha256"
    if found.is_file() and (folder / f"{found.read_text().strip()}.npz").is_file():
        return found.read_text().strip()
    prototypes = learn_prototypes(_Photos(faces, store, cuts), (cuts.middle, cuts.old), min_people=min_people)
    data = prototypes.to_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    write_atomic(folder / f"{sha256}.npz", data)
    write_atomic(found, f"{sha256}\n".encode())
    return sha256


def kept_prototypes(workspace: Path, sha256: str) -> Prototypes:
    """The prototypes that a recipe names. Raises StageError if they are not in the workspace."""
    return load_prototypes(workspace / "ages" / f"{sha256}.npz", sha256)


def bare_faces(table: pa.Table) -> pa.Table:
    """One real, unmasked, found face per train person and age class, in order of person."""
    real = pc.and_(pc.invert(table["is_synthetic"]), pc.equal(table["status"], "ok"))
    bare = pc.and_kleene(pc.equal(table["mask"], "none"), pc.equal(table["split"], "train"))
    labelled = pc.and_(pc.is_valid(table["gender"]), pc.is_valid(table["age_class"]))
    wanted = pc.and_kleene(pc.and_(real, labelled), pc.and_kleene(bare, pc.is_valid(table["landmarks_xy"])))
    rows = table.select(_COLUMNS).filter(wanted).sort_by([("person_id", "ascending"), ("sample_id", "ascending")])
    first: dict[tuple[str, int], int] = {}
    people = zip(rows["person_id"].to_pylist(), rows["age_class"].to_pylist(), strict=True)
    for place, person in enumerate(people):
        first.setdefault(person, place)
    if not first:
        raise StageError(
            "no real, unmasked face of a train person has landmarks. Run: preprocess run REF, data_manifests split REF"
        )
    return rows.take(list(first.values()))


class _Photos:
    """The faces as pictures, read when they are walked."""

    def __init__(self, faces: pa.Table, store: Store, cuts: AgeCuts) -> None:
        self.faces, self.store, self.cuts = faces, store, cuts

    def __iter__(self) -> Iterator[Picture]:
        for row in self.faces.to_pylist():
            image = load_rgb(self.store.file_of(row["root"], row["path"]), row["sha256"])
            landmarks = np.asarray(row["landmarks_xy"], np.float32).reshape(68, 2)
            # An age known only as a class lies in that class's band wherever in it we put it.
            age = self.cuts.bounds(row["age_class"])[0] if row["age"] is None else row["age"]
            yield image, landmarks, row["gender"], age
