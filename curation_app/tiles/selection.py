"""Which photos a page of the grid shows, and in which order. Arrays of numbers, so that a million rows are quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_app.annotations import Words
from curation_app.images import ManifestRows
from data_manifests.corrections import EXCLUDED_BY
from data_manifests.schema import USABLE
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts, age_class_of, split_class_id

FIELDS = ("class", "mask", "gender", "age")  # what a photo can be sorted by; class is all three together
UNKNOWN = -1  # no label, no suggestion, no prediction


@dataclass(frozen=True)
class Labels:
    """Labels of all rows (N,) of a version as numbers, `UNKNOWN` where there is none.

    `labelled`, `suggested`: by field, int8. `scores`: by field, float32, the probability that the label is right; NaN
    where the audit did not judge. `usable` (N,): rows with a picture that takes part. `rejected` (N,): rows that a
    correction left out. `real` (N,): photos, not synthetic. `by_id`: the numbers of all photos, by person and shot.
    """

    labelled: Mapping[str, np.ndarray]
    suggested: Mapping[str, np.ndarray]
    scores: Mapping[str, np.ndarray]
    usable: np.ndarray
    rejected: np.ndarray
    real: np.ndarray
    by_id: np.ndarray

    @property
    def shown(self) -> np.ndarray:
        """Photos (N,) that can be judged."""
        return self.real & self.usable

    @property
    def is_audited(self) -> bool:
        return not all(np.isnan(score).all() for score in self.scores.values())


def labels_of(manifest: ManifestRows) -> Labels:
    """Read the label columns of a version once."""
    table = manifest.table
    scores = {
        field: pc.fill_null(table[f"{field}_label_score"], np.nan).to_numpy().astype(np.float32)
        for field in ("mask", "gender", "age")
    }
    scores["class"] = np.fmin.reduce(list(scores.values()))
    return Labels(
        labelled={
            "class": _numbers(table["class_id"]),
            "mask": _places(table["mask"], MASKS),
            "gender": _places(table["gender"], GENDERS),
            "age": _numbers(table["age_class"]),
        },
        suggested={
            "mask": _places(table["suggested_mask"], MASKS),
            "gender": _places(table["suggested_gender"], GENDERS),
            "age": _numbers(age_class_of(table["suggested_age"], manifest.cuts)),
        },
        scores=scores,
        usable=_places(table["status"], USABLE) >= 0,
        rejected=_by_a_correction(manifest),
        real=~table["is_synthetic"].to_numpy(),
        by_id=manifest.row_numbers,
    )


def by_a_correction(status: str, reason: str | None) -> bool:
    """Whether a row was left out by a correction, and not by a stage."""
    return status == "excluded" and EXCLUDED_BY in (reason or "")


def _by_a_correction(manifest: ManifestRows) -> np.ndarray:
    """`by_a_correction` of all rows (N,)."""
    status, reason = manifest.column("status"), manifest.column("reason")
    found = np.zeros(len(status), bool)
    rows = np.flatnonzero(_places(status, ("excluded",)) == 0)
    if len(rows):
        texts = reason.take(pa.array(rows)).to_pylist()
        found[rows] = [by_a_correction("excluded", text) for text in texts]
    return found


def _numbers(values: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(values.cast(pa.int8()), UNKNOWN).to_numpy()


def _places(values: pa.ChunkedArray, words: tuple[str, ...]) -> np.ndarray:
    """The place of each value (N,) among words."""
    return pc.fill_null(pc.index_in(values, pa.array(words)), UNKNOWN).to_numpy().astype(np.int8)


@dataclass(frozen=True)
class Predictions:
    """What a network says of the rows (N,) of a version: classes (int8, `UNKNOWN` where none) and its confidence."""

    classes: np.ndarray
    confidence: np.ndarray

    def of(self, field: str) -> np.ndarray:
        """The predicted value (N,) of a field."""
        if field == "class":
            return self.classes
        mask, gender, age = split_class_id(self.classes)
        values = {"mask": mask, "gender": gender, "age": age}[field]
        return np.where(self.classes == UNKNOWN, UNKNOWN, values)


def counts(values: np.ndarray, where: np.ndarray, size: int) -> list[int]:
    """How many rows have each value 0 … size - 1."""
    found = values[where]
    return np.bincount(found[found >= 0], minlength=size)[:size].tolist()


def in_order(labels: Labels, where: np.ndarray, suspicion: np.ndarray | None) -> np.ndarray:
    """Row numbers of `where` (N,): by id, or with `suspicion` (N,; NaN last) the largest first, then by id."""
    rows = labels.by_id[where[labels.by_id]]
    if suspicion is None:
        return rows
    return rows[np.argsort(-suspicion[rows], kind="stable")]


def not_judged(manifest: ManifestRows, rows: np.ndarray, words: Words, fields: tuple[str, ...]) -> np.ndarray:
    """Rows (K,) without those on which this annotator has spoken about one of the fields, or excluded the photo."""
    keep = np.ones(len(rows), bool)
    ids = manifest.column("sample_id").take(pa.array(rows))
    people = manifest.column("person_id").take(pa.array(rows))
    for field in (*fields, "exclude"):
        samples, persons = words.about(field)
        spoken = _is_in(ids, samples) | _is_in(people, persons)
        for at in np.flatnonzero(spoken & keep).tolist():
            row = {"sample_id": ids[at].as_py(), "person_id": people[at].as_py()}
            keep[at] = words.of(row, field) is None
    return rows[keep]


def _is_in(values: pa.ChunkedArray, wanted: set[str]) -> np.ndarray:
    return pc.is_in(values, pa.array(list(wanted), pa.string())).to_numpy()


def age_names(cuts: AgeCuts) -> tuple[str, str, str]:
    """Age classes as print sets them."""
    return f"<{cuts.middle}", f"{cuts.middle}–{cuts.old - 1}", f"≥{cuts.old}"
