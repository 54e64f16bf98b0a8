"""Groups of photos that the audit found to be the same picture, and the labels in which they differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_app.images import ManifestRows
from curation_app.tiles import Labels
from data_manifests.labels import UNKNOWN
from data_manifests.schema import LABELS, SPLITS

FLAGS = ("person", *LABELS, "split")
_TEXTS = {
    "person": "different people",
    "mask": "mask differs",
    "gender": "gender differs",
    "age": "age class differs",
    "split": "in several splits",
}


@dataclass(frozen=True)
class DuplicateGroups:
    """All groups (G,) of a version: group `g` has the photos `rows[starts[g]:starts[g + 1]]` (row numbers).

    `differs[flag]` (G,) is true where the photos of a group differ in a known label, in the person, or in the split: a
    picture in train and in val makes scores on val too high. Groups that differ come first, then groups are in order
    of the person of their first photo.
    """

    rows: np.ndarray
    starts: np.ndarray
    differs: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def group(self, number: int) -> np.ndarray:
        """Return the row numbers of a group."""
        return self.rows[self.starts[number] : self.starts[number + 1]]

    def flags(self, number: int) -> list[str]:
        """Return the differences within a group as texts."""
        return [_TEXTS[flag] for flag in FLAGS if self.differs[flag][number]]

    @property
    def any_differs(self) -> np.ndarray:
        """Groups (G,) that differ in anything."""
        return np.logical_or.reduce(list(self.differs.values()))


def find_duplicate_groups(manifest: ManifestRows, labels: Labels) -> DuplicateGroups:
    """Return the groups of two or more usable photos of a version."""
    names = manifest.column("duplicate_of")
    is_member = labels.shown[labels.by_id] & pc.is_valid(names).to_numpy()[labels.by_id]
    rows = labels.by_id[is_member]
    group = _codes(names.take(pa.array(rows)))
    several = np.bincount(group, minlength=1)[group] > 1
    rows, group = rows[several], group[several]
    first = np.full(group.max() + 1 if len(group) else 0, len(rows))
    np.minimum.at(first, group, np.arange(len(rows)))
    order = np.argsort(first[group], kind="stable")  # groups in order of their first photo
    rows = rows[order]
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    values = {"person": _people(manifest, rows)}
    values |= {field: labels.labelled[field][rows] for field in LABELS}
    splits = pc.index_in(manifest.column("split").take(pa.array(rows)).cast(pa.string()), pa.array(SPLITS))
    values["split"] = pc.fill_null(splits, UNKNOWN).to_numpy()
    return _differing_first(rows, starts, {flag: _varies(value, starts) for flag, value in values.items()})


def _people(manifest: ManifestRows, rows: np.ndarray) -> np.ndarray:
    """Return a number for the person of each row (K,); UNKNOWN if no person of the version has a second photo.

    Every photo is its own person then, so that who is on them is not known.
    """
    if len(manifest.people) == len(manifest.row_numbers):
        return np.full(len(rows), UNKNOWN)
    return _codes(manifest.column("person_id").take(pa.array(rows)))


def _differing_first(rows: np.ndarray, starts: np.ndarray, differs: dict[str, np.ndarray]) -> DuplicateGroups:
    order = np.argsort(~np.logical_or.reduce(list(differs.values())), kind="stable")
    sizes = np.diff(np.append(starts, len(rows)))[order]
    indices = [np.arange(starts[g], starts[g] + size) for g, size in zip(order.tolist(), sizes.tolist(), strict=True)]
    rows = rows[np.concatenate(indices)] if indices else rows
    return DuplicateGroups(
        rows, np.append(0, np.cumsum(sizes)), {flag: value[order] for flag, value in differs.items()}
    )


def _codes(values: pa.ChunkedArray) -> np.ndarray:
    """Return a number (N,) for each distinct text."""
    return values.cast(pa.string()).combine_chunks().dictionary_encode().indices.to_numpy()


def _varies(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return for each group (G,) whether its known values, of all values (N,), differ."""
    if not len(starts):
        return np.empty(0, bool)
    lowest = np.minimum.reduceat(np.where(values == UNKNOWN, np.iinfo(values.dtype).max, values), starts)
    return np.maximum.reduceat(values, starts) > lowest
