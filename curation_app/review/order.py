"""In which order people come to the desk. Pure: rows in, an order out."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from curation_app.images import Faces
from data_manifests.errors import ManifestError, must_be_one_of

KINDS = {
    "suspicion": "Suspects first",
    "id": "By id",
    "class": "One class",
    "unseen": "Nobody has seen",
    "person": "One person",
}
_LAST = np.iinfo(np.int32).max  # the rank of somebody whom the audit has not ranked


@dataclass(frozen=True)
class Queue:
    """An order that an annotator asked for.

    `at` is what the kind needs beside: the id to start at (`id`, may be empty), the class (`class`), the person's id
    (`person`).
    """

    kind: str = "suspicion"
    at: str = ""


def order_of(faces: Faces, queue: Queue) -> np.ndarray:
    """People (Q,) as numbers in `faces.people`, first to be seen first.

    Raises ManifestError for a person who is not there.
    """
    everybody = np.arange(len(faces.people))
    if queue.kind in ("suspicion", "unseen"):
        return np.argsort(ranks(faces), kind="stable")
    if queue.kind == "id":
        return everybody[bisect_left(faces.people, queue.at) :]
    if queue.kind == "class":
        chosen = np.flatnonzero(_of_class(faces, int(queue.at)))
        return chosen[np.argsort(ranks(faces)[chosen], kind="stable")]
    if queue.kind == "person":
        return np.array([number_of(faces, queue.at)])
    raise ManifestError(must_be_one_of("the order of the queue", KINDS, queue.kind))


def number_of(faces: Faces, person_id: str) -> int:
    """The number of a person. Raises ManifestError if the version has no photo of them."""
    at = bisect_left(faces.people, person_id)
    if at == len(faces.people) or faces.people[at] != person_id:
        raise ManifestError(f"person {person_id!r} has no photo in {faces.version.ref}; ids are as in person_id.")
    return at


def ranks(faces: Faces) -> np.ndarray:
    """The audit's rank of each person (P,), 1 first; equal and last without an audit."""
    rank = pc.fill_null(faces.column("audit_rank"), int(_LAST)).to_numpy()[faces.rows]
    return np.minimum.reduceat(rank, faces.starts[:-1]) if len(faces.people) else np.empty(0, np.int32)


def is_ranked(faces: Faces) -> bool:
    """Whether the audit has looked at this version or one that it descends from."""
    return faces.column("audit_rank").null_count < len(faces.column("audit_rank"))


def _of_class(faces: Faces, class_id: int) -> np.ndarray:
    """Which people (P,) have a photo of that class."""
    found = pc.fill_null(pc.equal(faces.column("class_id"), class_id), False).to_numpy()[faces.rows]
    return np.logical_or.reduceat(found, faces.starts[:-1]) if len(faces.people) else np.empty(0, bool)
