"""The orders in which people are shown for review."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from curation_app.images import ManifestRows
from data_manifests.errors import ManifestError, must_be_one_of

KINDS = {
    "suspicion": "Most suspect first",
    "id": "By id",
    "class": "One class",
    "unseen": "Not seen by any annotator",
    "person": "One person",
}
_UNRANKED = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Queue:
    """An order that an annotator chose.

    `at` is the parameter of the kind: the id to start at (`id`, may be empty), the class (`class`) or the person's id
    (`person`).
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
        chosen = np.flatnonzero(_has_class(manifest, int(queue.at)))
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


def _has_class(manifest: ManifestRows, class_id: int) -> np.ndarray:
    """Return for each person (P,) whether they have a photo of a class."""
    found = pc.fill_null(pc.equal(manifest.column("class_id"), class_id), False).to_numpy()[manifest.row_numbers]
    return np.logical_or.reduceat(found, manifest.starts[:-1]) if len(manifest.people) else np.empty(0, bool)
