"""Counts of the rows of a version, for its charts. Columnar: a million rows take well under a second.

Images are counted where labels differ from shot to shot (mask, the 18 classes), profiles where all shots of one share
a label (gender, age): seven photos of one person are one sample of her age. Only usable rows count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.labels import TASKS
from data_manifests.schema import SPLITS, STATUSES, USABLE
from data_manifests.taxonomy import GENDERS, MASKS, MAX_AGE, N_AGE_CLASSES, N_CLASSES

COLUMNS = (
    "profile_id", "person_id", "mask", "gender", "age", "age_class", "class_id", "split", "status", "is_synthetic",
    "width_px", "height_px",
)  # fmt: skip
EVERYTHING = "all"  # name of the census of all splits together, including rows without a split


@dataclass(frozen=True)
class Census:
    """Counts of usable rows; the last axis of an array is (real, synthetic)."""

    rows: int  # usable ones
    status: dict[str, int]  # all rows by status
    people: int
    profiles: int
    classes: np.ndarray  # (18, 2) images
    strata: np.ndarray  # (2 genders, 3 age classes, 2) profiles
    genders: np.ndarray  # (2, 2) profiles
    age_classes: np.ndarray  # (3, 2) profiles
    ages: np.ndarray  # (2 genders and unknown, ages 0 to 116, 2) profiles
    masks: np.ndarray  # (3 mask states, 2) images
    sizes: tuple[tuple[int, int, int], ...]  # width_px, height_px, images; most frequent first
    unlabelled: int  # usable rows without a class
    synthetic: int  # usable synthetic images

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks for which a usable row has a label."""
        counts = {"mask": self.masks, "gender": self.genders, "age": self.age_classes}
        return tuple(task for task in TASKS if counts[task].any())


def take_census(table: pa.Table) -> dict[str, Census]:
    """Return the census of a table with `COLUMNS`: of all rows, and of each split that has rows."""
    codes = _codes(table)
    wanted = {EVERYTHING: np.ones(table.num_rows, bool)}
    wanted |= {name: codes["split"] == k for k, name in enumerate(SPLITS) if (codes["split"] == k).any()}
    return {name: _count(codes, rows) for name, rows in wanted.items()}


def _codes(table: pa.Table) -> dict[str, np.ndarray]:
    """Return every column as whole numbers (N,), -1 where it is empty."""

    def codes_of(name: str, allowed: tuple[str, ...]) -> np.ndarray:
        return _filled(pc.index_in(table[name], pa.array(allowed)))

    profile, first = _first_rows(table["profile_id"], codes_of("status", USABLE) >= 0)
    return {
        "split": codes_of("split", SPLITS),
        "status": codes_of("status", STATUSES),
        "usable": codes_of("status", USABLE) >= 0,
        "mask": codes_of("mask", MASKS),
        "gender": codes_of("gender", GENDERS),
        "age": _filled(table["age"]),
        "age_class": _filled(table["age_class"]),
        "class_id": _filled(table["class_id"]),
        "synthetic": table["is_synthetic"].to_numpy().astype(np.int64),
        "person": table["person_id"].combine_chunks().dictionary_encode().indices.to_numpy(),
        "profile": profile,
        "first": first,
        "size": _filled(table["width_px"]) * (1 << 32) + _filled(table["height_px"]),
    }


def _filled(values: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(values.cast(pa.int64()), -1).to_numpy()


def _first_rows(ids: pa.ChunkedArray, usable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the profile number of each row (N,), and True for the first usable row of each profile (N,)."""
    profile = ids.combine_chunks().dictionary_encode().indices.to_numpy()
    rows = np.flatnonzero(usable)[::-1]  # reversed: the last assignment stays, and it is the first row
    place = np.full(profile.max(initial=-1) + 1, -1)
    place[profile[rows]] = rows
    first = np.zeros(len(profile), bool)
    first[place[place >= 0]] = True
    return profile, first


def _count(codes: dict[str, np.ndarray], rows: np.ndarray) -> Census:
    status = np.bincount(codes["status"][rows], minlength=len(STATUSES))
    image, profile = np.flatnonzero(rows & codes["usable"]), np.flatnonzero(rows & codes["first"])
    sizes = pa.array(codes["size"][image]).value_counts()
    ranked = sorted(
        zip(sizes.field("counts").to_pylist(), sizes.field("values").to_pylist(), strict=True),
        key=lambda pair: (-pair[0], pair[1]),
    )
    gender = np.where(codes["gender"] < 0, len(GENDERS), codes["gender"])
    return Census(
        rows=len(image),
        status={name: int(count) for name, count in zip(STATUSES, status, strict=True)},
        people=int((np.bincount(codes["person"][image]) > 0).sum()),
        profiles=len(profile),
        classes=_table(codes, image, (codes["class_id"], N_CLASSES)),
        strata=_table(codes, profile, (codes["gender"], len(GENDERS)), (codes["age_class"], N_AGE_CLASSES)),
        genders=_table(codes, profile, (codes["gender"], len(GENDERS))),
        age_classes=_table(codes, profile, (codes["age_class"], N_AGE_CLASSES)),
        ages=_table(codes, profile, (gender, len(GENDERS) + 1), (codes["age"], MAX_AGE + 1)),
        masks=_table(codes, image, (codes["mask"], len(MASKS))),
        sizes=tuple((size >> 32, size & (1 << 32) - 1, count) for count, size in ranked if size > 0),
        unlabelled=int((codes["class_id"][image] < 0).sum()),
        synthetic=int(codes["synthetic"][image].sum()),
    )


def _table(codes: dict[str, np.ndarray], rows: np.ndarray, *axes: tuple[np.ndarray, int]) -> np.ndarray:
    """Count `rows` by axes (codes (N,) and their number) and by real or synthetic; rows with -1 are left out."""
    code, known = np.zeros(len(rows), np.int64), np.ones(len(rows), bool)
    for values, size in (*axes, (codes["synthetic"], 2)):
        code = code * size + values[rows]
        known &= values[rows] >= 0
    shape = (*(size for _, size in axes), 2)
    return np.bincount(code[known], minlength=int(np.prod(shape))).reshape(shape)
