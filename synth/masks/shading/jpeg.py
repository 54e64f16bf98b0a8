"""JPEG compression of a photo, measured from its pixels, and applied to the fabric drawn on it.

A decoded JPEG's block coefficients lie on multiples of the quantisation steps (Fan and de Queiroz 2003). Steps are
searched in the family of the standard's own tables, one per quality, as libjpeg scales them. Measuring pixels rather
than the file also finds a JPEG that was saved as PNG later, and nothing in one that was rotated or resized, which has
no grid of blocks left to match.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.floating]
Roi = tuple[int, int, int, int]

# Luminance steps of ISO/IEC 10918-1, table K.1, for the lowest frequencies (v, u), which identify a quality.
_STEPS = {(0, 1): 11, (1, 0): 12, (2, 0): 14, (1, 1): 12, (0, 2): 10, (0, 3): 16, (2, 1): 13, (3, 0): 14}
_QUALITIES = np.arange(25, 95)  # from 95 on, steps are 1 or 2: below the rounding of the pixels
_MAX_BLOCKS, _MIN_COEFFICIENTS = 256, 40
_COMB = 0.55
"""Minimum mean of cos(2π c / step); 1: all on multiples, 0: anywhere. Rounded pixels give about 0.8 at step 3."""


@dataclass(frozen=True)
class Jpeg:
    """A JPEG compression: `quality` on libjpeg's scale; `origin_xy` (0 to 7 each) is a corner of the block grid."""

    quality: int
    origin_xy: tuple[int, int]


def measure_jpeg(image: U8, box_xyxy: Roi, mirrored: bool) -> Jpeg | None:
    """Measure the compression in a box (of the mirrored image), or None. The grid starts at a border of the image."""
    h, w = image.shape[:2]
    x0, y0, x1, y1 = box_xyxy
    part = image[y0:y1, w - x1 : w - x0] if mirrored else image[y0:y1, x0:x1]
    grey = cv2.cvtColor(part.astype(np.float32), cv2.COLOR_RGB2GRAY)  # not rounded again
    grey = cv2.flip(grey, 1) if mirrored else grey
    luminance = np.asarray(grey, np.float32)
    best, found = _COMB, None
    # After a rotation or mirroring the grid starts at the opposite border.
    for origin in sorted({(x, y) for x in (0, w % 8) for y in (0, h % 8)}):
        skip_x, skip_y = (origin[0] - x0) % 8, (origin[1] - y0) % 8
        quality, score = _quality(luminance[skip_y:, skip_x:])
        if score >= best:  # a grid that is wrong in one direction only fits partly
            best, found = score, Jpeg(quality, origin)
    return found


def _quality(grey: F32) -> tuple[int, float]:
    """Return the best quality for float luminance (h, w) that starts at a block's corner, and its score up to 1."""
    rows, cols = grey.shape[0] // 8, grey.shape[1] // 8
    blocks = grey[: 8 * rows, : 8 * cols].reshape(rows, 8, cols, 8).swapaxes(1, 2).reshape(-1, 64)
    flat = (blocks <= 0.5).any(1) | (blocks >= 254.5).any(1)  # clipped pixels are off the grid
    blocks = blocks[~flat]
    coefs = blocks[:: max(1, len(blocks) // _MAX_BLOCKS)] @ _basis()
    sums, counts = np.zeros(len(_QUALITIES)), np.zeros(len(_QUALITIES))
    for of_place, (steps, which) in zip(coefs.T, _tables(), strict=True):
        turns = of_place[:, None] / steps
        away = np.abs(turns) > 0.5  # coefficients rounded to 0 fit every step
        sums += np.where(away, np.cos(np.float32(2 * np.pi) * turns), 0).sum(0)[which]
        counts += np.count_nonzero(away, axis=0)[which]
    scores = np.where(counts >= _MIN_COEFFICIENTS, sums / np.maximum(counts, 1), 0.0)
    best = int(scores.argmax())
    return int(_QUALITIES[best]), float(scores[best])


@lru_cache(maxsize=1)
def _basis() -> F32:
    """Return (64, n) columns of the orthonormal 8 × 8 cosine transform for `_STEPS`."""
    n, k = np.arange(8), np.arange(8)[:, None]
    cosine = np.cos((2 * n + 1) * k * np.pi / 16) * np.where(k == 0, np.sqrt(1 / 8), 0.5)
    return np.stack([np.outer(cosine[v], cosine[u]).ravel() for v, u in _STEPS], axis=1).astype(np.float32)


@lru_cache(maxsize=1)
def _tables() -> tuple[tuple[F32, NDArray[np.intp]], ...]:
    """Return per entry of `_STEPS` the distinct steps libjpeg scales it to, and the index of each quality's step."""
    scale = np.where(_QUALITIES < 50, 5000 // _QUALITIES, 200 - 2 * _QUALITIES)
    pairs = (np.unique(np.maximum((step * scale + 50) // 100, 1), return_inverse=True) for step in _STEPS.values())
    return tuple((steps.astype(np.float32), which) for steps, which in pairs)


def compress(picture: U8, jpeg: Jpeg) -> U8:
    """Compress and decode (h, w, 3) RGB uint8 that starts at a block's corner.

    Colour is subsampled by two, as in nearly all cameras and programs.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, jpeg.quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x221111]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)
