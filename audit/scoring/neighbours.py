"""Near neighbours without an all-pairs table: sort by parts of a code, look only at equal parts.

Hashes: two 64-bit codes that differ in at most d bits have at least three of d + 3 blocks in common, so one sort per
choice of three blocks finds every such pair (Manku, Jain, Das Sarma 2007, "Detecting Near-Duplicates for Web
Crawling"), and equal keys of 27 bits are rare among a million codes that have nothing to do with one another.
Vectors: signs of random projections make codes in which near vectors share a key in one of several tables with high
probability (Charikar 2002, "Similarity Estimation Techniques from Rounding Algorithms").
"""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np

_INTACT = 3  # blocks that a pair must share
_RUN = 64  # members of a run that are compared with one another; a longer run is cut into such pieces

TABLES, BITS = 24, 18
_ROWS_AT_ONCE = 1 << 16


def near_hashes(hashes: np.ndarray, max_distance: int) -> np.ndarray:
    """Pairs (P, 2) of positions i < j of uint64 hashes (N,) that differ in at most `max_distance` bits.

    Of equal hashes, each is paired with the first only: a thousand equal pictures are a chain, not half a million
    pairs. All other pairs are between the first ones of their value.
    """
    unique, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    repeated = np.flatnonzero(first[inverse] != np.arange(len(hashes)))
    equal = np.column_stack([first[inverse[repeated]], repeated])
    if max_distance == 0 or len(unique) < 2:
        return _in_order(equal)
    found = [_near_in_table(unique, mask, max_distance) for mask in _block_masks(max_distance)]
    return _in_order(np.concatenate([equal, first[np.concatenate(found)]]))


def _block_masks(max_distance: int) -> list[np.uint64]:
    edges = np.linspace(0, 64, max_distance + _INTACT + 1).astype(int)
    blocks = [((1 << (high - low)) - 1) << low for low, high in pairwise(edges.tolist())]
    return [np.uint64(sum(chosen)) for chosen in combinations(blocks, _INTACT)]


def _near_in_table(hashes: np.ndarray, mask: np.uint64, max_distance: int) -> np.ndarray:
    pairs = pairs_of_equal_keys(hashes & mask)
    near = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]) <= max_distance
    return np.asarray(pairs[near])


def pairs_of_equal_keys(keys: np.ndarray) -> np.ndarray:
    """Pairs (P, 2) of positions with equal keys (N,). A run of more than 64 equal keys is cut into pieces of 64, so
    that the work stays linear; with the keys used here such runs do not occur but in degenerate data."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    pairs = []
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    place = np.arange(len(keys)) - np.repeat(starts, np.diff(np.append(starts, len(keys))))
    for step in range(1, _RUN):
        same = np.flatnonzero((ordered[step:] == ordered[:-step]) & (place[step:] % _RUN >= step))
        if len(same) == 0:
            break
        pairs.append(np.column_stack([order[same], order[same + step]]))
    return np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)


def near_vectors(vectors: np.ndarray, max_distance: float, rng: np.random.Generator) -> np.ndarray:
    """Pairs (P, 2) of rows of vectors (N, D) float32 at Euclidean distance up to `max_distance`, nearly all of them.

    A pair at 0.12 of the vectors' norm is missed with probability below 1 in 1000 (tests).
    """
    centred = vectors - vectors.mean(axis=0)
    found = [np.empty((0, 2), np.int64)]
    weights = (1 << np.arange(BITS)).astype(np.int64)
    for _ in range(TABLES):
        planes = rng.standard_normal((vectors.shape[1], BITS)).astype(np.float32)
        keys = np.concatenate(
            [
                (centred[start : start + _ROWS_AT_ONCE] @ planes > 0) @ weights
                for start in range(0, len(vectors), _ROWS_AT_ONCE)
            ]
        )
        pairs = pairs_of_equal_keys(keys)
        near = [np.empty((0, 2), np.int64)]
        for start in range(0, len(pairs), _ROWS_AT_ONCE):
            part = pairs[start : start + _ROWS_AT_ONCE]
            gap = np.linalg.norm(vectors[part[:, 0]] - vectors[part[:, 1]], axis=1)
            near.append(part[gap <= max_distance])
        found.append(np.concatenate(near))
    return _in_order(np.concatenate(found))


def _in_order(pairs: np.ndarray) -> np.ndarray:
    """Smaller position first, every pair once."""
    return np.unique(np.sort(pairs, axis=1), axis=0)
