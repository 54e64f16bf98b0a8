"""A second look of the same person: the photo mirrored or not, a little turned, nearer and lit otherwise.

The unmasked picture of a synthetic profile is such a second look, and its masks are put on it, so that the profile
is not seven copies of pixels that the network has already seen.
"""

from __future__ import annotations

import cv2
import numpy as np

from synth.masks.compose import MIRROR_INDEX


def vary(image: np.ndarray, landmarks_xy: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 RGB and (68, 2) px → the same sizes, drawn from `rng`.

    Turn within ±5°, scale within ±4 %, gamma within ±12 %, each channel's gain within ±3 %: what two snaps of one
    person differ by, and small enough that no border shows.
    """
    points = landmarks_xy.astype(np.float32)
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
        points = points[MIRROR_INDEX]
        points[:, 0] = image.shape[1] - 1 - points[:, 0]
    centre = points.mean(axis=0)
    turn = cv2.getRotationMatrix2D(centre.tolist(), float(rng.uniform(-5, 5)), float(rng.uniform(0.97, 1.05)))
    height, width = image.shape[:2]
    image = cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    points = (points @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    tone = np.linspace(0, 1, 256, dtype=np.float32)[:, None] ** rng.uniform(0.88, 1.12)
    curve = np.clip(tone * rng.uniform(0.97, 1.03, 3) * 255, 0, 255)
    return cv2.LUT(image, np.rint(curve).astype(np.uint8)[None]), points
