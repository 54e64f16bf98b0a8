"""The orders in which people are shown for review."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from curation_app.images import ManifestRows
from curation_app.tiles import TOGETHER, groupings
from data_manifests.errors import ManifestError, must_be_one_of
from data_manifests.labels import TASKS, UNKNOWN, label_codes

KINDS = {
    "suspicion": "Most suspect first",
    "id": "By id",
    "class": "One label",
    "unseen": "Not seen by any annotator",
    "person": "One person",
}
_UNRANKED = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Queue:
    """An order that an annotator chose.

    `at` is the parameter of the kind: the id to start at (`id`, may be empty), the group of photos (`class`, one of
    `label_groups`) or the person's id (`person`).
    """

    kind: str = "suspicion"
    at: str = ""


def order_of(manifest: ManifestRows, queue: Queue) -> np.ndarray:
    """Return people (Q,) as numbers in `manifest.people`, in the order of the queue.

    Raises ManifestError for an unknown kind, or a person without a photo in this version.
    """
    all_people = np.arange(len(manifest.people))
    if queue.kind in ("suspicion", "unseen"):
        return np.argsort(ranks(manifest), kind="stable")
    if queue.kind == "id":
        return all_people[bisect_left(manifest.people, queue.at) :]
    if queue.kind == "class":
        chosen = np.flatnonzero(_has_label(manifest, queue.at))
        return chosen[np.argsort(ranks(manifest)[chosen], kind="stable")]
    if queue.kind == "person":
        return np.array([number_of(manifest, queue.at)])
    raise ManifestError(must_be_one_of("the order of the queue", KINDS, queue.kind))


def number_of(manifest: ManifestRows, person_id: str) -> int:
    """Return the number of a person. Raises ManifestError if the version has no photo of them."""
    at = bisect_left(manifest.people, person_id)
    if at == len(manifest.people) or manifest.people[at] != person_id:
        raise ManifestError(
            f"person {person_id!r} has no photo in {manifest.version.ref}. Use an id from the column person_id."
        )
    return at


def ranks(manifest: ManifestRows) -> np.ndarray:
    """Return the audit's rank of each person (P,), from 1; people without a rank share the largest int32."""
    rank = pc.fill_null(manifest.column("audit_rank"), int(_UNRANKED)).to_numpy()[manifest.row_numbers]
    return np.minimum.reduceat(rank, manifest.starts[:-1]) if len(manifest.people) else np.empty(0, np.int32)


def is_ranked(manifest: ManifestRows) -> bool:
    """Return whether the audit has ranked this version or an ancestor of it."""
    return manifest.column("audit_rank").null_count < len(manifest.column("audit_rank"))


def rank_text(rank: int, people: int) -> str:
    """Return a rank as text, such as "suspect 3 of 120"; empty for a person without a rank."""
    return f"suspect {rank:,} of {people:,}" if rank < _UNRANKED else ""


def label_groups(manifest: ManifestRows) -> dict[str, str]:
    """Return the groups of photos that exist, by all labels together and by each task, unknown labels among them.

    The names are those of the page, such as "worn, male, <30" or "Gender: unknown"; the keys are field and code.
    """
    labels, photos = _labels(manifest)
    names = {}
    for grouping in groupings(labels, photos, manifest.cuts, with_unlabelled=True):
        prefix = "" if grouping.field == TOGETHER else f"{grouping.title}: "
        found = np.unique(grouping.codes(labels)[photos]).tolist()
        for code in sorted(found, key=lambda code: (code == UNKNOWN, code)):
            names[f"{grouping.field}:{code}"] = f"{prefix}{grouping.name_of(code)}"
    return names


def _labels(manifest: ManifestRows) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the codes of the labels of all rows (N,), and which rows are photos (N,)."""
    is_photo = ~manifest.column("is_synthetic").to_numpy()
    return {task: label_codes(manifest.table, task) for task in TASKS}, is_photo


def _has_label(manifest: ManifestRows, at: str) -> np.ndarray:
    """Return for each person (P,) whether they have a photo of a group, one of `label_groups`."""
    field, _, code = at.partition(":")
    labels, photos = _labels(manifest)
    found = np.zeros(manifest.table.num_rows, bool)
    for grouping in groupings(labels, photos, manifest.cuts, with_unlabelled=True):
        if grouping.field == field:
            found = grouping.codes(labels) == int(code)
    found = found[manifest.row_numbers]
    return np.logical_or.reduceat(found, manifest.starts[:-1]) if len(manifest.people) else np.empty(0, bool)
