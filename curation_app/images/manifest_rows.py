"""The rows of a manifest version in memory: by person, in order of shots, compact enough for a million photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd  # noqa: F401  pyarrow imports it with the first column that it converts; no visitor waits here
import pyarrow as pa
import pyarrow.compute as pc

from data_manifests.taxonomy import SHOTS, AgeCuts
from data_manifests.versions import Store, Version

COLUMNS = (
    "sample_id", "source_id", "root", "path", "sha256", "person_id", "profile_id", "shot", "mask", "gender", "age",
    "age_class", "class_id", "split", "status", "reason", "excluded_by", "gender_label_score", "age_label_score",
    "mask_label_score", "identity_score", "suggested_gender", "suggested_age", "suggested_mask", "duplicate_of",
    "audit_rank", "audit_reason", "issue_probabilities", "issue_reasons", "is_synthetic",
)  # fmt: skip
_DICTIONARY_COLUMNS = (  # few different texts in many rows
    "root", "person_id", "profile_id", "shot", "mask", "gender", "split", "status", "reason", "excluded_by",
    "suggested_gender", "suggested_mask", "audit_reason",
)  # fmt: skip


@dataclass(frozen=True)
class ManifestRows:
    """The rows of a version, and its people.

    `people` (P,) are the sorted person ids. Person number `p` has the photos `row_numbers[starts[p]:starts[p + 1]]`,
    in order of profile and shot; synthetic rows are not among them.
    """

    version: Version
    table: pa.Table
    people: np.ndarray
    row_numbers: np.ndarray
    starts: np.ndarray

    @property
    def cuts(self) -> AgeCuts:
        """The age cuts of the version."""
        return AgeCuts(*self.version.age_cuts)

    def rows_of(self, person: int) -> np.ndarray:
        """Return the row numbers of a person's photos."""
        return self.row_numbers[self.starts[person] : self.starts[person + 1]]

    def records(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """Return rows, given by number, as dictionaries."""
        return self.table.take(pa.array(rows)).to_pylist()

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column of all rows (N,)."""
        return self.table.column(name)


def load_manifest_rows(store: Store, ref: str) -> ManifestRows:
    """Read a version. Raises ManifestError if it does not exist."""
    manifest = store.read(ref, COLUMNS)
    table = manifest.table
    for name in _DICTIONARY_COLUMNS:
        index = table.column_names.index(name)
        table = table.set_column(index, name, table.column(name).dictionary_encode().unify_dictionaries())
    people, person = _sorted_codes(table.column("person_id"))
    _, profile = _sorted_codes(table.column("profile_id"))
    shot = pc.fill_null(pc.index_in(table.column("shot").cast(pa.string()), pa.array(SHOTS)), len(SHOTS)).to_numpy()
    photos = np.flatnonzero(~table.column("is_synthetic").to_numpy())
    rows = photos[np.lexsort((shot[photos], profile[photos], person[photos]))]
    with_photos, starts = np.unique(person[rows], return_index=True)
    return ManifestRows(manifest.version, table, people[with_photos], rows, np.append(starts, len(rows)))


def photo_title(row: Mapping[str, Any]) -> str:
    """Return the person and the shot or file of a row, such as "p012 · mask1"; the file's name alone if it has the id.

    `row` needs person_id, shot and path.
    """
    name = row["shot"] or row["path"].rsplit("/", 1)[-1]
    is_named = not row["shot"] and (row["person_id"] in name or name in row["person_id"])
    return name if is_named else f"{row['person_id']} · {name}"


def _sorted_codes(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted distinct texts (K,) of a column and for each row (N,) the index of its text."""
    encoded = column.combine_chunks()
    texts = encoded.dictionary.to_numpy(zero_copy_only=False)
    order = np.argsort(texts, kind="stable")
    index = np.empty(len(texts), np.int64)
    index[order] = np.arange(len(texts))
    return texts[order], index[encoded.indices.to_numpy()]
