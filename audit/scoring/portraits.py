"""Photos that show one portrait with a different lower part, such as one picture with several masks drawn on it.

Perceptual hashes of such photos differ, but the upper part, without the mask, is the same to a few grey levels. On 615
portraits with two drawn masks each, the relative distance of the upper parts was at most 0.063 for 99.5 % of the pairs
of one portrait, and at least 0.157 for 99.7 % of the nearest pictures of another one.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from audit.scoring.neighbours import find_near_vectors

UPPER = 0.375  # share of the height above the mask in a portrait
MAX_DISTANCE = 0.08  # of the upper parts, each less its mean and scaled to length 1
MIN_CONTRAST = 5.0  # grey levels, standard deviation; upper parts without contrast look alike
SAME_PERSON = 0.6  # identity distance, dlib's; a fixed camera shows the same background behind other people


def find_same_portraits(thumbnails: np.ndarray, identity: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return pairs (Q, 2) of the photos whose upper parts are one picture; photos without a face have none.

    thumbnails: (P, side × side × 3) uint8; identity: (P, D), NaN without a face.
    """
    n, side = len(thumbnails), round((thumbnails.shape[1] / 3) ** 0.5)
    if n < 2 or not identity.shape[1]:
        return np.empty((0, 2), np.int64)
    cells = int(UPPER * side) * side
    upper = thumbnails.reshape(n, side * side, 3)[:, :cells].mean(axis=2, dtype=np.float32)
    upper -= upper.mean(axis=1, keepdims=True)
    length = np.linalg.norm(upper, axis=1)
    rows = np.flatnonzero((length >= MIN_CONTRAST * cells**0.5) & np.isfinite(identity[:, 0]))
    if len(rows) < 2:
        return np.empty((0, 2), np.int64)
    pairs = rows[find_near_vectors(upper[rows] / length[rows, None], MAX_DISTANCE, rng)]
    gap = np.linalg.norm(identity[pairs[:, 0]] - identity[pairs[:, 1]], axis=1)
    return np.asarray(pairs[gap <= SAME_PERSON])


def connect_pairs(pairs: np.ndarray, n: int) -> np.ndarray:
    """Return the group (n,) of each of n photos joined by pairs (Q, 2), -1 for a photo that is in no pair."""
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    label = connected_components(graph, directed=False)[1]
    sizes = np.bincount(label, minlength=1)
    return np.where(sizes[label] > 1, label, -1) if n else np.array([], int)
