"""Groups of photos that are the same picture, as the audit found them, and in what their labels differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_app.images import ManifestRows
from curation_app.tiles import Labels

FLAGS = ("person", "mask", "gender", "age")  # in what the photos of a group can differ
_TEXTS = {"person": "different people", "mask": "mask differs", "gender": "gender differs", "age": "age class differs"}


@dataclass(frozen=True)
class DuplicateGroups:
    """Group `g` has the photos `rows[starts[g]:starts[g + 1]]`; `differs[flag]` (G,) says where they contradict.

    Groups whose labels contradict come first, then by the person of their first photo.
    """

    rows: np.ndarray
    starts: np.ndarray
    differs: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def group(self, number: int) -> np.ndarray:
        """Row numbers of a group."""
        return self.rows[self.starts[number] : self.starts[number + 1]]

    def flags(self, number: int) -> list[str]:
        """What contradicts in a group, for people."""
        return [_TEXTS[flag] for flag in FLAGS if self.differs[flag][number]]

    @property
    def any_differs(self) -> np.ndarray:
        """Groups (G,) in which something contradicts."""
        return np.logical_or.reduce(list(self.differs.values()))


def find_duplicate_groups(manifest: ManifestRows, labels: Labels) -> DuplicateGroups:
    """All groups of two or more photos of a version that are still in it."""
    names = manifest.column("duplicate_of")
    there = labels.shown[labels.by_id] & pc.is_valid(names).to_numpy()[labels.by_id]
    rows = labels.by_id[there]
    group = _codes(names.take(pa.array(rows)))
    several = np.bincount(group, minlength=1)[group] > 1
    rows, group = rows[several], group[several]
    first = np.full(group.max() + 1 if len(group) else 0, len(rows))
    np.minimum.at(first, group, np.arange(len(rows)))
    order = np.argsort(first[group], kind="stable")  # groups in order of their first photo
    rows = rows[order]
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    values = {"person": _codes(manifest.column("person_id").take(pa.array(rows)))}
    values |= {field: labels.labelled[field][rows] for field in FLAGS[1:]}
    return _conflicts_first(rows, starts, {flag: _varies(value, starts) for flag, value in values.items()})


def _conflicts_first(rows: np.ndarray, starts: np.ndarray, differs: dict[str, np.ndarray]) -> DuplicateGroups:
    order = np.argsort(~np.logical_or.reduce(list(differs.values())), kind="stable")
    sizes = np.diff(np.append(starts, len(rows)))[order]
    places = [np.arange(starts[g], starts[g] + size) for g, size in zip(order.tolist(), sizes.tolist(), strict=True)]
    rows = rows[np.concatenate(places)] if places else rows
    return DuplicateGroups(
        rows, np.append(0, np.cumsum(sizes)), {flag: where[order] for flag, where in differs.items()}
    )


def _codes(values: pa.ChunkedArray) -> np.ndarray:
    """A number (N,) for each different text."""
    return values.cast(pa.string()).combine_chunks().dictionary_encode().indices.to_numpy()


def _varies(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Whether the values (N,) of a group differ, for each group (G,)."""
    if not len(starts):
        return np.empty(0, bool)
    return np.minimum.reduceat(values, starts) != np.maximum.reduceat(values, starts)
