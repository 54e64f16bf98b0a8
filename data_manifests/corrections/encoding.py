"""Corrections as arrays of numbers: values as codes, in order of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.corrections.record import BOOLEANS, CLASS_PREFIX, FIELDS
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts, age_class_of

NO_LABEL, WITHDRAWN, AGE_CLASS = -1, -2, 1000  # codes beside the values' own; class:k is 1000 + k
MASK, GENDER, AGE, EXCLUDE = range(len(FIELDS))
VALUES = {MASK: MASKS, GENDER: GENDERS, EXCLUDE: BOOLEANS}


@dataclass(frozen=True)
class EncodedCorrections:
    """Corrections as arrays (N,), values as codes, in order of time: a later position is a later event."""

    table: pa.Table
    field: np.ndarray
    is_person_scope: np.ndarray
    old: np.ndarray
    new: np.ndarray
    annotator: np.ndarray  # one number per name


def encode(table: pa.Table) -> EncodedCorrections:
    """Encode valid corrections (without `problem`) in order of time; equal times by file and line."""
    times = [datetime.fromisoformat(time) for time in table["time"].to_pylist()]
    keys = pa.table({"time": pa.array(times, pa.timestamp("us", "UTC")), "file": table["file"], "line": table["line"]})
    table = table.take(pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names]))
    field = pc.index_in(table["field"], pa.array(FIELDS)).to_numpy()
    new = _codes(field, table["new"])
    return EncodedCorrections(
        table=table,
        field=field,
        is_person_scope=pc.equal(table["scope"], "person").to_numpy(),
        old=_codes(field, table["old"]),
        new=np.where(new == NO_LABEL, WITHDRAWN, new),
        annotator=table["annotator"].combine_chunks().dictionary_encode().indices.to_numpy(),
    )


def _codes(field: np.ndarray, values: pa.ChunkedArray) -> np.ndarray:
    known = {(number, value): code for number, allowed in VALUES.items() for code, value in enumerate(allowed)}

    def code(number: int, value: str) -> int:
        if not value:
            return NO_LABEL
        if number != AGE:
            return known[number, value]
        return AGE_CLASS + int(value[len(CLASS_PREFIX) :]) if value.startswith(CLASS_PREFIX) else int(value)

    return np.array([code(*pair) for pair in zip(field.tolist(), values.to_pylist(), strict=True)], np.int64)


def matches(values: np.ndarray, codes: np.ndarray, cuts: AgeCuts) -> np.ndarray:
    """Return whether values (M,) are what codes (M,) mean: equal, or an age in the class that the code names."""
    is_age = (values >= 0) & (values < AGE_CLASS)
    in_class = (codes >= AGE_CLASS) & is_age & (age_class_of(values, cuts) == codes - AGE_CLASS)
    return (values == codes) | in_class


def value_text(field: int, code: int) -> str:
    """Return a code as the log writes it."""
    if code in (NO_LABEL, WITHDRAWN):
        return "empty"
    if field != AGE:
        return VALUES[field][code]
    return f"{CLASS_PREFIX}{code - AGE_CLASS}" if code >= AGE_CLASS else str(code)
