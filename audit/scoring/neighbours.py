"""Near-neighbour search that sorts parts of a code and compares only entries with equal parts.

Hashes: two 64-bit codes that differ in at most d bits have at least three of d + 3 blocks in common, so one sort per
choice of three blocks finds every such pair (Manku, Jain, Das Sarma 2007, "Detecting Near-Duplicates for Web
Crawling"), and equal keys of 27 bits are rare among a million unrelated codes.
Vectors: signs of random projections make codes in which near vectors share a key in one of several tables with high
probability (Charikar 2002, "Similarity Estimation Techniques from Rounding Algorithms").
"""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np

_SHARED_BLOCKS = 3  # blocks that the codes of a pair have in common
_MAX_RUN = 64  # a longer run of equal keys is split into pieces of this size

TABLES, BITS = 24, 18
_BATCH_ROWS = 1 << 16


def find_near_hashes(hashes: np.ndarray, max_distance: int) -> np.ndarray:
    """Return pairs (P, 2) of positions i < j of uint64 hashes (N,) that differ in at most `max_distance` bits.

    Equal hashes are paired with the first of them only, so that a thousand equal pictures give 999 pairs and not half
    a million. All other pairs are between first occurrences.
    """
    unique, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    repeated = np.flatnonzero(first[inverse] != np.arange(len(hashes)))
    equal = np.column_stack([first[inverse[repeated]], repeated])
    if max_distance == 0 or len(unique) < 2:
        return _sorted_unique(equal)
    found = [_near_pairs(unique, mask, max_distance) for mask in _block_masks(max_distance)]
    return _sorted_unique(np.concatenate([equal, first[np.concatenate(found)]]))


def _block_masks(max_distance: int) -> list[np.uint64]:
    edges = np.linspace(0, 64, max_distance + _SHARED_BLOCKS + 1).astype(int)
    blocks = [((1 << (high - low)) - 1) << low for low, high in pairwise(edges.tolist())]
    return [np.uint64(sum(chosen)) for chosen in combinations(blocks, _SHARED_BLOCKS)]


def _near_pairs(hashes: np.ndarray, mask: np.uint64, max_distance: int) -> np.ndarray:
    pairs = pairs_of_equal_keys(hashes & mask)
    near = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]) <= max_distance
    return np.asarray(pairs[near])


def pairs_of_equal_keys(keys: np.ndarray) -> np.ndarray:
    """Return pairs (P, 2) of positions with equal keys (N,).

    A run of more than 64 equal keys is split into pieces of 64, so that the work stays linear. With the keys of this
    module such runs occur only in degenerate data.
    """
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    pairs = []
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    position = np.arange(len(keys)) - np.repeat(starts, np.diff(np.append(starts, len(keys))))
    for step in range(1, _MAX_RUN):
        same = np.flatnonzero((ordered[step:] == ordered[:-step]) & (position[step:] % _MAX_RUN >= step))
        if len(same) == 0:
            break
        pairs.append(np.column_stack([order[same], order[same + step]]))
    return np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)


def find_near_vectors(vectors: np.ndarray, max_distance: float, rng: np.random.Generator) -> np.ndarray:
    """Return nearly all pairs (P, 2) of rows of vectors (N, D) float32 at Euclidean distance up to `max_distance`.

    A pair at 0.12 of the vectors' norm is missed with probability below 1 in 1000 (tests).
    """
    centred = vectors - vectors.mean(axis=0)
    found = [np.empty((0, 2), np.int64)]
    weights = (1 << np.arange(BITS)).astype(np.int64)
    for _ in range(TABLES):
        planes = rng.standard_normal((vectors.shape[1], BITS)).astype(np.float32)
        keys = np.concatenate(
            [
                (centred[start : start + _BATCH_ROWS] @ planes > 0) @ weights
                for start in range(0, len(vectors), _BATCH_ROWS)
            ]
        )
        pairs = pairs_of_equal_keys(keys)
        near = [np.empty((0, 2), np.int64)]
        for start in range(0, len(pairs), _BATCH_ROWS):
            part = pairs[start : start + _BATCH_ROWS]
            gap = np.linalg.norm(vectors[part[:, 0]] - vectors[part[:, 1]], axis=1)
            near.append(part[gap <= max_distance])
        found.append(np.concatenate(near))
    return _sorted_unique(np.concatenate(found))


def _sorted_unique(pairs: np.ndarray) -> np.ndarray:
    """Return the pairs with the smaller position first, each once."""
    return np.unique(np.sort(pairs, axis=1), axis=0)
