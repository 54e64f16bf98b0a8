"""A version's rows as the desk needs them: by person, in order of shots, small enough for a million photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd  # noqa: F401  pyarrow does so with the first column that it turns over; here nobody waits for it yet
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.taxonomy import SHOTS, AgeCuts
from data_manifests.versions import Store, Version

COLUMNS = (
    "sample_id", "source_id", "root", "path", "sha256", "person_id", "profile_id", "shot", "mask", "gender", "age",
    "age_class", "class_id", "split", "status", "reason", "gender_label_score", "age_label_score", "mask_label_score",
    "identity_score", "suggested_gender", "suggested_age", "suggested_mask", "duplicate_of", "audit_rank",
    "audit_reason", "is_synthetic",
)  # fmt: skip
_REPEATED = (
    "root", "person_id", "profile_id", "shot", "mask", "gender", "split", "status", "reason", "suggested_gender",
    "suggested_mask", "audit_reason",
)  # fmt: skip


@dataclass(frozen=True)
class Faces:
    """The rows of a version, and its people.

    Person `p` has the real photos `rows[starts[p]:starts[p + 1]]` (row numbers), in order of profile and shot;
    synthetic rows belong to nobody here. `people` (P,) are their ids in order.
    """

    version: Version
    table: pa.Table
    people: np.ndarray
    rows: np.ndarray
    starts: np.ndarray

    @property
    def cuts(self) -> AgeCuts:
        return AgeCuts(*self.version.age_cuts)

    def rows_of(self, person: int) -> np.ndarray:
        """Row numbers of a person's real photos."""
        return self.rows[self.starts[person] : self.starts[person + 1]]

    def records(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """Those rows (by number) as dictionaries."""
        return self.table.take(pa.array(rows)).to_pylist()

    def column(self, name: str) -> pa.ChunkedArray:
        return self.table.column(name)


def load_faces(store: Store, ref: str) -> Faces:
    """Read a version. Raises ManifestError if there is none."""
    manifest = store.read(ref, COLUMNS)
    table = manifest.table
    for name in _REPEATED:  # a million texts of which few differ: a number each, and the texts once
        at = table.column_names.index(name)
        table = table.set_column(at, name, table.column(name).dictionary_encode().unify_dictionaries())
    people, person = _codes(table.column("person_id"))
    _, profile = _codes(table.column("profile_id"))
    shot = pc.fill_null(pc.index_in(table.column("shot").cast(pa.string()), pa.array(SHOTS)), len(SHOTS)).to_numpy()
    real = np.flatnonzero(~table.column("is_synthetic").to_numpy())
    rows = real[np.lexsort((shot[real], profile[real], person[real]))]
    with_photos, starts = np.unique(person[rows], return_index=True)
    return Faces(manifest.version, table, people[with_photos], rows, np.append(starts, len(rows)))


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Texts (N,) → the different ones in order, and for each row the place of its own."""
    encoded = column.combine_chunks()
    words = encoded.dictionary.to_numpy(zero_copy_only=False)
    order = np.argsort(words, kind="stable")
    place = np.empty(len(words), np.int64)
    place[order] = np.arange(len(words))
    return words[order], place[encoded.indices.to_numpy()]
