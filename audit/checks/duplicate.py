"""The same photo twice: the same bytes, or the same picture saved again.

Perceptual hashes and identity vectors find candidates without comparing all pairs (`audit.scoring.neighbours`); then
the small copies of both pictures are compared: in aligned crops, hashes of different people are close to one another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from audit.scoring import near_hashes, near_vectors

SAME_FACE = 0.12  # identity distance of one photo saved twice; of two photos of one person it is 0.3 and more
MAX_DIFFERENCE = 3.0  # grey levels, mean over the 16 × 16 copies once overall brightness is taken off


@dataclass(frozen=True)
class Duplicates:
    """`group` (P,): photos of one number show the same picture, -1 alone. `exact` (P,): its bytes are another's too."""

    group: np.ndarray
    exact: np.ndarray
    candidates: int

    def members(self) -> list[np.ndarray]:
        """Places of each group, in order."""
        order = np.argsort(self.group, kind="stable")
        order = order[self.group[order] >= 0]
        return [] if not len(order) else np.split(order, np.flatnonzero(np.diff(self.group[order])) + 1)


def find_duplicates(
    sha256: np.ndarray,
    hashes: np.ndarray,
    copies: np.ndarray,
    identity: np.ndarray,
    max_bits: int,
    rng: np.random.Generator,
) -> Duplicates:
    """sha256 (P,) text, perceptual hashes (P,) uint64, copies (P, 768) uint8, identity (P, D) or NaN."""
    n = len(sha256)
    _, first, inverse, counts = np.unique(sha256, return_index=True, return_inverse=True, return_counts=True)
    twins = np.column_stack([first[inverse], np.arange(n)])
    candidates = near_hashes(hashes, max_bits)
    seen = np.flatnonzero(np.isfinite(identity[:, 0])) if n and identity.shape[1] else np.array([], int)
    if len(seen) > 1:
        candidates = np.concatenate([candidates, seen[near_vectors(identity[seen], SAME_FACE, rng)]])
    same = candidates[copy_difference(copies, candidates) <= MAX_DIFFERENCE]
    links = np.concatenate([twins, same])
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(n, n))
    label = connected_components(graph, directed=False)[1]
    sizes = np.bincount(label, minlength=1)
    group = np.where(sizes[label] > 1, label, -1) if n else np.array([], int)
    return Duplicates(group, counts[inverse] > 1, len(candidates))


def copy_difference(copies: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Mean absolute difference (Q,) in grey levels of the copies of pairs (Q, 2), each channel's mean taken off."""
    found = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), 1 << 14):
        part = pairs[start : start + (1 << 14)]
        a, b = (copies[part[:, side]].reshape(len(part), -1, 3).astype(np.float32) for side in (0, 1))
        gap = (a - a.mean(axis=1, keepdims=True)) - (b - b.mean(axis=1, keepdims=True))
        found[start : start + len(part)] = np.abs(gap).mean(axis=(1, 2))
    return found
