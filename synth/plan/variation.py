"""Variation of a photo: mirrored or not, slightly rotated, scaled and relit.

The unmasked image of a synthetic profile is such a variation, and its masks are put on it, so that the profile is not
seven copies of pixels that the network has already seen.
"""

from __future__ import annotations

import cv2
import numpy as np

from synth.masks import MIRROR_INDEX

MAX_TURNED_OUTSIDE_SHARE = 0.1
"""Above this `outside_share` a crop has grey bars beyond its photo. Turned, they would betray the synthetic image."""


def vary(
    image: np.ndarray, landmarks_xy: np.ndarray, rng: np.random.Generator, *, may_turn: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return a random variation of an image (H, W, 3) uint8 RGB and its landmarks (68, 2) px, of the same sizes.

    Rotation within ±5°, scale within ±4 %, gamma within ±12 %, each channel's gain within ±3 %: the difference between
    two snapshots of one person, and small enough that no border shows. `may_turn` False leaves the rotation out.
    """
    points = landmarks_xy.astype(np.float32)
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
        points = points[MIRROR_INDEX]
        points[:, 0] = image.shape[1] - 1 - points[:, 0]
    centre = points.mean(axis=0)
    degrees, scale = rng.uniform(-5, 5), rng.uniform(0.97, 1.05)
    turn = cv2.getRotationMatrix2D(centre.tolist(), float(degrees) if may_turn else 0.0, float(scale))
    height, width = image.shape[:2]
    image = cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    points = (points @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    return _relight(image, rng), points


def _relight(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply gamma and channel gains to everything except a background painted in one colour.

    Such a background has the same colour in every photo. If synthetic images, most of them of the rare class, had
    another colour, a network would learn the class from it.
    """
    tone = np.linspace(0, 1, 256, dtype=np.float32)[:, None] ** rng.uniform(0.88, 1.12)
    curve = np.clip(tone * rng.uniform(0.97, 1.03, 3) * 255, 0, 255)
    relit = cv2.LUT(image, np.rint(curve).astype(np.uint8)[None])
    background = _painted_background(image)
    if background is None:
        return relit
    distance = np.abs(image.astype(np.int16) - background).max(axis=2)
    weight = np.clip((distance - 4) / 24, 0, 1).astype(np.float32)[..., None]
    return np.rint(image + weight * (relit.astype(np.float32) - image)).astype(np.uint8)


def _painted_background(image: np.ndarray) -> np.ndarray | None:
    """Return the colour (3,) shared by most of the upper border: a background painted in one colour; else None."""
    height = image.shape[0]
    border = np.concatenate([image[:4].reshape(-1, 3), image[: height // 3, :4].reshape(-1, 3)])
    colour = np.median(border, axis=0)
    agree = np.abs(border - colour).max(axis=1) <= 3  # JPEG changes a flat colour by a level or two
    return colour if agree.mean() > 0.6 else None
