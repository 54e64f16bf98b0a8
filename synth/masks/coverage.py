"""Coverage of nose, mouth and chin by the fabric, measured on the rendered alpha."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from synth.masks.fitting import Array, FaceGeometry


def face_regions(face: FaceGeometry) -> dict[str, Array]:
    """Return polygons (n, 2), image px. Nose: lower bridge and wings; mouth: outer lips; chin: below the lips."""
    pts = face.to_image_xy(face.points_xy)
    under_lip = 0.4 * pts[[55, 57, 59]] + 0.6 * pts[[9, 8, 7]]
    return {
        "nose_score": pts[[28, 31, 32, 33, 34, 35]],
        "mouth_score": pts[48:60],
        "chin_score": np.vstack([pts[[7, 8, 9]], under_lip]),
    }


@lru_cache(maxsize=8)
def _regions(face: FaceGeometry) -> tuple[tuple[str, int, int, NDArray[np.uint8]], ...]:
    """Return name, left, top and filled polygon (h, w) of 0 and 1 per region; cached for all masks on a face."""
    regions = []
    for name, ring in face_regions(face).items():
        low, high = np.floor(ring.min(0)).astype(int), np.ceil(ring.max(0)).astype(int) + 1
        region = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(region, [np.rint((ring - low) * 16).astype(np.int32)], 1, shift=4)
        regions.append((name, int(low[0]), int(low[1]), region))
    return tuple(regions)


def coverage_scores(alpha: NDArray[np.uint8], origin_xy: tuple[int, int], face: FaceGeometry) -> dict[str, float]:
    """Return the mean fabric alpha per region, 0 to 1; `alpha` (h, w) uint8 starts at `origin_xy` and is 0 outside."""
    scores = {}
    for name, left, top, region in _regions(face):
        x, y = left - origin_xy[0], top - origin_xy[1]
        part = alpha[max(y, 0) : max(y + region.shape[0], 0), max(x, 0) : max(x + region.shape[1], 0)]
        inner = region[max(-y, 0) : max(-y, 0) + part.shape[0], max(-x, 0) : max(-x, 0) + part.shape[1]]
        covered = int((part * inner).sum(dtype=np.int64))
        scores[name] = covered / (255 * max(int(region.sum(dtype=np.int64)), 1))
    return scores
