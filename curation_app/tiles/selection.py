"""The labels of all rows as arrays of numbers, and the choice and order of photos on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_app.images import ManifestRows
from data_manifests.corrections import EXCLUSION_COLUMNS, AnnotatorLog, excluded_by
from data_manifests.labels import TASKS, UNKNOWN, label_codes
from data_manifests.schema import USABLE
from data_manifests.taxonomy import GENDERS, MASKS, age_class_of


@dataclass(frozen=True)
class Labels:
    """Labels of all rows (N,) of a version as codes, `UNKNOWN` where there is none.

    `labelled`, `suggested`: by task, int8. `scores`: by task, float32, the probability that the label is correct; NaN
    where the audit has no score. `usable` (N,): rows with a picture, neither failed nor excluded. `rejected` (N,): rows
    that a correction excluded. `real` (N,): photos, not synthetic. `by_id`: row numbers of all photos, by person and
    shot. `is_audited`: the audit has run on the version or an ancestor.
    """

    labelled: Mapping[str, np.ndarray]
    suggested: Mapping[str, np.ndarray]
    scores: Mapping[str, np.ndarray]
    usable: np.ndarray
    rejected: np.ndarray
    real: np.ndarray
    by_id: np.ndarray
    is_audited: bool

    @property
    def shown(self) -> np.ndarray:
        """Usable photos (N,)."""
        return self.real & self.usable

    def suspicion(self, tasks: Sequence[str]) -> np.ndarray:
        """Return how suspect the labels of these tasks are (N,), higher first; NaN without a score."""
        return -np.fmin.reduce([self.scores[task] for task in tasks])


def labels_of(manifest: ManifestRows) -> Labels:
    """Return the labels of a version's rows."""
    table = manifest.table
    scores = {task: pc.fill_null(table[f"{task}_label_score"], np.nan).to_numpy().astype(np.float32) for task in TASKS}
    has_scores = not all(np.isnan(score).all() for score in scores.values())
    return Labels(
        labelled={task: label_codes(table, task).astype(np.int8) for task in TASKS},
        suggested={
            "mask": _indices(table["suggested_mask"], MASKS),
            "gender": _indices(table["suggested_gender"], GENDERS),
            "age": _numbers(age_class_of(table["suggested_age"], manifest.cuts)),
        },
        scores=scores,
        usable=_indices(table["status"], USABLE) >= 0,
        rejected=_excluded_by_correction(manifest),
        real=~table["is_synthetic"].to_numpy(),
        by_id=manifest.row_numbers,
        is_audited=has_scores or table["audit_rank"].null_count < len(table),
    )


def _excluded_by_correction(manifest: ManifestRows) -> np.ndarray:
    """Return which rows (N,) a correction excluded, and not a stage."""
    found = np.zeros(manifest.table.num_rows, bool)
    rows = np.flatnonzero(_indices(manifest.column("status"), ("excluded",)) == 0)
    part = manifest.table.select(EXCLUSION_COLUMNS).take(pa.array(rows))
    plain = pa.table({name: part[name].cast(pa.string()) for name in EXCLUSION_COLUMNS})
    found[rows] = excluded_by(plain).is_valid().to_numpy()
    return found


def _numbers(values: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(values.cast(pa.int8()), UNKNOWN).to_numpy()


def _indices(values: pa.ChunkedArray, allowed: tuple[str, ...]) -> np.ndarray:
    """Return the index of each value (N,) among those allowed, `UNKNOWN` for others."""
    return pc.fill_null(pc.index_in(values, pa.array(allowed)), UNKNOWN).to_numpy().astype(np.int8)


@dataclass(frozen=True)
class Predictions:
    """A network's predictions for the rows (N,) of a version: labels by task (int8, `UNKNOWN` for none), confidence."""

    labels: Mapping[str, np.ndarray]
    confidence: np.ndarray


def counts(values: np.ndarray, where: np.ndarray, size: int) -> list[int]:
    """Return the number of rows with each value 0 … size - 1."""
    found = values[where]
    return np.bincount(found[found >= 0], minlength=size)[:size].tolist()


def in_order(labels: Labels, where: np.ndarray, suspicion: np.ndarray | None) -> np.ndarray:
    """Return the row numbers of `where` (N,): by id, or by falling `suspicion` (N,; NaN last) and then by id."""
    rows = labels.by_id[where[labels.by_id]]
    if suspicion is None:
        return rows
    return rows[np.argsort(-suspicion[rows], kind="stable")]


def without_annotations(
    manifest: ManifestRows, rows: np.ndarray, log: AnnotatorLog, fields: tuple[str, ...]
) -> np.ndarray:
    """Return the rows (K,) without those where this annotator annotated one of the fields, or `exclude`."""
    keep = np.ones(len(rows), bool)
    ids = manifest.column("sample_id").take(pa.array(rows))
    people = manifest.column("person_id").take(pa.array(rows))
    for field in (*fields, "exclude"):
        samples, persons = log.history.labelled(field)
        candidates = _is_in(ids, samples) | _is_in(people, persons)
        for at in np.flatnonzero(candidates & keep).tolist():
            row = {"sample_id": ids[at].as_py(), "person_id": people[at].as_py()}
            keep[at] = log.latest_of(row, field) is None
    return rows[keep]


def _is_in(values: pa.ChunkedArray, wanted: set[str]) -> np.ndarray:
    return pc.is_in(values, pa.array(list(wanted), pa.string())).to_numpy()
