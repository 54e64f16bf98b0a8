"""Duplicate check: photos with the same bytes, and pictures that were saved again.

Perceptual hashes and identity vectors give candidates without comparing all pairs (`audit/scoring/neighbours.py`).
Then the thumbnails of both pictures are compared, because in aligned crops hashes of different people are close.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.checks.data import AuditData
from audit.checks.issues import Issue
from audit.scoring import connect_pairs, find_near_hashes, find_near_vectors, find_same_portraits, photo_name

SAME_FACE_DISTANCE = 0.12  # identity distance of one photo saved twice; two photos of one person are 0.3 or more apart
MAX_DIFFERENCE = 3.0  # grey levels, mean over the 16 × 16 thumbnails after removing overall brightness
NEAR_DUPLICATE = 0.98  # all near-identical pairs of the benchmarks were true; the rule of succession applied to them
MAX_NAMED = 4  # people named in a reason
_BATCH_PAIRS = 1 << 14


@dataclass(frozen=True)
class Duplicates:
    """Groups of P photos that show the same picture.

    `group` (P,) is equal within a group, -1 for a photo without a duplicate; `exact` (P,) marks photos whose bytes
    occur more than once.
    """

    group: np.ndarray
    exact: np.ndarray
    candidates: int

    def members(self) -> list[np.ndarray]:
        """Return the positions of each group, in order."""
        return _members(self.group)


def _members(group: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(group, kind="stable")
    order = order[group[order] >= 0]
    return [] if not len(order) else np.split(order, np.flatnonzero(np.diff(group[order])) + 1)


def score(data: AuditData) -> Duplicates:
    """Return the duplicate groups of the photos."""
    features = data.features
    return find_duplicates(
        data.rows["sha256"].to_numpy(str),
        features.hashes,
        features.thumbnails,
        features.identity,
        data.settings.duplicate_bits,
        data.rng,
    )


def find_duplicates(
    sha256: np.ndarray,
    hashes: np.ndarray,
    thumbnails: np.ndarray,
    identity: np.ndarray,
    max_bits: int,
    rng: np.random.Generator,
) -> Duplicates:
    """Group photos by sha256 (P,) text, perceptual hashes (P,) uint64, thumbnails (P, 768) uint8, identity (P, D)."""
    n = len(sha256)
    _, first, inverse, counts = np.unique(sha256, return_index=True, return_inverse=True, return_counts=True)
    equal_bytes = np.column_stack([first[inverse], np.arange(n)])
    candidates = find_near_hashes(hashes, max_bits)
    has_face = np.flatnonzero(np.isfinite(identity[:, 0])) if n and identity.shape[1] else np.array([], int)
    if len(has_face) > 1:
        near = find_near_vectors(identity[has_face], SAME_FACE_DISTANCE, rng)
        candidates = np.concatenate([candidates, has_face[near]])
    same = candidates[thumbnail_difference(thumbnails, candidates) <= MAX_DIFFERENCE]
    links = np.concatenate([equal_bytes, same])
    return Duplicates(connect_pairs(links, n), counts[inverse] > 1, len(candidates))


def thumbnail_difference(thumbnails: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the mean absolute difference (Q,) in grey levels of pairs (Q, 2), each channel's mean removed."""
    found = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _BATCH_PAIRS):
        part = pairs[start : start + _BATCH_PAIRS]
        a, b = (thumbnails[part[:, side]].reshape(len(part), -1, 3).astype(np.float32) for side in (0, 1))
        gap = (a - a.mean(axis=1, keepdims=True)) - (b - b.mean(axis=1, keepdims=True))
        found[start : start + len(part)] = np.abs(gap).mean(axis=(1, 2))
    return found


def columns(data: AuditData) -> dict[str, np.ndarray]:
    """Return `duplicate_of` and `same_portrait_of` (P,), the first sample of the group on all of its photos.

    One portrait with several masks is no duplicate to review, but its photos belong into one split.
    """
    features = data.features
    pairs = find_same_portraits(features.thumbnails, features.identity, np.random.default_rng(data.settings.seed))
    return {
        "duplicate_of": _first_of(data.rows["sample_id"], data.scores["duplicate"].members()),
        "same_portrait_of": _first_of(data.rows["sample_id"], _members(connect_pairs(pairs, len(data.rows)))),
    }


def _first_of(samples: pd.Series, groups: list[np.ndarray]) -> np.ndarray:
    first = np.full(len(samples), None, object)
    for members in groups:
        first[members] = samples.iloc[members[0]]
    return first


def issues(data: AuditData) -> Iterator[Issue]:
    """Yield one issue per group, about all of its photos and all people concerned."""
    duplicates: Duplicates = data.scores["duplicate"]
    for members in duplicates.members():
        is_exact = bool(duplicates.exact[members].all())
        reason = _reason(data.rows.iloc[members], is_exact)
        yield Issue(members.tolist(), 1.0 if is_exact else NEAR_DUPLICATE, reason)


def _reason(rows: pd.DataFrame, is_exact: bool) -> str:
    reason = f"{len(rows)} photos are {'the same file' if is_exact else 'nearly identical'}"
    people = rows.groupby("person_id", sort=True)
    if (rows["person_id"] == rows["path"]).all():  # no persons are known
        reason += f": {', '.join(photo_name(row) for _, row in rows.iterrows())}"
    elif len(people) > 1:
        named = [
            f"{person} ({', '.join(photo_name(row) for _, row in own.iterrows())})"
            for person, own in list(people)[:MAX_NAMED]
        ]
        more = f" and {len(people) - MAX_NAMED} more" if len(people) > MAX_NAMED else ""
        reason += f", under {len(people)} people: {', '.join(named)}{more}"
    else:
        reason += f", within one person: {', '.join(photo_name(row) for _, row in rows.iterrows())}"
    splits = sorted(rows["split"].dropna().unique())
    if len(splits) > 1:
        reason += f"; across splits {'/'.join(splits)}"
    differing = [name for name in ("gender", "age", "mask") if len(rows[name].dropna().unique()) > 1]
    if differing:
        reason += f"; labels differ ({', '.join(differing)})"
        # A mask drawn on one of two copies changes little else in the picture: then both labels may be correct.
        reason += ", at least one is wrong" if is_exact or differing != ["mask"] else ""
    return reason
