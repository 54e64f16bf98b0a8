"""Writing resolved edits into a manifest table: labels and what follows from them, and exclusions."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.corrections import exclusions
from data_manifests.corrections.encoding import AGE, AGE_CLASS, EXCLUDE, NO_LABEL, VALUES, EncodedCorrections
from data_manifests.corrections.record import FIELDS
from data_manifests.corrections.resolve import Edits
from data_manifests.taxonomy import N_AGE_CLASSES, AgeCuts, age_class_of, class_id_of


def write_labels(table: pa.Table, encoded: EncodedCorrections, edits: Edits, cuts: AgeCuts, seed: int) -> pa.Table:
    """Return the table with new masks, genders and ages, and what follows from them. `seed` draws ages."""
    labels = edits.field != EXCLUDE
    if not labels.any():
        return table
    for field, name in enumerate(FIELDS[:EXCLUDE]):
        here = edits.field == field
        if not here.any():
            continue
        new = _draw_ages(table, edits, here, cuts, seed) if field == AGE else edits.new[here]
        codes = pa.array(new, mask=(new == NO_LABEL) | (new >= AGE_CLASS))
        values = codes.cast(pa.int32()) if field == AGE else pa.array(VALUES[field]).take(codes)
        table = _put(table, name, edits.row[here], values)
        if field == AGE:
            of_class = pa.array((new - AGE_CLASS).clip(0).astype(np.int8), mask=new < AGE_CLASS)
            table = _put(table, "age_class", edits.row[here], pc.coalesce(age_class_of(values, cuts), of_class))
    rows, latest = _latest(edits.row[labels], edits.correction[labels])
    part = table.select(["mask", "gender", "age", "age_class"]).take(rows)
    age_class = pc.coalesce(age_class_of(part["age"], cuts), part["age_class"])  # some photos have a class but no age
    table = _put(table, "age_class", rows, age_class)
    table = _put(table, "class_id", rows, class_id_of(part["mask"], part["gender"], age_class))
    return _put(table, "label_source", rows, encoded.table["correction_id"].take(latest))


def _latest(row: np.ndarray, correction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distinct rows, rising, each with the latest correction that changed it."""
    order = np.lexsort((-correction, row))
    first = np.diff(row[order], prepend=-1) > 0
    return row[order][first], correction[order][first]


def _put(table: pa.Table, name: str, rows: np.ndarray, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Replace a column's values (K,) at distinct rows (K,)."""
    order = np.argsort(rows, kind="stable")
    mask = np.zeros(table.num_rows, bool)
    mask[rows] = True
    values = values.take(order)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    column = pc.replace_with_mask(table[name].combine_chunks(), mask, values)
    return table.set_column(table.schema.get_field_index(name), name, column)


def _draw_ages(table: pa.Table, edits: Edits, here: np.ndarray, cuts: AgeCuts, seed: int) -> np.ndarray:
    """Return the new ages (K,); for `class:k` one is drawn, uniform over the ages of the manifest's photos in it.

    If the manifest has no age in years, as in folders named after classes, the code of the class stays. The draw
    depends on seed, person and class alone, so more corrections or another order change no other age.
    """
    new = edits.new[here].copy()
    classes = np.flatnonzero(new >= AGE_CLASS)
    if not len(classes) or table["age"].null_count == table.num_rows:
        return new
    ranges = [_observed_range(table, cuts.bounds(k)) for k in range(N_AGE_CLASSES)]
    people = table["person_id"].take(edits.row[here][classes]).to_pylist()
    for at, person in zip(classes.tolist(), people, strict=True):
        k = int(new[at]) - AGE_CLASS
        low, high = ranges[k]
        draw = int.from_bytes(hashlib.sha256(f"{seed}\0{person}\0{k}".encode()).digest()[:8])
        new[at] = low + draw % (high - low + 1)
    return new


def _observed_range(table: pa.Table, bounds: tuple[int, int]) -> tuple[int, int]:
    """Return the lowest and highest age of the photos within bounds (a data set of adults must not gain babies).

    Without such a photo, the bounds themselves.
    """
    age = table["age"]
    inside = pc.and_(pc.greater_equal(age, bounds[0]), pc.less_equal(age, bounds[1]))
    found = pc.min_max(age.filter(pc.and_not(inside, table["is_synthetic"]))).as_py()
    return (found["min"], found["max"]) if found["min"] is not None else bounds


def write_exclusions(table: pa.Table, encoded: EncodedCorrections, edits: Edits) -> pa.Table:
    """Return the table with rows excluded, or included again."""
    here = np.flatnonzero(edits.field == EXCLUDE)
    if not len(here):
        return table
    rows = edits.row[here]
    annotators = encoded.table["annotator"].take(edits.correction[here]).to_pylist()
    part = table.select(exclusions.COLUMNS).take(rows)
    for name, values in exclusions.exclude(part, edits.new[here].tolist(), annotators).items():
        table = _put(table, name, rows, values)
    return table
